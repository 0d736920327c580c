"""Near-duplicate groups: which images hang together, who leads, and why."""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from dedup_assets.core.exploring.snapshot import Gallery, Rows, Snapshot
from dedup_assets.core.scoring.decisions import Library
from dedup_assets.core.scoring.keepers import protected_levels, rank, why_kept
from dedup_assets.core.settings import Thresholds


@dataclass(frozen=True, slots=True)
class Group:
    """Near duplicates that hang together. `members`: those that stay by the rule, the suggested keeper first.

    `everyone`: the members with their duplicates. `pairs`: (row, row, distance), nearest first.
    """

    leader: int
    members: tuple[int, ...]
    everyone: tuple[int, ...]
    pairs: tuple[tuple[int, int, float], ...]


class Groups:
    """The groups of a gallery at given thresholds, nearest pair first."""

    def __init__(self, snapshot: Snapshot) -> None:
        self.gallery: Gallery = snapshot.gallery
        self.thresholds: Thresholds = snapshot.thresholds
        self.policy = snapshot.project.keepers
        self.by_leader = self._found()
        self.order = sorted(self.by_leader, key=lambda leader: (self.by_leader[leader].pairs[0][2], leader))

    @cached_property
    def group_of(self) -> dict[int, int]:
        """row -> the leader of its group, for members and their duplicates."""
        return {row: group.leader for group in self.by_leader.values() for row in group.everyone}

    @cached_property
    def protected(self) -> dict[str, int]:
        """image_id -> how strongly it is protected, for images that are."""
        return protected_levels(self.gallery.images, self.policy)

    @cached_property
    def library(self) -> Library:
        """The readable images, as decisions look them up."""
        images = self.gallery.images[self.gallery.readable]
        known = frozenset(self.gallery.row_of)
        return Library(dict(zip(images["image_id"], images["file_hash"], strict=True)), known)

    def why(self, keeper: int, other: int) -> str:
        """Why the keeper order puts the one before the other."""
        frame = self.gallery.images.iloc[[keeper, other]]
        return why_kept(frame, np.array([0]), np.array([1]), self.policy)[0]

    def _found(self) -> dict[int, Group]:
        gallery = self.gallery
        stays = gallery.readable & ~gallery.duplicate
        inside = (gallery.distance <= self.thresholds.near_duplicate) & stays[gallery.first] & stays[gallery.second]
        pairs: dict[int, list[tuple[int, int, float]]] = {}
        ends = (gallery.first[inside].tolist(), gallery.second[inside].tolist(), gallery.distance[inside].tolist())
        for a, b, distance in zip(*ends, strict=True):
            pairs.setdefault(int(gallery.group[a]), []).append((a, b, distance))
        near = np.unique(np.concatenate([gallery.first[inside], gallery.second[inside]]))
        place = np.full(len(gallery), -1, np.int64)
        if len(near):
            place[near] = rank(gallery.images.iloc[near], self.policy)
        everyone = _split_by(gallery.group, pairs.keys())
        members = _split_by(np.where(place >= 0, gallery.group, -1), pairs.keys())
        return {
            leader: Group(
                leader,
                tuple(sorted(members[leader], key=lambda row: int(place[row]))),
                tuple(everyone[leader]),
                tuple(between),
            )
            for leader, between in pairs.items()
        }


def _split_by(group: Rows, leaders: Iterable[int]) -> dict[int, list[int]]:
    """The rows of each of the groups named, in order."""
    order = np.argsort(group, kind="stable")
    ordered = group[order]
    starts = {leader: np.searchsorted(ordered, [leader, leader + 1]) for leader in leaders}
    return {leader: order[start:stop].tolist() for leader, (start, stop) in starts.items()}
