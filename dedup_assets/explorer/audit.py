"""The audit record: what was removed, when, by which rule or by whom; and restoring, which is a decision."""

from urllib.parse import urlencode

import pandas as pd
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from dedup_assets.core.errors import SettingsError
from dedup_assets.core.exploring.decision_file import NewDecision
from dedup_assets.core.exploring.history import STATES, Search, choices, search
from dedup_assets.core.scoring.decisions import DISCARD, KEEP
from dedup_assets.explorer.pages import page
from dedup_assets.explorer.requests import Body, text_in, texts_in, whole, writes
from dedup_assets.explorer.state import Explorer, explorer_of

_ROWS = 100
_FIELDS = ("q", "reason", "by", "run", "state")


def audit(request: Request) -> Response:
    """The page, a hundred rows at a time."""
    explorer = explorer_of(request)
    snapshot = explorer.snapshot()
    said = {name: request.query_params.get(name, "") for name in _FIELDS}
    found = search(snapshot, Search(said["q"].strip(), said["reason"], said["by"], said["run"], said["state"]))
    first = whole(request.query_params, "from", 0, max(len(found) - 1, 0)) // _ROWS * _ROWS
    shown = found.iloc[first : first + _ROWS]
    hashes = snapshot.gallery.hashes_of(shown["image_id"])
    rows = [
        {
            **{str(name): None if pd.isna(cell) else cell for name, cell in entry.items()},
            "hash": hashes.get(entry["image_id"]),
        }
        for entry in shown.to_dict("records")
    ]

    def at(offset: int) -> str:
        return "/audit?" + urlencode({**{name: text for name, text in said.items() if text}, "from": offset})

    return page(
        request,
        "audit.html",
        rows=rows,
        said=said,
        total=len(found),
        first=first,
        earlier=at(first - _ROWS) if first else None,
        later=at(first + _ROWS) if first + _ROWS < len(found) else None,
        states=STATES,
        choices=choices(snapshot),
        words=explorer.review(snapshot).words,
    )


def decide(explorer: Explorer, body: Body) -> object:
    """Decide to keep (which restores) or to discard images, wherever they stand."""
    snapshot = explorer.snapshot()
    decision = text_in(body, "decision")
    if decision not in (KEEP, DISCARD):
        raise SettingsError(f"decision is '{decision}'; here it may be {KEEP} or {DISCARD}")
    gallery = snapshot.gallery
    rows = [gallery.row_of[image] for image in texts_in(body, "images") if image in gallery.row_of]
    rows = [row for row in rows if gallery.readable[row]]
    if not rows:
        raise SettingsError("there is no such image in the store")
    hashes = gallery.images["file_hash"]
    lines = [NewDecision(str(gallery.ids[row]), decision, "", str(hashes.iloc[row])) for row in rows]
    explorer.record(snapshot, lines, text_in(body, "reviewer", ""))
    return {"decided": len(lines)}


routes = [Route("/audit", audit), Route("/api/decide", writes(decide), methods=["POST"])]
