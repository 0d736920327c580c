"""Leakage: pictures that two splits show, counted and side by side."""

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from dedup_assets.core.exploring.snapshot import Snapshot
from dedup_assets.core.scoring.leakage import Leak
from dedup_assets.explorer.pages import page
from dedup_assets.explorer.requests import whole
from dedup_assets.explorer.state import explorer_of

_PAIRS = 60


def leaks(request: Request) -> Response:
    """The page, some pairs at a time, what is left in the dataset first."""
    explorer = explorer_of(request)
    snapshot = explorer.snapshot()
    report = explorer.leakage(snapshot)
    first = whole(request.query_params, "from", 0, max(len(report.leaks) - 1, 0)) // _PAIRS * _PAIRS
    shown = report.leaks[first : first + _PAIRS]
    return page(
        request,
        "leakage.html",
        report=report,
        pairs=[{"leak": leak, "sides": _sides(snapshot, leak)} for leak in shown],
        protect=snapshot.project.keepers.protect,
        earlier=f"/leakage?from={first - _PAIRS}" if first else None,
        later=f"/leakage?from={first + _PAIRS}" if first + _PAIRS < len(report.leaks) else None,
    )


def _sides(snapshot: Snapshot, leak: Leak) -> list[dict[str, object]]:
    gallery = snapshot.gallery
    hashes = gallery.hashes_of((leak.image_a, leak.image_b))
    return [
        {
            "id": image,
            "split": split,
            "hash": hashes.get(image),
            "removed": bool(snapshot.removed[gallery.row_of[image]]) if image in gallery.row_of else True,
        }
        for image, split in ((leak.image_a, leak.split_a), (leak.image_b, leak.split_b))
    ]


routes = [Route("/leakage", leaks)]
