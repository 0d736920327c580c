"""The Duplicates collection: what the score rule removes, put together with what reviewers decided."""

from collections.abc import Iterable, Iterator, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from dedup_assets.core.errors import DecisionError, NoSurvivorError
from dedup_assets.core.scoring.decisions import DISCARD, KEEP, NOT_DUPLICATE, REMOVE, BoundDecision
from dedup_assets.core.scoring.keepers import REFERENCE, may_go

IDENTICAL, DUPLICATE, REVIEWED, DISCARDED = "identical", "duplicate", "reviewed", "discarded"
BY_RULE = "rule"
_SHOWN = 5


@dataclass(frozen=True, slots=True)
class Removal:
    """One image out of the dataset. `reason`: IDENTICAL, DUPLICATE, REVIEWED or DISCARDED (which has no keeper)."""

    image_id: str
    keeper_id: str | None
    reason: str
    distance: float | None
    keeper_reason: str | None = None
    decided_by: str = BY_RULE
    decided_at: str = ""
    note: str = ""


@dataclass(frozen=True, slots=True, eq=False)
class NearPairs:
    """Pairs of images, neither a duplicate, within the near-duplicate threshold; nearest first, ties by their ids.

    `ids`: (n,) the images, sorted. `first` < `second`: (p,) rows of them. `distance`: (p,).
    """

    ids: NDArray[np.object_]
    first: NDArray[np.int64]
    second: NDArray[np.int64]
    distance: NDArray[np.float64]

    @classmethod
    def of(cls, image_a: ArrayLike, image_b: ArrayLike, distance: ArrayLike) -> "NearPairs":
        """The pairs of `image_a` and `image_b`, of which each `image_a` is the smaller, in any order."""
        ends = np.concatenate([np.asarray(end, object) for end in (image_a, image_b)])
        found, names = pd.factorize(ends)
        order = np.argsort(names)
        place = np.empty_like(order)
        place[order] = np.arange(len(order))
        first, second = np.split(place[found], 2)
        apart = np.asarray(distance, np.float64)
        nearest = np.lexsort((second, first, apart))
        return cls(names[order], first[nearest], second[nearest], apart[nearest])

    @classmethod
    def within(
        cls,
        ids: NDArray[np.object_],
        first: NDArray[np.int64],
        second: NDArray[np.int64],
        distance: NDArray[np.float64],
    ) -> "NearPairs":
        """The same where `ids` may hold others, too."""
        used = np.zeros(len(ids), bool)
        used[first] = used[second] = True
        place = np.cumsum(used) - 1
        return cls(ids[used], place[first], place[second], distance)

    def __len__(self) -> int:
        return len(self.distance)

    def __iter__(self) -> Iterator[tuple[str, str, float]]:
        """Each as image, image, distance; the first image is the smaller."""
        ends = (self.ids[self.first].tolist(), self.ids[self.second].tolist(), self.distance.tolist())
        return zip(*ends, strict=True)

    @property
    def images(self) -> NDArray[np.object_]:
        """The images that are in any of the pairs, sorted; `ids` may hold more."""
        named = np.zeros(len(self.ids), bool)
        named[self.first] = named[self.second] = True
        return np.asarray(self.ids[named])

    def only(self, chosen: NDArray[np.bool_]) -> "NearPairs":
        """Those of the pairs that are chosen."""
        return NearPairs(self.ids, self.first[chosen], self.second[chosen], self.distance[chosen])


@dataclass(frozen=True, slots=True)
class Collection:
    """`removals` by image_id, and the near pairs that still wait for a person, nearest first."""

    removals: Mapping[str, Removal]
    waiting: NearPairs


