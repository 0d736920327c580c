"""The grid: a view of the images, its address is its state."""

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from dedup_assets.core.exploring.browse import HISTOGRAM_BARS, facets, show
from dedup_assets.core.settings import DUPLICATE_THRESHOLD, NEAR_DUPLICATE_THRESHOLD
from dedup_assets.explorer.pages import page
from dedup_assets.explorer.requests import view_of, whole
from dedup_assets.explorer.state import explorer_of
from dedup_assets.explorer.tiles import tile

_MOST_TILES = 400


def grid(request: Request) -> Response:
    """The page; its modules ask for the images."""
    snapshot = explorer_of(request).snapshot()
    return page(
        request,
        "grid.html",
        facets=facets(snapshot),
        settings={
            "bars": HISTOGRAM_BARS,
            "duplicate": snapshot.thresholds.duplicate,
            "near": snapshot.thresholds.near_duplicate,
            "duplicateBound": DUPLICATE_THRESHOLD.default,
            "nearBound": NEAR_DUPLICATE_THRESHOLD.default,
        },
    )


def images(request: Request) -> Response:
    """A stretch of a view, with how many images it holds in all and their histogram."""
    explorer = explorer_of(request)
    snapshot = explorer.snapshot()
    shown = show(snapshot, view_of(request.query_params))
    offset = whole(request.query_params, "offset", 0, len(shown.rows))
    limit = whole(request.query_params, "limit", 100, _MOST_TILES)
    words = explorer.review(snapshot).words
    return JSONResponse(
        {
            "total": len(shown.rows),
            "of": len(snapshot.gallery),
            "histogram": shown.histogram.tolist(),
            "tiles": [tile(snapshot, int(row), words) for row in shown.rows[offset : offset + limit]],
        }
    )


def filters(request: Request) -> Response:
    """What can be filtered by, with counts."""
    return JSONResponse(facets(explorer_of(request).snapshot()))


routes = [Route("/grid", grid), Route("/api/images", images), Route("/api/filters", filters)]
