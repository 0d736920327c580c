"""What if the thresholds were others: the outcome at once, before anything runs."""

from collections.abc import Sequence

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from dedup_assets.core.exploring.snapshot import Snapshot
from dedup_assets.core.exploring.whatif import Change
from dedup_assets.core.settings import DUPLICATE_THRESHOLD, NEAR_DUPLICATE_THRESHOLD, Thresholds
from dedup_assets.explorer.pages import page
from dedup_assets.explorer.requests import number
from dedup_assets.explorer.state import explorer_of

_SHOWN = 60


def whatif(request: Request) -> Response:
    """The page; its modules ask for outcomes."""
    snapshot = explorer_of(request).snapshot()
    used = {"duplicate": snapshot.thresholds.duplicate, "near": snapshot.thresholds.near_duplicate}
    defaults = {"duplicate": DUPLICATE_THRESHOLD.default, "near": NEAR_DUPLICATE_THRESHOLD.default}
    settings = {"used": used, "defaults": defaults, "limit": snapshot.pair_limit}
    return page(request, "whatif.html", settings=settings, limit=snapshot.pair_limit)


def outcome(request: Request) -> Response:
    """What the thresholds in the address would do, against what is in force."""
    explorer = explorer_of(request)
    snapshot = explorer.snapshot()
    thresholds = Thresholds(
        number(request.query_params, "duplicate", snapshot.thresholds.duplicate),
        number(request.query_params, "near", snapshot.thresholds.near_duplicate),
    )
    bound = explorer.review(snapshot).bound
    found = explorer.whatif(snapshot).outcome(snapshot, bound, thresholds)
    return JSONResponse(
        {
            "removed": found.removed,
            "kept": found.kept,
            "duplicates": found.duplicates,
            "near": found.near,
            "groups": found.groups,
            "waiting": found.waiting,
            "problem": found.problem,
            "nowRemoved": int(snapshot.removed.sum()),
            "leave": {"total": len(found.leave), "shown": _changes(snapshot, found.leave)},
            "comeBack": {"total": len(found.come_back), "shown": _changes(snapshot, found.come_back)},
        }
    )


def _changes(snapshot: Snapshot, changes: Sequence[Change]) -> list[dict[str, object]]:
    """The first of them, farthest first: those a person wants to see."""
    farthest = sorted(changes, key=lambda change: -(change.distance or 0.0))[:_SHOWN]
    ids, hashes = snapshot.gallery.ids, snapshot.gallery.images["file_hash"]

    def named(row: int) -> dict[str, str] | None:
        return {"id": str(ids[row]), "hash": str(hashes.iloc[row])} if row >= 0 else None

    return [
        {"image": named(change.row), "keeper": named(change.keeper), "distance": change.distance} for change in farthest
    ]


routes = [Route("/whatif", whatif), Route("/api/whatif", outcome)]