def collect(
    automatic: Iterable[Removal],
    near: NearPairs,
    decisions: Iterable[BoundDecision],
    content_of: Mapping[str, str],
    levels: Mapping[str, int] | None = None,
) -> Collection:
    """The automatic removals with the decisions applied; each removed image leads to one that stays.

    `content_of` gives every readable image its content: what is decided about one of several identical images holds
    for all of them, except `keep`, which keeps the file it names.

    keep: never removed. not_duplicate: not removed because of that partner (or of any, if none is named).
    remove: removed as a duplicate of the partner named, else of the nearest near duplicate that stays, else of an
    identical image, which then stays instead; a partner named that the rule removed in favour of this image stays too.
    discard: removed, whether or not anything is left; what the rule removed in its favour goes with it.
    A decision about a file that is gone holds for the copies that are left, as far as nobody decided about them: keep
    for one of them; remove only in favour of another picture, for a file that is gone needs no copy to stay for it.
    `levels` gives every protected image how strongly (keepers.protected_levels): such an image goes for a stronger one
    only, or by a decision that names it; one in a reference folder never.
    Raises NoSurvivorError when a removal leads to no image that stays and nobody said discard, DecisionError when a
    decision names an image in a reference folder.
    """
    levels = levels or {}
    automatic = [removal for removal in automatic if may_go(levels, removal.image_id, removal.keeper_id)]
    said = _Said(decisions, content_of, {removal.image_id for removal in automatic}, levels)
    partners = _Partners(automatic, near, content_of, said.removed.keys())
    removals = {
        r.image_id: r for r in automatic if r.image_id not in said.kept and not said.apart(r.image_id, r.keeper_id)
    }
    removals |= {image: _reviewed(image, entry, DISCARDED, None, None) for image, entry in said.discarded.items()}
    orphans = []
    for image, entry in sorted(said.removed.items()):
        keeper = _keeper_for(image, entry, partners, removals, said)
        if keeper is None and image not in removals and not entry.moved:
            orphans.append(image)
        elif keeper is not None:
            distance = partners.distance(image, keeper)
            for gone in (image, *said.copies_that_go(image, keeper, removals)):
                removals[gone] = _reviewed(gone, entry, REVIEWED, keeper, distance)
    _open_circles(removals, said)
    orphans += sorted(image for image in removals if not _ends_well(removals, image, content_of))
    if orphans:
        shown = ", ".join(f"'{image}'" for image in orphans[:_SHOWN]) + (", ..." if len(orphans) > _SHOWN else "")
        raise NoSurvivorError(
            f"the decisions would leave no copy of {shown} ({len(orphans)} in all); keep one, name the image it "
            "duplicates in duplicate_of, or say 'discard' to let the picture go. Nothing was changed"
        )
    return Collection(removals, near.only(~said.settled(near, removals)))


def keeper_chain(removals: Mapping[str, Removal], image_id: str) -> list[Removal]:
    """The removals from this image to the one that stays, this one's own first; none for an image that stays."""
    chain: list[Removal] = []
    step: str | None = image_id
    while step is not None and step in removals and len(chain) <= len(removals):
        chain.append(removals[step])
        step = removals[step].keeper_id
    return chain


def survivor(removals: Mapping[str, Removal], image_id: str) -> str | None:
    """The image that stays for this one (itself, if it stays); None where the picture was discarded."""
    chain = keeper_chain(removals, image_id)
    return chain[-1].keeper_id if chain else image_id


