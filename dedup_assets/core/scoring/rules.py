"""The promises of the score rule, checked on what a store holds. Used as blocking asset checks, and by tests."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import pandas as pd

from dedup_assets.core.membership import among
from dedup_assets.core.scoring.collection import DISCARDED
from dedup_assets.core.scoring.uniqueness import DUPLICATE_LABEL
from dedup_assets.core.settings import DUPLICATES_TAG
from dedup_assets.core.storage import schema
from dedup_assets.core.storage.store import Store

_SHOWN = 10


@dataclass(frozen=True, slots=True)
class RuleResult:
    """Whether a promise holds, a sentence about it, and up to ten images that break it."""

    passed: bool
    sentence: str
    examples: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Rule:
    """One promise: `check(rows, duplicate_threshold)`."""

    name: str
    asset: str
    description: str
    check: Callable[["StoreRows", float], RuleResult]


class StoreRows:
    """The rows that the rules look at, each table read once."""

    def __init__(self, store: Store) -> None:
        self._store = store

    @cached_property
    def images(self) -> pd.DataFrame:
        """The images: image_id, content_id and status."""
        return self._store.read(schema.IMAGES, columns=("image_id", "content_id", "status"))

    @cached_property
    def scores(self) -> pd.DataFrame:
        """The scores table."""
        return self._store.read(schema.SCORES)

    @cached_property
    def scored(self) -> pd.DataFrame:
        """The scores, each with the content of its image."""
        return self.scores.merge(self.images[["image_id", "content_id"]], on="image_id")

    @cached_property
    def readable(self) -> frozenset[str]:
        """The images that can be used."""
        return frozenset(self.images.loc[self.images["status"] == "ok", "image_id"])

    @cached_property
    def removed(self) -> pd.DataFrame:
        """The removals in force, of images that are still in the folder."""
        removed = self._store.read(schema.REMOVALS, "restored_at IS NULL AND superseded_at IS NULL")
        return removed[among(removed["image_id"], self.images["image_id"])].reset_index(drop=True)

    @cached_property
    def tagged(self) -> frozenset[str]:
        """The Duplicates collection."""
        return frozenset(self._store.read(schema.TAGS, "tag = ?", (DUPLICATES_TAG,))["image_id"])


def n_minus_one_zeros(rows: StoreRows, duplicate_threshold: float) -> RuleResult:
    """Of N identical images N-1 score 0, all N where the last is a duplicate of another picture; zeros have keepers."""
    scores = rows.scored
    zero = scores["uniqueness"] == 0.0
    wrong = zero != (scores["keeper_id"].notna() & (scores["label"] == DUPLICATE_LABEL))
    groups = scores.assign(zero=zero).groupby("content_id")["zero"]
    too_few = among(scores["content_id"], groups.sum()[groups.sum() < groups.count() - 1].index)
    keeps = set(scores.loc[~zero, "image_id"])
    lost = zero & ~among(scores["keeper_id"], keeps)
    far = zero & ~(scores["keeper_distance"] <= duplicate_threshold)
    return _result(
        scores, wrong | too_few | lost | far, f"{int(zero.sum()):,} duplicates score 0, each with its keeper"
    )


def range_holds_no_keeper(rows: StoreRows, duplicate_threshold: float) -> RuleResult:
    """A score within the duplicate threshold means a duplicate and nothing else."""
    scores = rows.scored
    inside = scores["uniqueness"] <= duplicate_threshold
    wrong = (inside & scores["keeper_id"].isna()) | ~scores["uniqueness"].between(0.0, 1.0)
    return _result(
        scores, wrong, f"scores from 0 to {duplicate_threshold:g} hold {int(inside.sum()):,} duplicates, no keeper"
    )


def every_readable_image_has_one_score(rows: StoreRows, _: float) -> RuleResult:
    """Every readable image has exactly one score, no other file has one."""
    images, scores = rows.images, rows.scores
    count = images["image_id"].map(scores["image_id"].value_counts()).fillna(0)
    wrong = count != (images["status"] == "ok")
    strangers = scores.loc[~among(scores["image_id"], images["image_id"]), ["image_id"]]
    both = pd.concat([images[["image_id"]][wrong], strangers])
    return _result(both, pd.Series(True, index=both.index), f"{len(scores):,} readable images, {len(scores):,} scores")


def every_removal_has_a_survivor(rows: StoreRows, _: float) -> RuleResult:
    """The keepers of every removed image lead to an image that stays, unless a person discarded the picture."""
    removed = rows.removed
    keeper = dict(zip(removed["image_id"], removed["keeper_id"], strict=True))
    discarded = set(removed.loc[removed["reason"] == DISCARDED, "image_id"])

    def lost(image: str) -> bool:
        seen = set()
        while image in keeper and image not in discarded:
            if image in seen:
                return True
            seen.add(image)
            image = keeper[image]
        return image not in rows.readable

    wrong = pd.Series([lost(image) for image in removed["image_id"]], index=removed.index, dtype=bool)
    return _result(removed, wrong, f"{len(removed):,} removed images, each leads to one that stays or was discarded")


def kept_and_removed_are_all(rows: StoreRows, _: float) -> RuleResult:
    """The Duplicates collection holds exactly the removals in force, and only readable images."""
    removed = set(rows.removed["image_id"])
    odd = sorted((removed ^ rows.tagged) | (removed - rows.readable))
    frame = pd.DataFrame({"image_id": odd})
    kept = len(rows.readable) - len(removed)
    sentence = f"{kept:,} kept + {len(removed):,} removed = {len(rows.readable):,} readable images"
    return _result(frame, pd.Series(True, index=frame.index), sentence)


RULES = (
    Rule(
        "n_minus_one_zeros",
        "uniqueness_scores",
        "Of N identical images exactly N-1 score 0 and name the keeper that stays, for any N.",
        n_minus_one_zeros,
    ),
    Rule(
        "range_holds_no_keeper",
        "uniqueness_scores",
        "A score within the duplicate threshold means a duplicate: filtering by it can never select a keeper.",
        range_holds_no_keeper,
    ),
    Rule(
        "every_readable_image_has_one_score",
        "uniqueness_scores",
        "Every readable image has exactly one score; unreadable files are listed and have none.",
        every_readable_image_has_one_score,
    ),
    Rule(
        "every_removal_has_a_survivor",
        "duplicates",
        "Following the keepers from any removed image ends at an image that stays, unless a person discarded it.",
        every_removal_has_a_survivor,
    ),
    Rule(
        "kept_and_removed_are_all",
        "duplicates",
        "Kept + removed = all readable images; the Duplicates collection is exactly what is removed.",
        kept_and_removed_are_all,
    ),
)


def _result(frame: pd.DataFrame, wrong: "pd.Series[bool]", sentence: str) -> RuleResult:
    broken = frame.loc[wrong, "image_id"].tolist()
    if not broken:
        return RuleResult(True, sentence)
    return RuleResult(False, f"broken for {len(broken):,} images, first '{broken[0]}'", tuple(broken[:_SHOWN]))
