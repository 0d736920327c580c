"""Near-duplicate groups: which images hang together, who leads, and why."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from dedup_assets.core.exploring.snapshot import Gallery, Rows, Snapshot
from dedup_assets.core.scoring.decisions import Library
from dedup_assets.core.scoring.keepers import protected_levels, rank, why_kept
from dedup_assets.core.settings import Thresholds


@dataclass(frozen=True, slots=True, eq=False)
class Pairs:
    """Near pairs of images of one group, nearest first. `first`, `second`, `distance`: (p,), rows of the gallery."""

    first: Rows
    second: Rows
    distance: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.distance)

    @property
    def rows(self) -> set[int]:
        """The images that are in any of them."""
        return {*np.unique(np.concatenate([self.first, self.second])).tolist()}

    def of(self, row: int) -> dict[int, float]:
        """What one image is in a pair with, and their distances, nearest first."""
        mine = np.flatnonzero((self.first == row) | (self.second == row))
        others = np.where(self.first[mine] == row, self.second[mine], self.first[mine])
        return dict(zip(others.tolist(), self.distance[mine].tolist(), strict=True))


@dataclass(frozen=True, slots=True)
class Group:
    """Near duplicates that hang together. `members`: those that stay by the rule, the suggested keeper first.

    `everyone`: the members with their duplicates. `pairs`: those between members.
    """

    leader: int
    members: tuple[int, ...]
    everyone: tuple[int, ...]
    pairs: Pairs


class Groups:
    """The groups of a gallery at given thresholds, nearest pair first."""

    def __init__(self, snapshot: Snapshot) -> None:
        self.gallery: Gallery = snapshot.gallery
        self.thresholds: Thresholds = snapshot.thresholds
        self.policy = snapshot.project.keepers
        self.by_leader = self._found()
        self.order = sorted(self.by_leader, key=lambda leader: (self.by_leader[leader].pairs.distance[0], leader))

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
        first, second, distance = gallery.first[inside], gallery.second[inside], gallery.distance[inside]
        between = _split_by(gallery.group[first])
        near = np.unique(np.concatenate([first, second]))
        place = np.full(len(gallery), -1, np.int64)
        if len(near):
            place[near] = rank(gallery.images.iloc[near], self.policy)
        everyone = _split_by(gallery.group)
        members = _split_by(np.where(place >= 0, gallery.group, -1))
        return {
            leader: Group(
                leader,
                tuple(sorted(members[leader].tolist(), key=lambda row: int(place[row]))),
                tuple(everyone[leader].tolist()),
                Pairs(first[pairs], second[pairs], distance[pairs]),
            )
            for leader, pairs in between.items()
        }


def _split_by(group: Rows) -> dict[int, Rows]:
    """The places of each of the groups, in order."""
    order = np.argsort(group, kind="stable")
    starts = np.flatnonzero(np.diff(group[order], prepend=-2))
    return dict(zip(group[order[starts]].tolist(), np.split(order, starts[1:]), strict=False))
