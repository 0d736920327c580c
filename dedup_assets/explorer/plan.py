"""What a run would change: the listing at once, the outcome on asking, worked out on a scratch copy."""

import json
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from dedup_assets.core.exploring.planned import shown_plan
from dedup_assets.core.exploring.snapshot import Snapshot
from dedup_assets.core.living.plan import quick_plan
from dedup_assets.explorer.pages import page
from dedup_assets.explorer.requests import Body, writes
from dedup_assets.explorer.state import Explorer, explorer_of

_NOT_KEPT = {"cache-control": "no-store"}


def plan(request: Request) -> Response:
    """The page; its module asks for the plan."""
    return page(request, "plan.html", root=str(explorer_of(request).snapshot().project.images))


def known(request: Request) -> Response:
    """The plan as far as it is known now: with the outcome, if it was worked out and nothing changed since."""
    explorer = explorer_of(request)
    snapshot = explorer.snapshot()
    quick = json.loads(json.dumps(shown_plan(quick_plan(snapshot.project))))
    full = explorer.foreseen.result
    holds = full is not None and full["before"] == quick
    found = full["plan"] if full is not None and holds else quick
    found = {**found, "problem": found["problem"] or explorer.review(snapshot).error}
    answer = {"plan": found, "full": holds, "outdated": full is not None and not holds}
    return JSONResponse({**answer, "hashes": _hashes(snapshot, found)}, headers=_NOT_KEPT)


def progress(request: Request) -> Response:
    """How far the outcome is worked out."""
    job = explorer_of(request).foreseen
    state = {"running": job.running, "doing": job.doing, "share": job.share, "failed": job.failed}
    return JSONResponse(state, headers=_NOT_KEPT)


def start(explorer: Explorer, body: Body) -> object:
    """Work out the outcome, in a process of its own. Nothing of the store is written."""
    explorer.foreseen.start()
    return {"running": True}


def _hashes(snapshot: Snapshot, found: dict[str, Any]) -> dict[str, str]:
    """image_id -> file_hash, of the pictures in the plan that the store has seen."""
    outcome = found["outcome"] or {}
    entries = [
        *(entry for kind in ("changed", "vanished", "renamed") for entry in found[kind]["shown"]),
        *(entry for kind in ("leave", "comeBack") if kind in outcome for entry in outcome[kind]["shown"]),
    ]
    names = {name for entry in entries for name in (entry["id"], entry.get("keeper"), entry.get("was")) if name}
    return snapshot.gallery.hashes_of(names)


routes = [
    Route("/plan", plan),
    Route("/api/plan", known),
    Route("/api/plan/outcome", progress),
    Route("/api/plan/outcome", writes(start), methods=["POST"]),
]
