"""What a group is and what was decided about it already: as marks that change with them, and in words."""

from collections.abc import Sequence

from dedup_assets.core.exploring.decision_file import NewDecision
from dedup_assets.core.scoring.decisions import DISCARD, KEEP, NOT_DUPLICATE, REMOVE, BoundDecision
from dedup_assets.core.storage.store import version_of

_TOLD = 3
_WORDS = {
    KEEP: "keep '{image}'",
    DISCARD: "discard '{image}'",
    REMOVE: "remove '{image}'",
    NOT_DUPLICATE: "call '{image}' no duplicate",
}
_PARTNERS = {REMOVE: " in favour of '{partner}'", NOT_DUPLICATE: " of '{partner}'"}


def mark_of(images: Sequence[tuple[str, str]], said: Sequence[BoundDecision]) -> str:
    """Two times 16 hex digits: of the images, by id and content, and of the decisions that stand about them; who made
    these, and when, does not count."""
    words = sorted((entry.decision.decision, entry.image_ids, entry.duplicate_of or "") for entry in said)
    return f"{version_of(images)}.{version_of(words)}"


def same_images(mark: str, other: str) -> bool:
    """Whether two marks are of a group with the same images."""
    return mark.partition(".")[0] == other.partition(".")[0]


def plan_mark(lines: Sequence[NewDecision]) -> str:
    """16 hex digits that change when other decisions would be written."""
    return version_of([(line.image_id, line.decision, line.duplicate_of, line.content_hash) for line in lines])


OTHER_GROUP = "a run changed the images of this group meanwhile; look at it again. Nothing was changed"


def refusal(said: Sequence[BoundDecision], image_id: str) -> str:
    """The sentence for an action on an image that the decisions about its group leave no room for, or that did not know
    of them."""
    if not said:
        return "the decisions about this group were taken back meanwhile; look at it again. Nothing was changed"
    return (
        f"{_in_words(said, image_id)}. Nothing was changed; look at the group again, and keep (k), remove (r) or "
        "discard (d) an image to overrule that"
    )


def _in_words(said: Sequence[BoundDecision], image_id: str) -> str:
    """Who decided what: about the image if anything was, else about the others."""
    about = [entry for entry in said if image_id in (*entry.image_ids, entry.duplicate_of)] or list(said)
    more = f"; and {len(about) - _TOLD:,} more" if len(about) > _TOLD else ""
    return "; ".join(_told(entry) for entry in about[:_TOLD]) + more


def who_decided(entry: BoundDecision) -> str:
    """The reviewer, else the place of the line."""
    return entry.decision.reviewer or f"line {entry.decision.line} of the decisions file"


def _told(entry: BoundDecision) -> str:
    decision = entry.decision
    what = _WORDS[decision.decision].format(image=decision.image_id)
    partner = _PARTNERS.get(decision.decision, "") if decision.duplicate_of else ""
    return f"{who_decided(entry)} decided to {what}{partner.format(partner=decision.duplicate_of)}"
