"""What was decided about a group already: as a mark that changes with it, and in words."""

from collections.abc import Sequence

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


def mark_of(said: Sequence[BoundDecision]) -> str:
    """16 hex digits that change when other decisions stand; who made them, and when, does not count."""
    return version_of(sorted((entry.decision.decision, entry.image_ids, entry.duplicate_of or "") for entry in said))


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
