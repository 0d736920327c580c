"""Running the chain from the page: start, progress, and what waits to be applied."""

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from dedup_assets.core.exploring.snapshot import Snapshot
from dedup_assets.core.settings import Thresholds
from dedup_assets.explorer.apply import ALL, assets_of
from dedup_assets.explorer.requests import Body, number_in, writes
from dedup_assets.explorer.state import Explorer, explorer_of


def state(request: Request) -> Response:
    """How the run goes, and how many decisions wait to be applied. `version` changes when any run changed the store;
    `behind`: it is about to."""
    explorer = explorer_of(request)
    job = explorer.job
    snapshot = explorer.snapshot()
    return JSONResponse(
        {
            "running": job.running,
            "doing": job.doing,
            "share": job.share,
            "log": job.log,
            "failed": job.failed,
            "pending": pending(explorer, snapshot),
            "version": snapshot.version,
            "behind": explorer.watch.behind,
            "file": str(snapshot.project.decisions_file),
            "assets": list(assets_of(job.arguments if job.running else ())),
        },
        headers={"cache-control": "no-store"},
    )


def start(explorer: Explorer, body: Body) -> object:
    """Apply the decisions; with thresholds in the request score anew and apply them; with `all` run the whole chain."""
    arguments = [ALL] if body.get("all") is True else []
    if "duplicate" in body:
        thresholds = Thresholds(number_in(body, "duplicate"), number_in(body, "near"))
        arguments = [repr(thresholds.duplicate), repr(thresholds.near_duplicate)]
    explorer.job.start(arguments)
    return {"assets": list(assets_of(arguments))}


def pending(explorer: Explorer, snapshot: Snapshot) -> int:
    """How many lines of the decisions file differ from those that were applied last."""
    cells = ["image_id", "decision", "duplicate_of"]
    applied = set(snapshot.applied[cells].fillna("").itertuples(index=False, name=None))
    said = {
        (entry.decision.image_id, entry.decision.decision, entry.decision.duplicate_of)
        for entry in explorer.review(snapshot).bound
    }
    return len(applied ^ said)


routes = [Route("/api/run", state), Route("/api/run", writes(start), methods=["POST"])]
