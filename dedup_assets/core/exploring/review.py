"""Near-duplicate groups as a person goes through them: what waits, what was said, who is suggested to stay."""

from collections.abc import Collection as Several
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from dedup_assets.core.errors import DecisionError
from dedup_assets.core.exploring.decision_file import NewDecision
from dedup_assets.core.exploring.groups import Group, Groups, Pairs
from dedup_assets.core.exploring.snapshot import Snapshot
from dedup_assets.core.exploring.standing import mark_of, who_decided
from dedup_assets.core.scoring.collection import BY_RULE, DUPLICATE, IDENTICAL, Collection, NearPairs, Removal, collect
from dedup_assets.core.scoring.decisions import (
    DISCARD,
    KEEP,
    NOT_DUPLICATE,
    REMOVE,
    BoundDecision,
    bind,
    read_decisions,
)

ACCEPT = "accept"
ACTIONS = (KEEP, REMOVE, DISCARD, NOT_DUPLICATE, ACCEPT)


@dataclass(frozen=True, slots=True)
class Suggestion:
    """One image to remove in favour of another, with their distance."""

    row: int
    keeper: int
    distance: float


@dataclass(frozen=True, slots=True)
class GroupState:
    """A group as decided so far: `waiting` pairs, `removed` rows and the row each stays for (-1: discarded), `kept`."""

    group: Group
    waiting: Pairs
    removed: dict[int, int]
    kept: frozenset[int]
    apart: frozenset[int]


_Words = tuple[object, ...]
_States = dict[int, dict[_Words, GroupState]]
_STATES_KEPT = 3  # of each group: as it is, as it would be, and as it was