class _Said:
    """The decisions, looked up by image and by content.

    `removed` holds the images named, `going` their copies too; `discarded` holds both.
    """

    def __init__(
        self,
        decisions: Iterable[BoundDecision],
        content_of: Mapping[str, str],
        by_rule: AbstractSet[str],
        levels: Mapping[str, int],
    ) -> None:
        self._content_of = content_of
        self._by_rule = by_rule
        self._levels = levels
        self._copies: dict[str, list[str]] = {}
        for image, content in sorted(content_of.items()):
            self._copies.setdefault(content, []).append(image)
        self.kept: set[str] = set()
        self._kept_contents: set[str | None] = set()
        self._apart: set[frozenset[str | None]] = set()
        self.removed: dict[str, BoundDecision] = {}
        self.going: set[str] = set()
        self._discarded_by_name: dict[str, BoundDecision] = {}
        self.discarded: dict[str, BoundDecision] = {}
        self._named: set[str] = set()
        entries = sorted(decisions, key=lambda entry: (entry.moved, entry.decision.line, entry.decision.image_id))
        for entry in entries:
            if not entry.moved and entry.decision.decision != NOT_DUPLICATE:
                self._named.add(entry.decision.image_id)
        for entry in entries:
            self._note(entry)
        self.discarded |= self._discarded_by_name
        self._spare_protected()
        for image in self.kept:
            self.removed.pop(image, None)
            self.discarded.pop(image, None)
            self.going.discard(image)

    def _note(self, entry: BoundDecision) -> None:
        word = entry.decision.decision
        if word in (KEEP, REMOVE):
            for image in self._about(entry):
                if word == KEEP:
                    self.kept.add(image)
                    self._kept_contents.add(self._content_of[image])
                elif not (entry.moved and entry.duplicate_of in self.copies(image)):
                    self.removed.setdefault(image, entry)
                    self.going |= {image} if entry.duplicate_of in self.copies(image) else set(self.copies(image))
            return
        for image in entry.image_ids:
            if word == NOT_DUPLICATE and not entry.partner_is_gone:
                self._apart.add(self._contents(image, entry.duplicate_of))
            elif word == DISCARD:
                self._discarded_by_name.setdefault(image, entry)
                self.discarded = dict.fromkeys(self.copies(image), entry) | self.discarded

    def _about(self, entry: BoundDecision) -> list[str]:
        """The image named; where it is gone, the copy that stays by the rule, else any, that nobody decided about."""
        if not entry.moved:
            return [entry.decision.image_id]
        free = [image for image in entry.image_ids if image not in self._named]
        return sorted(free, key=lambda image: (image in self._by_rule, image))[:1]

    def _spare_protected(self) -> None:
        """A protected image goes only by its own name; one in a reference folder not even so."""
        for word, named in ((REMOVE, self.removed), (DISCARD, self._discarded_by_name)):
            for image, entry in named.items():
                if self._levels.get(image) == REFERENCE:
                    raise DecisionError(
                        f"line {entry.decision.line} says '{word}' of '{image}', which is in a reference folder and is "
                        "never removed; take the line out, or the folder out of the setting reference. "
                        "Nothing was changed"
                    )
        for image in self._levels.keys() - self.removed.keys() - self._discarded_by_name.keys():
            self.discarded.pop(image, None)
            self.going.discard(image)

    def copies(self, image: str) -> list[str]:
        """All images with the content of this one, itself included."""
        return self._copies[self._content_of[image]]

    def copies_that_go(self, image: str, keeper: str, removals: Mapping[str, Removal]) -> list[str]:
        """The copies that are removed with a reviewed image: none when one of them is its keeper."""
        if keeper in self.copies(image):
            return []
        settled = self.kept | self.removed.keys() | self._discarded_by_name.keys()
        return [
            copy
            for copy in self.copies(image)
            if copy not in settled
            and copy not in self._levels
            and not (copy in removals and removals[copy].reason == REVIEWED)
        ]

    def stand_in(self, image: str) -> str | None:
        """The copy that stays when this one is removed: one to keep, else the first that nobody removed by name."""
        gone = self.removed.keys() | self.discarded.keys()
        free = [copy for copy in self.copies(image) if copy != image and copy not in gone]
        return min(free, key=lambda copy: (copy not in self.kept, copy), default=None)

    def apart(self, image: str, other: str | None) -> bool:
        """Whether somebody said that the two, or `image` and any other, are not duplicates."""
        if not self._apart:
            return False
        return self._contents(image, other) in self._apart or self._contents(image, None) in self._apart

    def settled(self, near: NearPairs, removals: Mapping[str, Removal]) -> NDArray[np.bool_]:
        """(p,) whether each pair needs no person any more."""
        ids = near.ids.tolist()
        removed = np.array([image in removals for image in ids], bool)
        settled: NDArray[np.bool_] = removed[near.first] | removed[near.second]
        if self._kept_contents:
            kept = np.array([self._content_of[image] in self._kept_contents for image in ids], bool)
            settled |= kept[near.first] & kept[near.second]
        if self._apart:
            settled |= self._said_apart(near)
        return settled

    def _said_apart(self, near: NearPairs) -> NDArray[np.bool_]:
        """(p,) whether somebody said of each pair, or of one of its images and any other, that they are none."""
        content, names = pd.factorize(np.array([self._content_of[image] for image in near.ids.tolist()], object))
        row_of = {name: row for row, name in enumerate(names.tolist())}
        of_any, both = np.zeros(len(names), bool), []
        for contents in self._apart:
            rows = [row_of.get(name, -1) for name in contents - {None}]
            if None in contents:
                of_any[[row for row in rows if row >= 0]] = True
            elif min(rows) >= 0:
                both.append(min(rows) * len(names) + max(rows))
        a, b = content[near.first], content[near.second]
        between = np.minimum(a, b) * len(names) + np.maximum(a, b)
        return np.asarray(of_any[a] | of_any[b] | np.isin(between, both))

    def _contents(self, image: str, other: str | None) -> frozenset[str | None]:
        return frozenset((self._content_of[image], None if other is None else self._content_of[other]))


