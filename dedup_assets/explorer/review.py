"""Review: near-duplicate groups, one action at a time, each written before it is answered."""

from collections import Counter
from collections.abc import Sequence

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from dedup_assets.core.errors import DecidedError, DecisionError
from dedup_assets.core.exploring.review import ACCEPT, Review, Suggestion
from dedup_assets.core.exploring.snapshot import Snapshot
from dedup_assets.core.exploring.standing import OTHER_GROUP, plan_mark, refusal, same_images
from dedup_assets.explorer.pages import page
from dedup_assets.explorer.requests import Body, number, number_in, text_in, texts_in, writes
from dedup_assets.explorer.state import Explorer, explorer_of
from dedup_assets.explorer.tiles import tile

_PREVIEW = 24


def review(request: Request) -> Response:
    """The page; its modules ask for the groups."""
    explorer_of(request).snapshot()
    return page(request, "review.html")


def groups(request: Request) -> Response:
    """Every group in the order of the review, as [leader's id, nearest distance, images, waits]."""
    explorer = explorer_of(request)
    snapshot = explorer.snapshot()
    found = explorer.review(snapshot)
    waiting = set(found.waiting)
    entries = [
        [snapshot.gallery.ids[leader], float(group.pairs.distance[0]), len(group.members), leader in waiting]
        for leader in found.groups.order
        for group in [found.groups.by_leader[leader]]
    ]
    return JSONResponse({"groups": entries, "error": found.error})


def group(request: Request) -> Response:
    """One group in full; `keeper` names the image that is to stay, else the suggested one does."""
    explorer = explorer_of(request)
    snapshot = explorer.snapshot()
    found = explorer.review(snapshot)
    leader = _leader(snapshot, found, request.query_params.get("id", ""))
    keeper = snapshot.gallery.row_of.get(request.query_params.get("keeper", ""))
    return JSONResponse(_described(snapshot, found, leader, keeper))


def decide(explorer: Explorer, body: Body) -> object:
    """Write what an action on a group means; the group after it, and how many wait.

    `seen` is the mark of the group that the page showed, `removes` who was to go there. Raises DecidedError, nothing
    written, when the group is another or other decisions stand by now; one that says the same changes nothing and is
    no error.
    """
    snapshot = explorer.snapshot()
    row_of = snapshot.gallery.row_of
    with explorer.deciding(snapshot) as found:
        if found.error:
            raise DecisionError(found.error)
        leader = _leader(snapshot, found, text_in(body, "group"))
        row, keeper = row_of.get(text_in(body, "image", ""), leader), row_of.get(text_in(body, "keeper", ""))
        removes = (
            [row_of[image] for image in texts_in(body, "removes") if image in row_of] if "removes" in body else None
        )
        action, mark = text_in(body, "action"), found.mark(leader)
        lines, seen = found.decide(leader, action, row, keeper), text_in(body, "seen", mark)
        as_shown = removes is None or action != ACCEPT or {row_of[line.image_id] for line in lines} == {*removes}
        if lines and seen == mark and as_shown:
            found = explorer.record(snapshot, lines, text_in(body, "reviewer", ""))
        elif not found.stands(leader, action, row, keeper, removes):
            decided = same_images(seen, mark) and (seen != mark or not lines)
            raise DecidedError(refusal(found.said(leader), str(snapshot.gallery.ids[row])) if decided else OTHER_GROUP)
    return {"group": _described(snapshot, found, leader, keeper), **_progress(found)}


def undo(explorer: Explorer, body: Body) -> object:
    """Take the reviewer's last change back, or the last about `image` alone; the first group it was about, and how many
    wait."""
    snapshot = explorer.snapshot()
    images = explorer.undo(snapshot, text_in(body, "reviewer", ""), text_in(body, "image", ""))
    found = explorer.review(snapshot)
    rows = [snapshot.gallery.row_of[image] for image in images if image in snapshot.gallery.row_of]
    leaders = [found.groups.group_of[row] for row in rows if row in found.groups.group_of]
    touched = str(snapshot.gallery.ids[leaders[0]]) if leaders else None
    return {"undone": len(images), "images": images[:_PREVIEW], "group": touched, **_progress(found)}


