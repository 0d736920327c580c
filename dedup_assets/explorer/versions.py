"""The dataset versions: what differs between two, image by image, and going back to one."""

import uuid
from collections.abc import Iterable
from dataclasses import dataclass
from urllib.parse import urlencode

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from dedup_assets.core.errors import DedupError, StoreError
from dedup_assets.core.exploring.version_list import first_pair, listed
from dedup_assets.core.lineage.run_links import ROLLBACK, link_to
from dedup_assets.core.lineage.versions import Difference, Moved, difference, version_called
from dedup_assets.core.living.rollback import roll_back
from dedup_assets.core.run import Run
from dedup_assets.core.storage.published import for_reading
from dedup_assets.explorer.pages import page
from dedup_assets.explorer.requests import Body, text_in, whole, writes
from dedup_assets.explorer.state import Explorer, explorer_of

_VERSIONS = 50
_FEW, _MANY = 12, 120
_KINDS = ("removed", "restored", "added", "vanished", "changed")


@dataclass(frozen=True, slots=True)
class Part:
    """The images of one kind that are shown, of `total`; `more` and `earlier` lead to others."""

    kind: str
    total: int
    first: int
    shown: tuple[Moved, ...]
    more: str | None
    earlier: str | None


def versions(request: Request) -> Response:
    """The page: the versions, and the difference of the two that the address names, else of the last two."""
    explorer = explorer_of(request)
    snapshot, reading = explorer.snapshot(), for_reading(explorer.store)
    rows, query = listed(reading), request.query_params
    first = whole(query, "page", 0, max(len(rows) - 1, 0) // _VERSIONS)
    before, after = query.get("before", ""), query.get("after", "")
    if not (before and after):
        before, after = first_pair(reading) or ("", "")
    found, problem = None, None
    if before and after:
        try:
            found = difference(reading, version_called(reading, before), version_called(reading, after))
        except DedupError as error:
            problem = str(error)
    kind = query.get("kind", "")
    parts = _parts(found, kind if kind in _KINDS else "", whole(query, "from", 0, 10**9)) if found else []
    names = (name for part in parts for moved in part.shown for name in (moved.image_id, moved.keeper_id) if name)
    return page(
        request,
        "versions.html",
        rows=rows[first * _VERSIONS : (first + 1) * _VERSIONS],
        total=len(rows),
        newer=_at(before, after, page=first - 1) if first else None,
        older=_at(before, after, page=first + 1) if (first + 1) * _VERSIONS < len(rows) else None,
        before=found.before if found else before,
        after=found.after if found else after,
        found=found,
        counts=[(kind, len(getattr(found, kind))) for kind in _KINDS] if found else [],
        parts=parts,
        kind=kind,
        problem=problem,
        hashes=snapshot.gallery.hashes_of(names),
        known=snapshot.gallery.row_of,
        run_link=link_to,
    )


def back(explorer: Explorer, body: Body) -> object:
    """Make an earlier version the dataset that stands. Raises DedupError while a run has the store."""
    if explorer.job.running:
        raise StoreError("a run is in progress; wait for it to end")
    store, project = explorer.store, explorer.snapshot().project
    version = version_called(store, text_in(body, "version"))
    with store.exclusively(_refuse):
        done_by = explorer.reviewer(text_in(body, "reviewer", ""))
        done = roll_back(project, version, Run(f"{ROLLBACK}-{uuid.uuid4()}"), done_by)
    explorer.watch.fresh()
    images = {"cannotLeave": done.cannot_leave, "otherNow": done.other_now, "goneNow": done.gone_now}
    return {
        "version": done.after,
        "before": done.before,
        "removed": done.removed,
        "restored": done.restored,
        "decisionsDiffer": done.decisions_differ,
        **{name: {"total": len(found), "shown": found[:_FEW]} for name, found in images.items()},
    }


def _refuse(sentence: str) -> None:
    raise StoreError(sentence.replace("; waiting for it to end", "; wait for it to end"))


def _parts(found: Difference, kind: str, start: int) -> Iterable[Part]:
    """A few of every kind, or a page full of the one asked for."""
    parts = []
    for name in [kind] if kind else _KINDS:
        moved: tuple[Moved, ...] = getattr(found, name)
        size = _MANY if kind else _FEW
        first = min(start, max(len(moved) - 1, 0)) // size * size if kind else 0
        last = first + size
        more = _at(found.before, found.after, kind=name, **{"from": last if kind else 0}) if last < len(moved) else None
        earlier = _at(found.before, found.after, kind=name, **{"from": first - size}) if first else None
        if moved:
            parts.append(Part(name, len(moved), first, moved[first:last], more, earlier))
    return parts


def _at(before: str, after: str, **more: object) -> str:
    return "/versions?" + urlencode({"before": before, "after": after, **more})


routes = [Route("/versions", versions), Route("/api/versions/back", writes(back), methods=["POST"])]