def _keeper_for(
    image: str, entry: BoundDecision, partners: "_Partners", removals: Mapping[str, Removal], said: _Said
) -> str | None:
    """What a reviewed image is a duplicate of: as named, else the nearest that stays, else a copy that then stays."""
    if entry.duplicate_of not in (None, image):
        return entry.duplicate_of
    for partner in partners.near(image):
        if not (partner in said.going or partner in removals or said.apart(image, partner)):
            return partner
    return None if image in removals or entry.moved else said.stand_in(image)


class _Partners:
    """What lies near some images, by their contents."""

    def __init__(
        self,
        automatic: Iterable[Removal],
        near: NearPairs,
        content_of: Mapping[str, str],
        images: AbstractSet[str],
    ) -> None:
        """`images`: those asked for."""
        self._content_of = content_of
        self._by_rule: dict[tuple[str, str], float | None] = {}
        self._ids, self._near = near.ids, {}
        if not images:
            return
        wanted = {content_of[image] for image in images}
        contents = np.array([content_of[image] for image in near.ids.tolist()], object)
        self._contents, self._near = contents, _neighbours_of(near, contents, wanted)
        for removal in automatic:
            for one, keeper in ((removal.image_id, removal.keeper_id), (removal.keeper_id, removal.image_id)):
                if one and keeper and content_of[one] in wanted:
                    self._by_rule[content_of[one], content_of[keeper]] = removal.distance

    def near(self, image: str) -> Iterator[str]:
        """The images that lie near this one, nearest first."""
        rows, _ = self._near.get(self._content_of[image], _NONE)
        return (self._ids[row] for row in rows)

    def distance(self, image: str, other: str) -> float | None:
        """0 for two of one content; None where it is not known."""
        content, another = self._content_of[image], self._content_of[other]
        if content == another:
            return 0.0
        if (content, another) in self._by_rule:
            return self._by_rule[content, another]
        rows, distances = self._near.get(content, _NONE)
        found = distances[self._contents[rows] == another] if len(rows) else distances
        return float(found[-1]) if len(found) else None


_Neighbours = tuple[NDArray[np.int64], NDArray[np.float64]]
_NONE: _Neighbours = (np.empty(0, np.int64), np.empty(0))


def _neighbours_of(near: NearPairs, contents: NDArray[np.object_], wanted: AbstractSet[str]) -> dict[str, _Neighbours]:
    """For each of the wanted contents the rows of what lies near it and the distances, nearest first."""
    content, names = pd.factorize(contents)
    asked = np.array([name in wanted for name in names.tolist()], bool)
    here, there = np.stack([near.first, near.second], 1), np.stack([near.second, near.first], 1)
    inside = asked[content[here]]
    of, rows, distance = content[here[inside]], there[inside], np.repeat(near.distance, 2)[inside.ravel()]
    order = np.argsort(of, kind="stable")
    starts = np.flatnonzero(np.diff(of[order], prepend=-1))
    parts = zip(np.split(rows[order], starts[1:]), np.split(distance[order], starts[1:]), strict=True)
    return dict(zip(names[of[order][starts]].tolist(), parts, strict=False))


def _open_circles(removals: dict[str, Removal], said: _Said) -> None:
    """Where a person removed an image in favour of one that the rule had removed for it, the rule gives way."""
    for image in sorted(removals):
        chain = [removal.image_id for removal in keeper_chain(removals, image)]
        if len(chain) > len(removals):
            for member in set(chain[chain.index(chain[-1]) :]):
                if removals[member].reason != REVIEWED and member not in said.removed:
                    del removals[member]


def _ends_well(removals: Mapping[str, Removal], image_id: str, readable: Mapping[str, str]) -> bool:
    """Whether its keepers lead to an image that stays, or by the rule alone to one that was discarded."""
    chain = keeper_chain(removals, image_id)
    if len(chain) > len(removals):  # they run in a circle
        return False
    if chain[-1].reason == DISCARDED:
        return all(removal.reason != REVIEWED for removal in chain)
    return chain[-1].keeper_id in readable


def _reviewed(image: str, entry: BoundDecision, reason: str, keeper: str | None, distance: float | None) -> Removal:
    said = entry.decision
    return Removal(image, keeper, reason, distance, None, said.reviewer or "reviewer", said.decided_at, said.note)