def suggestions(request: Request) -> Response:
    """What accepting the suggestion of every untouched group within a distance would do."""
    explorer = explorer_of(request)
    snapshot = explorer.snapshot()
    review = explorer.review(snapshot)
    found = review.suggestions_within(number(request.query_params, "distance", 0.0))
    every = [suggestion for part in found.values() for suggestion in part]
    return JSONResponse(
        {
            "groups": len(found),
            "removes": len(every),
            "seen": plan_mark(review.lines(every)),
            "examples": [_suggestion(snapshot, suggestion) for suggestion in _spread(every)],
        }
    )


def accept_all(explorer: Explorer, body: Body) -> object:
    """Accept what was previewed; refused when it would by now remove other images, or for others."""
    snapshot = explorer.snapshot()
    with explorer.deciding(snapshot) as review:
        found = review.suggestions_within(number_in(body, "distance"))
        lines = review.lines(suggestion for part in found.values() for suggestion in part)
        if plan_mark(lines) != text_in(body, "seen"):
            raise DecisionError("the groups changed since the preview; look at it again. Nothing was changed")
        if lines:
            review = explorer.record(snapshot, lines, text_in(body, "reviewer", ""))
    return {"groups": len(found), "removed": len(lines), **_progress(review)}


def _progress(review: Review) -> dict[str, int]:
    return {"waiting": len(review.waiting), "total": len(review.groups.order)}


def _leader(snapshot: Snapshot, review: Review, image_id: str) -> int:
    row = snapshot.gallery.row_of.get(image_id, -1)
    if row not in review.groups.group_of:
        raise DecisionError(f"'{image_id}' is in no group of near duplicates any more; reload the page")
    return review.groups.group_of[row]


def _described(snapshot: Snapshot, review: Review, leader: int, keeper: int | None) -> dict[str, object]:
    """A group for the page. `beside`: the image that the others are compared with, and their `distance` is from."""
    state = review.state(leader)
    ids, words = snapshot.gallery.ids, review.words
    members = state.group.members
    plan = review.suggest(state, keeper)
    stays = review.stays(state, plan, keeper)
    beside = next((row for row in members if row not in state.removed), members[0]) if stays is None else stays
    distances, waits = state.group.pairs.of(beside), state.waiting.rows
    copies = Counter(snapshot.gallery.keeper[[*state.group.everyone]].tolist())
    return {
        "id": str(ids[leader]),
        "seen": review.mark(leader),
        "members": [
            {
                **tile(snapshot, row, words),
                "copies": copies[row],
                "gone": row in state.removed,
                "waits": row in waits,
                "distance": distances.get(row),
            }
            for row in members
        ],
        "waits": len(state.waiting),
        "beside": str(ids[beside]),
        "plan": {str(ids[suggestion.row]): str(ids[suggestion.keeper]) for suggestion in plan},
        "keeper": None if stays is None else str(ids[stays]),
        "reason": "" if stays is None else review.why(state, plan, stays),
    }


def _suggestion(snapshot: Snapshot, suggestion: Suggestion) -> dict[str, object]:
    ids, hashes = snapshot.gallery.ids, snapshot.gallery.images["file_hash"]
    return {
        "image": {"id": str(ids[suggestion.row]), "hash": str(hashes.iloc[suggestion.row])},
        "keeper": {"id": str(ids[suggestion.keeper]), "hash": str(hashes.iloc[suggestion.keeper])},
        "distance": suggestion.distance,
    }


def _spread(suggestions: Sequence[Suggestion]) -> list[Suggestion]:
    """The farthest ones first: those a person wants to see before agreeing."""
    return sorted(suggestions, key=lambda suggestion: -suggestion.distance)[:_PREVIEW]


routes = [
    Route("/review", review),
    Route("/api/review", groups),
    Route("/api/review/group", group),
    Route("/api/review/decide", writes(decide), methods=["POST"]),
    Route("/api/review/undo", writes(undo), methods=["POST"]),
    Route("/api/review/suggestions", suggestions),
    Route("/api/review/accept", writes(accept_all), methods=["POST"]),
]
