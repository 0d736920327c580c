"""Vectors to candidate pairs and nearest neighbours: exact, full or new against old, the same on every machine.

Candidates grow with the square of the pictures. A sieve, where there is one, lets most of them go as they are found:
they are no pairs then, but as near as rows that are just out of reach.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dedup_assets.core.detection.cosines import Distances, Indices, exact_cosine, pair_distances, squares_of
from dedup_assets.core.detection.products import AUTO, Int8
from dedup_assets.core.detection.search import FrameSearch, Reach, ViewSearch, view_strips

Progress = Callable[[int, int], None]
Each = Callable[[Any, Sequence[Any]], Iterator[Any]]
Sift = Callable[[Indices, Indices, Distances], NDArray[np.bool_]]

_UNSIFTED = 1 << 21  # pairs held at a time

SEARCH_VERSION = "4"  # changes when a search would find something else


@dataclass(frozen=True, slots=True)
class Join:
    """The pairs within reach that are worth keeping, but for those known before, and each row's nearest among the rest.

    `first` < `second`: (p,) rows of each pair, sorted. `view_distance`, `full_distance`: (p,) the smallest distance of
    any view of one to the full frame of the other, and that of the two full frames. `nearest`: (n,) -1 where there is
    none; `nearest_distance`: (n,) full-frame distance, but at least `reach.beyond`, inf where there is none; of equally
    near ones the lower row.
    """

    first: Indices
    second: Indices
    view_distance: Distances
    full_distance: Distances
    nearest: Indices
    nearest_distance: Distances


@dataclass(frozen=True, slots=True)
class Known:
    """What an earlier join, within the same reach, found of those of n rows that it saw.

    `seen`: (n,) whether it did. `first` < `second`: all pairs it kept between seen rows. `nearest`: (n,) the nearest of
    each seen row among all others of then; -1 where that one is gone or there was none.
    """

    seen: NDArray[np.bool_]
    first: Indices
    second: Indices
    nearest: Indices


def join(
    vectors: Int8,
    reach: Reach,
    known: Known | None = None,
    each: Each = map,
    progress: Progress | None = None,
    device: str = AUTO,
    sift: Sift | None = None,
) -> Join:
    """Every pair within `reach`, and the nearest of the others; with `known`, at the cost of what is new alone.

    `vectors`: (n, views, d) int8 from `quantise`, view 0 the full frame. `each(search, strips)` does the work and gives
    the results in order. `device`: where products are made, see `multiplier`. `sift(first, second, view_distance)`:
    which pairs within the view limit are worth keeping; always the same answer for a pair. Memory: the full frames
    three times, a strip for each thread, and what is kept; `vectors` may be mapped from a file.
    """
    everything = np.arange(len(vectors))
    known = known or nothing_known(len(vectors))
    old, new = np.flatnonzero(known.seen), np.flatnonzero(~known.seen)
    holds, lost = np.flatnonzero(known.nearest >= 0), np.flatnonzero(known.nearest < 0)
    views = vectors.shape[1]
    parts = (len(new) * len(vectors) * (views - 1), len(old) * len(new) * (views - 1), len(holds) * len(new))
    work = _Work(vectors, reach, each, progress, sum(parts) + len(lost) * len(vectors), sift)

    full = np.ascontiguousarray(vectors[:, 0])
    found = work.views(new, ViewSearch(reach, everything, full, len(new), views, device))
    found = _united(len(vectors), found, work.views(old, ViewSearch(reach, new, full[new], len(old), views, device)))
    nearest, cosine = known.nearest.copy(), np.full(len(vectors), -np.inf)
    cosine[holds] = _cosines(full, holds, nearest[holds])
    search = FrameSearch(full, lost, everything, *_added(known, found), reach, device)
    found = _united(len(vectors), found, work.frames(search, nearest, cosine))
    work.frames(FrameSearch(full, holds, new, *_added(known, found), None, device, cosine.copy()), nearest, cosine)
    first, second = found
    distance = _distances_of(nearest, cosine, reach)
    return Join(first, second, *pair_distances(vectors, first, second, reach.calibration), nearest, distance)


def nothing_known(count: int) -> Known:
    """What is known of `count` rows before any join."""
    none = np.empty(0, np.int64)
    return Known(np.zeros(count, bool), none, none, np.full(count, -1, np.int64))


def nearest_among(
    vectors: Int8,
    reach: Reach,
    rows: Indices,
    allowed: NDArray[np.bool_],
    first: Indices,
    second: Indices,
    each: Each = map,
    device: str = AUTO,
) -> tuple[Indices, Distances]:
    """For each of `rows`, its nearest by full frame among the `allowed` rows it is in no pair of first/second with.

    first, second: the pairs of a join within `reach`. (len(rows),) row numbers (-1: none) and distances (inf: none), as
    `Join` has them.
    """
    nearest, cosine = np.full(len(vectors), -1, np.int64), np.full(len(vectors), -np.inf)
    full = np.ascontiguousarray(vectors[:, 0])
    search = FrameSearch(full, rows, np.flatnonzero(allowed), first, second, None, device)
    _Work(vectors, reach, each, None, 0, None).frames(search, nearest, cosine)
    return nearest[rows], _distances_of(nearest[rows], cosine[rows], reach)


def _distances_of(nearest: Indices, cosine: Distances, reach: Reach) -> Distances:
    distance = np.maximum(reach.calibration.distance(np.maximum(cosine, -1.0)), reach.beyond)
    return np.where(nearest >= 0, distance, np.inf)


class _Pairs:
    """Pairs as they are found. Those that the sieve lets go are not held on to.

    `only_views`: nor are those whose full frames are within reach, which another search finds.
    """

    def __init__(self, vectors: Int8, reach: Reach, sift: Sift | None, *, only_views: bool = False) -> None:
        self._vectors, self._reach, self._sift, self._only_views = vectors, reach, sift, only_views
        self._kept: list[tuple[Indices, Indices]] = []
        self._new: list[tuple[Indices, Indices]] = []

    def add(self, first: Indices, second: Indices) -> tuple[Indices, Indices]:
        """More of them; those that are let go, when it is time to look."""
        self._new.append((first, second))
        full = sum(len(pair[0]) for pair in self._new) >= _UNSIFTED
        return self.settle() if full else (first[:0], second[:0])

    def settle(self) -> tuple[Indices, Indices]:
        """Those that are let go of all not looked at yet."""
        first, second = _united(len(self._vectors), *self._new)
        self._new = []
        view, full = pair_distances(self._vectors, first, second, self._reach.calibration)
        if self._only_views:
            ours = ~self._reach.holds(full, full)
            first, second, view = first[ours], second[ours], view[ours]
        kept = np.ones(len(first), bool)
        if self._sift and len(first):
            asked = np.flatnonzero(view <= self._reach.view_limit)
            kept[asked] = self._sift(first[asked], second[asked], view[asked])
        self._kept.append((first[kept], second[kept]))
        return first[~kept], second[~kept]

    def kept(self) -> tuple[Indices, Indices]:
        """All that is kept, sorted and each once. Everything was looked at."""
        return _united(len(self._vectors), *self._kept)


class _Work:
    """Puts together what the strips of a search find, and tells how far it is: `total` products are all of it."""

    def __init__(
        self, vectors: Int8, reach: Reach, each: Each, progress: Progress | None, total: int, sift: Sift | None
    ) -> None:
        self._vectors, self._reach, self._sift = vectors, reach, sift
        self._each, self._progress = each, progress
        self._total, self._done = max(total, 1), 0

    def views(self, rows: Indices, search: ViewSearch) -> tuple[Indices, Indices]:
        """The pairs that only views of the rows make."""
        count, views = len(self._vectors), self._vectors.shape[1] - 1
        pairs, reach = _Pairs(self._vectors, self._reach, self._sift, only_views=True), self._reach
        strips = view_strips(self._vectors, rows) if views else []
        sizes = [len(strip.rows) * views for strip in strips]
        for first, second, doubt in self._through(search, strips, sizes):
            pairs.add(first[~doubt], second[~doubt])
            first, second = _united(count, (first[doubt], second[doubt]))
            inside = reach.holds(*pair_distances(self._vectors, first, second, reach.calibration))
            pairs.add(first[inside], second[inside])
        pairs.settle()
        return pairs.kept()

    def frames(self, search: FrameSearch, nearest: Indices, cosine: Distances) -> tuple[Indices, Indices]:
        """The pairs found. Takes what is nearer than `nearest`, whose cosines are `cosine`; of equally near ones the
        lower row."""
        pairs = _Pairs(self._vectors, self._reach, self._sift)
        asked = np.zeros(len(search.full), bool)
        asked[search.rows] = True

        def take(first: Indices, second: Indices) -> None:
            """Pairs that are let go are near all the same, from both ends."""
            value = _cosines(search.full, first, second)
            for row, other in ((first, second), (second, first)):
                here = asked[row]
                _take_nearer(nearest, cosine, row[here], other[here], value[here])

        sizes = [stop - start for start, stop in search.strips]
        for row, other, value in self._through(search, search.strips, sizes):
            paired = np.zeros(len(row), bool)
            if search.reach:
                distance = search.reach.calibration.distance(value)
                paired = search.reach.holds(distance, distance)
                once = paired & ((row < other) | ~asked[other])  # it is found from the other end, too
                take(*pairs.add(np.minimum(row, other)[once], np.maximum(row, other)[once]))
            _take_nearer(nearest, cosine, row[~paired], other[~paired], value[~paired])
        take(*pairs.settle())
        return pairs.kept()

    def _through(self, search: ViewSearch | FrameSearch, strips: Sequence[Any], sizes: Sequence[int]) -> Iterator[Any]:
        """What each strip gives. `sizes`: how many vectors of each meet every column."""
        if not len(search.columns):
            return
        for size, result in zip(sizes, self._each(search, strips), strict=True):
            self._done += size * len(search.columns)
            if self._progress:
                self._progress(round(len(self._vectors) * self._done / self._total), len(self._vectors))
            yield result


def _take_nearer(nearest: Indices, cosine: Distances, row: Indices, other: Indices, value: Distances) -> None:
    """Of each row the nearest of the others named, where it is nearer than what it has; of equally near ones the lower
    row."""
    order = np.lexsort((other, -value, row))
    row, other, value = row[order], other[order], value[order]
    best = np.ones(len(row), bool)
    best[1:] = row[1:] != row[:-1]
    row, other, value = row[best], other[best], value[best]
    better = (value > cosine[row]) | ((value == cosine[row]) & (other < nearest[row]))
    nearest[row[better]], cosine[row[better]] = other[better], value[better]


def _united(count: int, *pairs: tuple[Indices, Indices]) -> tuple[Indices, Indices]:
    """Pairs of `count` rows, sorted and each once."""
    keys = [first * count + second for first, second in pairs]
    first, second = np.divmod(np.unique(np.concatenate([np.empty(0, np.int64), *keys])), max(count, 1))
    return first, second


def _added(known: Known, found: tuple[Indices, Indices]) -> tuple[Indices, Indices]:
    """All pairs: those known before, and these."""
    return np.append(known.first, found[0]), np.append(known.second, found[1])


def _cosines(full: Int8, rows: Indices, others: Indices) -> Distances:
    dots = np.einsum("nd,nd->n", full[rows], full[others], dtype=np.int32)
    return exact_cosine(dots, squares_of(full[rows]), squares_of(full[others]))