class Review:
    """The groups together with a decisions file as it stands."""

    def __init__(self, groups: Groups, snapshot: Snapshot, path: Path, known: "Review | None" = None) -> None:
        self.groups = groups
        self.error: str | None = None
        applied = snapshot.applied.fillna("")
        self._remembered = {
            (str(row.image_id), str(row.decision), str(row.duplicate_of)): (
                str(row.content_hash),
                str(row.duplicate_of_hash),
            )
            for row in applied.itertuples(index=False)
        }
        self._known: _States = known._known if known is not None and known.groups is groups else {}
        try:
            self.bound = self._bind(path, path)
        except DecisionError as error:
            self.error, self.bound = str(error), []
        self._said = self._by_group(self.bound)

    @cached_property
    def waiting(self) -> list[int]:
        """Leaders of the groups that still wait, nearest pair first."""
        return [leader for leader in self.groups.order if len(self.state(leader).waiting)]

    @cached_property
    def words(self) -> dict[str, str]:
        """What was decided about each image, by image_id."""
        return {image: entry.decision.decision for entry in self.bound for image in entry.image_ids}

    def state(self, leader: int) -> GroupState:
        """One group as decided so far."""
        return self._state(leader, self._said.get(leader, []))

    def _state(self, leader: int, said: Sequence[BoundDecision]) -> GroupState:
        group = self.groups.by_leader[leader]
        if not said:
            return _untouched(group)
        known = self._known.setdefault(leader, {})
        words = tuple((entry.decision.decision, entry.image_ids, entry.duplicate_of) for entry in said)
        state = known.get(words)
        if state is None:
            state = known[words] = self._decided(group, said)
            for old in list(known)[:-_STATES_KEPT]:
                known.pop(old, None)
        return state

    def suggest(self, state: GroupState, first: int | None = None) -> list[Suggestion]:
        """Whom to remove for whom: the best of the keeper order stay (`first` before all), each other goes for its
        nearest of them. Nobody is removed for an image it is no near duplicate of."""
        between = state.waiting.rows
        nearest: dict[int, tuple[float, int]] = {}  # to a keeper

        def keep(keeper: int) -> None:
            keepers.add(keeper)
            for row, distance in state.waiting.of(keeper).items():
                nearest[row] = min(nearest.get(row, (distance, keeper)), (distance, keeper))

        keepers: set[int] = set()
        for row in state.kept:
            keep(row)
        order = [] if first is None or first in state.removed else [first]
        for row in (*order, *state.group.members):
            if row not in nearest and row not in keepers and (row in between or row == first):
                keep(row)
        return [
            Suggestion(row, nearest[row][1], nearest[row][0])
            for row in state.group.members
            if row in nearest and row not in keepers
        ]

    def stays(self, state: GroupState, plan: Sequence[Suggestion], chosen: int | None = None) -> int | None:
        """Whom a plan keeps: the one chosen if the plan does keep it, else the first of the keeper order; None: nobody
        is to go."""
        keepers = {suggestion.keeper for suggestion in plan}
        return chosen if chosen in keepers else next((row for row in state.group.members if row in keepers), None)

    def why(self, state: GroupState, plan: Sequence[Suggestion], keeper: int) -> str:
        """Why the plan keeps this image: a decision, or the keeper order; '' where that order alone would have kept
        the image that is to go."""
        image, members = str(self.groups.gallery.ids[keeper]), state.group.members
        kept = (entry for entry in self.said(state.group.leader) if entry.decision.decision == KEEP)
        decided = next((entry for entry in kept if image in entry.image_ids), None)
        if decided is not None:
            return f"{who_decided(decided)} decided to keep it"
        other = next(suggestion.row for suggestion in plan if suggestion.keeper == keeper)
        ahead = members.index(keeper) < members.index(other)
        return self.groups.why(keeper, other) if ahead else ""

    def suggestions_within(self, distance: float) -> dict[int, list[Suggestion]]:
        """For every waiting group nobody has touched and that lies within `distance` as a whole: what is suggested."""
        found = {}
        for leader in self.waiting:
            group = self.groups.by_leader[leader]
            if leader not in self._said and group.pairs.distance[-1] <= distance:
                found[leader] = self.suggest(self.state(leader))
        return found

    def decide(self, leader: int, action: str, row: int, keeper: int | None) -> list[NewDecision]:
        """The lines that an action on one image of a group means. Raises DecisionError when it means nothing."""
        state = self.state(leader)
        if action == ACCEPT:
            return self.lines(self.suggest(state, keeper))
        if action == NOT_DUPLICATE:
            return [self._line(row, NOT_DUPLICATE, other) for other in state.waiting.of(row)]
        if action == REMOVE:
            return [self._line(row, REMOVE, self._stays_for(state, row, keeper))]
        if action in (KEEP, DISCARD):
            return [self._line(row, action)]
        raise DecisionError(f"unknown action '{action}'; it may be {', '.join(ACTIONS)}")

    def mark(self, leader: int) -> str:
        """Changes when the group has other images, or other decisions stand about it."""
        members, hashes = self.groups.by_leader[leader].members, self.groups.gallery.images["file_hash"]
        ids = self.groups.gallery.ids
        return mark_of([(str(ids[row]), str(hashes.iloc[row])) for row in members], self.said(leader))

    def said(self, leader: int) -> Sequence[BoundDecision]:
        """The decisions about the group, as they stand in the file."""
        return self._said.get(leader, [])

    def stands(self, leader: int, action: str, row: int, keeper: int | None, removes: Several[int] | None) -> bool:
        """Whether what an action means is decided already. `removes`: whom accepting was to remove, if that is known,
        else whom it would remove had nothing been decided."""
        state = self.state(leader)
        if action == KEEP:
            return row in state.kept
        if action == DISCARD:
            return state.removed.get(row) == -1
        if action == NOT_DUPLICATE:
            settled = row not in state.removed and not state.waiting.of(row)
            apart = (entry for entry in self.said(leader) if entry.decision.decision == NOT_DUPLICATE)
            image = str(self.groups.gallery.ids[row])
            return settled and any(image in (*entry.image_ids, entry.duplicate_of) for entry in apart)
        if action == ACCEPT and removes is None:
            removes = [suggestion.row for suggestion in self.suggest(_untouched(state.group), keeper)]
        going = (removes or ()) if action == ACCEPT else (row,)
        keeper_left = keeper in going or keeper not in state.removed
        return not going or (keeper_left and all(state.removed.get(gone, -1) >= 0 for gone in going))

    def lines(self, suggestions: Iterable[Suggestion]) -> list[NewDecision]:
        """Suggestions as lines of the decisions file."""
        return [self._line(suggestion.row, REMOVE, suggestion.keeper) for suggestion in suggestions]

    def check(self, path: Path, partial: Path, images: Sequence[str]) -> None:
        """Raises DecisionError when the file, as it would be, contradicts itself or leaves a picture without a copy.
        Only what is said about `images` differs from how it stands."""
        changed = set(images)
        for leader, said in self._by_group(self._bind(partial, path)).items():
            if any(entry.decision.image_id in changed for entry in said):
                self._state(leader, said)

    def _line(self, row: int, decision: str, partner: int | None = None) -> NewDecision:
        ids, hashes = self.groups.gallery.ids, self.groups.gallery.images["file_hash"]
        other = "" if partner is None else str(ids[partner])
        return NewDecision(str(ids[row]), decision, other, str(hashes.iloc[row]))

    def _stays_for(self, state: GroupState, row: int, keeper: int | None) -> int | None:
        """The partner of a removal: the keeper chosen, if it is one of the near duplicates, else the nearest left."""
        near = sorted((distance, other) for other, distance in state.group.pairs.of(row).items())
        left = [other for _, other in near if other not in state.removed]
        if keeper is not None and keeper in left:
            return keeper
        return left[0] if left else None

    def _bind(self, content: Path, path: Path) -> list[BoundDecision]:
        return bind(path, read_decisions(content), self.groups.library, self._remembered)

    def _by_group(self, bound: Sequence[BoundDecision]) -> dict[int, list[BoundDecision]]:
        found: dict[int, list[BoundDecision]] = {}
        row_of, group_of = self.groups.gallery.row_of, self.groups.group_of
        for entry in bound:
            named = (*entry.image_ids, entry.duplicate_of) if entry.duplicate_of else entry.image_ids
            leaders = {group_of.get(row_of.get(image, -1), -1) for image in named}
            for leader in sorted(leaders - {-1}):
                found.setdefault(leader, []).append(entry)
        return found

    def _decided(self, group: Group, said: Sequence[BoundDecision]) -> GroupState:
        gallery = self.groups.gallery
        rows = {*group.everyone}
        for entry in said:
            named = (*entry.image_ids, entry.duplicate_of) if entry.duplicate_of else entry.image_ids
            rows |= {gallery.row_of[image] for image in named}
        ends, places = np.unique(np.concatenate([group.pairs.first, group.pairs.second]), return_inverse=True)
        first, second = np.split(places, 2)
        near = NearPairs(gallery.ids[ends], first, second, group.pairs.distance)
        collected = self._collect(near, sorted(rows), said)
        left = collected.waiting
        row_of, members = gallery.row_of, set(group.members)
        words = {row_of[i]: entry.decision.decision for entry in said for i in entry.image_ids}
        return GroupState(
            group,
            Pairs(ends[left.first], ends[left.second], left.distance),
            {
                row_of[image]: row_of[removal.keeper_id] if removal.keeper_id else -1
                for image, removal in collected.removals.items()
                if row_of[image] in members
            },
            frozenset(row for row, word in words.items() if word == KEEP and row in members),
            frozenset(row for row, word in words.items() if word == NOT_DUPLICATE and row in members),
        )

    def _collect(self, near: NearPairs, rows: list[int], said: Sequence[BoundDecision]) -> Collection:
        gallery = self.groups.gallery
        content = {str(gallery.ids[row]): str(gallery.content[row]) for row in rows}
        duplicates = [row for row in rows if gallery.keeper[row] in set(rows)]
        automatic = [
            Removal(
                str(gallery.ids[row]),
                str(gallery.ids[gallery.keeper[row]]),
                IDENTICAL if gallery.content[row] == gallery.content[gallery.keeper[row]] else DUPLICATE,
                0.0,
                None,
                BY_RULE,
            )
            for row in duplicates
        ]
        return collect(automatic, near, said, content, self.groups.protected)


def _untouched(group: Group) -> GroupState:
    return GroupState(group, group.pairs, {}, frozenset(), frozenset())
