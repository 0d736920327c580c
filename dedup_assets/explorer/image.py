"""One image: what it is, its score and why, what resembles it, and what happened to it."""

from collections.abc import Hashable, Mapping
from typing import Any

import pandas as pd
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from dedup_assets.core.errors import DedupError
from dedup_assets.core.exploring.browse import similar
from dedup_assets.core.exploring.snapshot import Snapshot
from dedup_assets.core.lineage.image_history import ImageHistory, history_from
from dedup_assets.core.lineage.in_dataset import unlike_the_dataset
from dedup_assets.core.lineage.run_links import link_to
from dedup_assets.core.steps.record import UNIQUENESS_SCORES, dataset_is_behind
from dedup_assets.core.storage import schema
from dedup_assets.core.storage.store import Store
from dedup_assets.explorer.pages import page
from dedup_assets.explorer.state import explorer_of
from dedup_assets.explorer.tiles import tile

_SIMILAR_SHOWN = 60
_RESEMBLING_SHOWN = 24
_SAME_SHOWN = 12


def image(request: Request) -> Response:
    """The page of the image that the address names."""
    explorer = explorer_of(request)
    snapshot = explorer.snapshot()
    image_id = request.query_params.get("id", "")
    row = snapshot.gallery.row_of.get(image_id)
    if row is None:
        raise HTTPException(404)
    review = explorer.review(snapshot)
    words = review.words
    others = similar(snapshot.gallery, row)
    history = _history(snapshot, image_id)
    return page(
        request,
        "image.html",
        tile=tile(snapshot, row, words),
        facts=_plain(snapshot.gallery.images.iloc[row].to_dict()),
        why=_why(snapshot, row),
        similar=[(tile(snapshot, other, words), distance) for other, distance in others[:_SIMILAR_SHOWN]],
        more=max(len(others) - _SIMILAR_SHOWN, 0),
        copies=int((snapshot.gallery.keeper == row).sum()),
        group=review.groups.group_of.get(row),
        leader=str(snapshot.gallery.ids[review.groups.group_of[row]]) if row in review.groups.group_of else None,
        history=history,
        unlike_the_dataset=_unlike_the_dataset(explorer.store, snapshot, row),
        same_bytes=history.other_paths[:_SAME_SHOWN],
        run_link=link_to,
    )


def resembling(request: Request) -> Response:
    """The pictures that come next in resemblance, beyond the distance up to which pairs are listed."""
    explorer = explorer_of(request)
    snapshot = explorer.snapshot()
    row = snapshot.gallery.row_of.get(request.query_params.get("id", ""))
    if row is None or not snapshot.gallery.readable[row]:
        raise HTTPException(404)
    listed = {other for other, _ in similar(snapshot.gallery, row)}
    try:
        found = explorer.resembling(snapshot).of(row, _RESEMBLING_SHOWN + len(listed))
    except DedupError as error:  # vectors of another version: the page is whole without them
        return JSONResponse({"images": [], "why": str(error)})
    words = explorer.review(snapshot).words
    others = [(other, distance) for other, distance in found if other not in listed][:_RESEMBLING_SHOWN]
    return JSONResponse(
        {"images": [{"tile": tile(snapshot, other, words), "distance": distance} for other, distance in others]}
    )


def _history(snapshot: Snapshot, image_id: str) -> ImageHistory:
    images = snapshot.gallery.images  # with the columns of the scores
    tables = {
        schema.IMAGES: images,
        schema.SCORES: images,
        schema.REMOVALS: snapshot.removals,
        schema.DECISIONS: snapshot.applied,
        schema.EVENTS: snapshot.events,
    }
    return history_from(image_id, tables, snapshot.steps.get(UNIQUENESS_SCORES))


def _unlike_the_dataset(store: Store, snapshot: Snapshot, row: int) -> str | None:
    """A sentence where the dataset that stands is of an earlier state, and says something else of the image."""
    if not dataset_is_behind(snapshot.steps):
        return None
    facts, stays = snapshot.gallery.images.iloc[row], snapshot.gallery.readable[row] and not snapshot.removed[row]
    return unlike_the_dataset(store, str(facts["image_id"]), str(facts["file_hash"]) if stays else None)


def _why(snapshot: Snapshot, row: int) -> str:
    """The score in words."""
    gallery, facts = snapshot.gallery, snapshot.gallery.images.iloc[row]
    if not gallery.readable[row]:
        return "It cannot be read, so it is never scored, matched or removed."
    if gallery.duplicate[row]:
        identical = gallery.content[row] == gallery.content[gallery.keeper[row]]
        same = "has exactly the same pixels as" if identical else "is the same picture as"
        return f"It {same} its keeper, which stays: {facts['keeper_reason']}."
    if gallery.near[row]:
        return "The nearest image that is not a duplicate is close enough to be a version of the same picture."
    if gallery.nearest[row] < 0:
        return "No other image stays that it could resemble."
    return "The score is the distance to the nearest image that is not a duplicate, which is another picture."


def _plain(entry: Mapping[Hashable, Any]) -> dict[str, object]:
    """The cells of a row, None for an empty one."""
    return {str(name): None if pd.isna(value) else value for name, value in entry.items()}


routes = [Route("/image", image), Route("/api/resembling", resembling)]
