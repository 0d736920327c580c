"""Other thresholds, tried out: who would be removed or come back, before anything runs."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dedup_assets.core.errors import DecisionError, SettingsError
from dedup_assets.core.exploring.snapshot import Gallery, Rows, Snapshot
from dedup_assets.core.scoring.collection import BY_RULE, DUPLICATE, IDENTICAL, NearPairs, Removal, collect
from dedup_assets.core.scoring.decisions import BoundDecision
from dedup_assets.core.scoring.keepers import protected_levels, rank
from dedup_assets.core.scoring.uniqueness import NEAR_DUPLICATE_LABEL, ContentPairs, Scores, score
from dedup_assets.core.settings import Thresholds


@dataclass(frozen=True, slots=True)
class Change:
    """One image whose fate would change, and the image it is or was removed for (-1: none)."""

    row: int
    keeper: int
    distance: float | None


@dataclass(frozen=True, slots=True)
class Outcome:
    """What the chain would say with other thresholds and the decisions as they stand.

    `removed`, `kept`, `duplicates`, `near`: images after it; `groups` of near duplicates; `waiting`: near pairs left to
    a person. `leave` and `come_back`: what changes against the removals in force. `problem`: why it would stop.
    """

    removed: int
    kept: int
    duplicates: int
    near: int
    groups: int
    waiting: int
    leave: tuple[Change, ...]
    come_back: tuple[Change, ...]
    problem: str | None


class WhatIf:
    """The score rule over one gallery. May be asked by several threads at once."""

    def __init__(self, snapshot: Snapshot) -> None:
        self.gallery: Gallery = snapshot.gallery
        self.limit = snapshot.pair_limit
        self._rows = np.flatnonzero(self.gallery.readable)
        images = self.gallery.images.iloc[self._rows].reset_index(drop=True)
        self._content = np.unique(images["content_id"].to_numpy(dtype=str), return_inverse=True)[1]
        self._rank = rank(images, snapshot.project.keepers)
        self._levels = protected_levels(images, snapshot.project.keepers)
        self._pairs = self._near_pairs()

    def outcome(self, snapshot: Snapshot, bound: Sequence[BoundDecision], thresholds: Thresholds) -> Outcome:
        """What these thresholds would do. Raises SettingsError beyond the distance up to which pairs are listed."""
        if thresholds.near_duplicate > self.limit:
            raise SettingsError(
                f"near_duplicate_threshold {thresholds.near_duplicate:g} is beyond the stored pairs (up to "
                f"{self.limit:g}); run the chain with it to see what it does"
            )
        scores = score(self._content, self._rank, self._pairs, thresholds)
        listed, ids = self.gallery, self.gallery.ids
        duplicates = np.flatnonzero(scores.keeper >= 0)
        automatic = [self._removal(scores, row) for row in duplicates.tolist()]
        stays = np.zeros(len(ids), bool)
        stays[self._rows[scores.keeper < 0]] = True
        inside = (listed.distance <= thresholds.near_duplicate) & stays[listed.first] & stays[listed.second]
        near = NearPairs.within(ids, listed.first[inside], listed.second[inside], listed.distance[inside])
        content_of = self._contents_of_all_in(scores, near, bound)
        problem = None
        try:
            collected = collect(automatic, near, bound, content_of, self._levels)
        except DecisionError as error:
            problem, collected = str(error), collect(automatic, near, [], content_of, self._levels)
        leave, come_back = self._changes(snapshot, collected.removals)
        near_images = scores.label == NEAR_DUPLICATE_LABEL
        return Outcome(
            removed=len(collected.removals),
            kept=len(self._rows) - len(collected.removals),
            duplicates=len(duplicates),
            near=int(near_images.sum()),
            groups=len(np.unique(scores.group[near_images])),
            waiting=len(collected.waiting),
            leave=leave,
            come_back=come_back,
            problem=problem,
        )

    def _near_pairs(self) -> ContentPairs:
        """The listed pairs by content. Whoever lies beyond the limit can change no fate and is left out."""
        contents = int(self._content.max(initial=-1)) + 1
        content = np.full(len(self.gallery), -1, np.int64)
        content[self._rows] = self._content
        first, second = content[self.gallery.first], content[self.gallery.second]
        known = (first >= 0) & (second >= 0)
        none = np.full(contents, -1, np.int64)

        def rescan(rows: Rows, _: object) -> tuple[Rows, NDArray[np.float64]]:
            return none[rows], np.full(len(rows), np.inf)

        return ContentPairs(
            first=np.minimum(first, second)[known],
            second=np.maximum(first, second)[known],
            distance=self.gallery.distance[known],
            nearest=none,
            nearest_distance=np.full(contents, np.inf),
            rescan=rescan,
        )

    def _contents_of_all_in(self, scores: Scores, near: NearPairs, bound: Sequence[BoundDecision]) -> dict[str, str]:
        """The content of every image that is spoken of and of its identical ones: nobody else's fate is open."""
        row_of, content = self.gallery.row_of, self.gallery.content
        named = {image for entry in bound for image in (*entry.image_ids, entry.duplicate_of)} - {None}
        rows = np.array([row_of[image] for image in (*near.ids.tolist(), *named)], np.int64)
        duplicates = scores.keeper >= 0
        spoken_of = np.zeros(len(content), bool)
        spoken_of[content[rows]] = True
        spoken_of[content[self._rows[duplicates]]] = spoken_of[content[self._rows[scores.keeper[duplicates]]]] = True
        every = self._rows[spoken_of[content[self._rows]]]
        return dict(zip(self.gallery.ids[every].tolist(), content[every].astype(str).tolist(), strict=True))

    def _removal(self, scores: Scores, row: int) -> Removal:
        ids, keeper = self.gallery.ids, int(scores.keeper[row])
        identical = self._content[row] == self._content[keeper]
        reason = IDENTICAL if identical else DUPLICATE
        image, other = str(ids[self._rows[row]]), str(ids[self._rows[keeper]])
        return Removal(image, other, reason, float(scores.keeper_distance[row]), None, BY_RULE)

    def _changes(
        self, snapshot: Snapshot, removals: Mapping[str, Removal]
    ) -> tuple[tuple[Change, ...], tuple[Change, ...]]:
        """Images that leave, and images that come back, each by path."""
        row_of, before = self.gallery.row_of, snapshot.removed_for
        leave = [
            Change(row_of[image], row_of.get(removal.keeper_id or "", -1), removal.distance)
            for image, removal in sorted(removals.items())
            if image not in before
        ]
        come_back = [
            Change(row_of[image], row_of.get(keeper or "", -1), distance)
            for image, (keeper, distance) in sorted(before.items())
            if image not in removals
        ]
        return tuple(leave), tuple(come_back)
