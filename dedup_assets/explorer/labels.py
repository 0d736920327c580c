"""Labels of duplicates: both pictures with their boxes drawn over them, and what differs in words."""

from urllib.parse import urlencode

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from dedup_assets.core.exploring.labelled import Compared, differences, kinds
from dedup_assets.core.exploring.snapshot import Snapshot
from dedup_assets.explorer.pages import page
from dedup_assets.explorer.requests import whole
from dedup_assets.explorer.state import explorer_of

_PAIRS = 24


def labels(request: Request) -> Response:
    """The page, a few pairs at a time; `kind` chooses one way to differ."""
    explorer = explorer_of(request)
    snapshot = explorer.snapshot()
    kind = request.query_params.get("kind", "")
    found = differences(explorer.store, kind)
    first = whole(request.query_params, "from", 0, max(len(found) - 1, 0)) // _PAIRS * _PAIRS

    def at(offset: int) -> str:
        return "/labels?" + urlencode({"kind": kind, "from": offset})

    return page(
        request,
        "labels.html",
        pairs=[_shown(snapshot, pair) for pair in found[first : first + _PAIRS]],
        total=len(found),
        kinds=kinds(explorer.store),
        kind=kind,
        policy=snapshot.project.labels,
        earlier=at(first - _PAIRS) if first else None,
        later=at(first + _PAIRS) if first + _PAIRS < len(found) else None,
    )


def _shown(snapshot: Snapshot, pair: Compared) -> dict[str, object]:
    kept = {"title": "Stays", "id": pair.keeper_id, "boxes": pair.keeper_boxes, "others": pair.boxes}
    removed = {"title": "Removed", "id": pair.image_id, "boxes": pair.boxes, "others": pair.keeper_boxes}
    sides = [side | _picture(snapshot, str(side["id"])) for side in (kept, removed)]
    return {"sides": sides, "sentences": pair.sentences, "comparable": pair.comparable}


def _picture(snapshot: Snapshot, image_id: str) -> dict[str, object]:
    row = snapshot.gallery.row_of.get(image_id)
    if row is None or not snapshot.gallery.readable[row]:
        return {"hash": None, "width": 1, "height": 1}
    facts = snapshot.gallery.images.iloc[row]
    return {"hash": str(facts["file_hash"]), "width": int(facts["width"]), "height": int(facts["height"])}


routes = [Route("/labels", labels)]
