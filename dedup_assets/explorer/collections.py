"""Collections: what is in which, putting images in and taking them out, and making datasets of them."""

import csv
import io
from collections.abc import Iterator
from contextlib import nullcontext

import numpy as np
import pandas as pd
from starlette.datastructures import QueryParams
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from dedup_assets.core.errors import DecisionError, SettingsError
from dedup_assets.core.exploring.browse import show
from dedup_assets.core.exploring.selections import write_selection
from dedup_assets.core.exploring.snapshot import Rows, Snapshot
from dedup_assets.core.exploring.standing import plan_mark
from dedup_assets.core.exploring.tagging import add_to_collection, duplicates_plan, remove_from_collection
from dedup_assets.core.settings import DUPLICATES_TAG
from dedup_assets.explorer.pages import page
from dedup_assets.explorer.requests import Body, text_in, texts_in, view_of, writes
from dedup_assets.explorer.state import Explorer, explorer_of

_CSV_COLUMNS = ("image_id", "uniqueness", "label", "keeper_id", "size_bytes", "width", "height", "file_hash")


def collections(request: Request) -> Response:
    """The collections with their counts."""
    snapshot = explorer_of(request).snapshot()
    readable = int(snapshot.gallery.readable.sum())
    entries = [
        (tag, len(rows), readable - int(snapshot.gallery.readable[rows].sum()), tag == DUPLICATES_TAG)
        for tag, rows in sorted(snapshot.tags.items(), key=lambda item: (item[0] != DUPLICATES_TAG, item[0].lower()))
    ]
    return page(request, "collections.html", entries=entries, readable=readable, duplicates=DUPLICATES_TAG)


def add(explorer: Explorer, body: Body) -> object:
    """Put the selected images into a collection of a person's own."""
    changed = add_to_collection(explorer.store, text_in(body, "tag"), _selected_ids(explorer, body))
    explorer.watch.fresh()
    return {"changed": changed}


def take(explorer: Explorer, body: Body) -> object:
    """Take the selected images out of a collection; with `everything`, end it."""
    ids = None if body.get("everything") is True else _selected_ids(explorer, body)
    changed = remove_from_collection(explorer.store, text_in(body, "tag"), ids)
    explorer.watch.fresh()
    return {"changed": changed}


def duplicates(explorer: Explorer, body: Body) -> object:
    """What adding the selected images to Duplicates means; with `confirm`, the decisions are written, if they are those
    that were `seen`."""
    snapshot = explorer.snapshot()
    confirmed = body.get("confirm") is True
    with explorer.deciding(snapshot) if confirmed else nullcontext(explorer.review(snapshot)) as review:
        plan = duplicates_plan(snapshot, review, _selected(snapshot, body))
        lines = review.lines(plan.removals)
        seen = plan_mark(lines)
        if confirmed and text_in(body, "seen") != seen:
            raise DecisionError("the groups changed since you were asked; select again. Nothing was changed")
        if confirmed and lines:
            explorer.record(snapshot, lines, text_in(body, "reviewer", ""))
    counts = {"removes": len(lines), "already": plan.already, "keptBack": len(plan.kept_back)}
    return {**counts, "alone": plan.alone, "seen": seen}


def dataset(explorer: Explorer, body: Body) -> object:
    """Write a dataset version of a collection, or of every readable image that is in none of some."""
    snapshot = explorer.snapshot()
    tags, without = texts_in(body, "tags"), texts_in(body, "without")
    unknown = [tag for tag in (*tags, *without) if tag not in snapshot.tags and tag != DUPLICATES_TAG]
    if unknown or not (tags or without):
        raise SettingsError(f"there is no collection '{unknown[0]}'" if unknown else "choose a collection")
    gallery = snapshot.gallery
    inside = gallery.readable.copy()
    for tag in tags:
        inside &= np.isin(np.arange(len(gallery)), snapshot.tags[tag])
    for tag in without:
        inside &= ~np.isin(np.arange(len(gallery)), snapshot.tags.get(tag, np.empty(0, np.int64)))
    said = " and ".join([*tags, *(f"without {tag}" for tag in without)])
    ids = [str(image) for image in gallery.ids[inside]]
    name, description = text_in(body, "name").strip(), text_in(body, "description", "").strip()
    with explorer.writing_dataset:
        written = write_selection(snapshot.project, snapshot.thresholds, ids, name, description, said)
    explorer.watch.fresh()
    return {"folder": str(written.folder), "kept": written.kept, "version": written.version, "created": written.created}


def download(request: Request) -> Response:
    """The images of a view as CSV."""
    snapshot = explorer_of(request).snapshot()
    rows = show(snapshot, view_of(request.query_params)).rows
    tags = request.query_params.getlist("tag")
    name = "".join(c if c.isalnum() or c in "-_" else "_" for c in "-".join(tags)) or "images"
    headers = {"content-disposition": f'attachment; filename="{name}.csv"', "cache-control": "no-store"}
    return StreamingResponse(_csv(snapshot, rows), media_type="text/csv; charset=utf-8", headers=headers)


def _csv(snapshot: Snapshot, rows: Rows) -> Iterator[str]:
    frame = snapshot.gallery.images.iloc[rows][list(_CSV_COLUMNS)]
    tags = [";".join(snapshot.tags_of.get(int(row), [])) for row in rows]
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow([*_CSV_COLUMNS, "tags"])
    for cells, tagged in zip(frame.itertuples(index=False, name=None), tags, strict=True):
        writer.writerow(["" if pd.isna(cell) else cell for cell in cells] + [tagged])
        if buffer.tell() > 1 << 16:
            yield buffer.getvalue()
            buffer.seek(0)
            buffer.truncate()
    yield buffer.getvalue()


def _selected(snapshot: Snapshot, body: Body) -> Rows:
    """The rows that a request selects: by name, or all of a view but some."""
    row_of = snapshot.gallery.row_of
    if "view" in body:
        rows = show(snapshot, view_of(QueryParams(text_in(body, "view")))).rows
        out = [row_of[image] for image in texts_in(body, "except") if image in row_of]
        return np.sort(rows[~np.isin(rows, out)])
    return np.array(sorted({row_of[image] for image in texts_in(body, "images") if image in row_of}), np.int64)


def _selected_ids(explorer: Explorer, body: Body) -> list[str]:
    snapshot = explorer.snapshot()
    return [str(image) for image in snapshot.gallery.ids[_selected(snapshot, body)]]


routes = [
    Route("/collections", collections),
    Route("/collections/download.csv", download),
    Route("/api/collections/add", writes(add), methods=["POST"]),
    Route("/api/collections/take", writes(take), methods=["POST"]),
    Route("/api/collections/duplicates", writes(duplicates), methods=["POST"]),
    Route("/api/collections/dataset", writes(dataset), methods=["POST"]),
]
