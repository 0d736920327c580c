"""Vectors to candidate pairs and nearest neighbours: exact, full or new against old, the same on every machine."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dedup_assets.core.detection.base import Calibration
from dedup_assets.core.detection.products import AUTO, Int8
from dedup_assets.core.detection.search import (
    Distances,
    FrameSearch,
    Indices,
    Reach,
    ViewSearch,
    exact_cosine,
    pair_distances,
    squares_of,
    view_strips,
)

__all__ = ["Int8", "Join", "Known", "Reach", "join", "nearest_among", "pair_distances", "quantise"]

Progress = Callable[[int, int], None]
Each = Callable[[Any, Sequence[Any]], Iterator[Any]]

SEARCH_VERSION = "3"  # changes when a search would find something else


@dataclass(frozen=True, slots=True)
class Join:
    """The pairs within reach, but for those known before, and each row's nearest among its other pairs.

    `first` < `second`: (p,) rows of each pair, sorted. `view_distance`, `full_distance`: (p,) the smallest distance of
    any view of one to the full frame of the other, and that of the two full frames. `nearest`: (n,) -1 where there is
    none; `nearest_distance`: (n,) full-frame distance, inf where there is none; of equally near ones the lower row.
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

    `seen`: (n,) whether it did. `first` < `second`: all pairs between seen rows. `nearest`: (n,) the nearest of each
    seen row among its other pairs of then; -1 where that one is gone or there was none.
    """

    seen: NDArray[np.bool_]
    first: Indices
    second: Indices
    nearest: Indices


def quantise(vectors: NDArray[np.float32]) -> Int8:
    """Unit vectors (..., d) as int8, each scaled so that its largest entry is 127."""
    largest = np.abs(vectors).max(axis=-1, keepdims=True)
    return np.asarray(np.rint(vectors * (127.0 / np.maximum(largest, 1e-12))), np.int8)


def join(
    vectors: Int8,
    reach: Reach,
    known: Known | None = None,
    each: Each = map,
    progress: Progress | None = None,
    device: str = AUTO,
) -> Join:
    """Every pair within `reach`, and the nearest of the others; with `known`, at the cost of what is new alone.

    `vectors`: (n, views, d) int8 from `quantise`, view 0 the full frame. `each(search, strips)` does the work and gives
    the results in order. `device`: where products are made, see `multiplier`. Memory: the full frames three times, a
    strip for each thread, and what is found; `vectors` may be mapped from a file.
    """
    everything = np.arange(len(vectors))
    known = known or nothing_known(len(vectors))
    old, new = np.flatnonzero(known.seen), np.flatnonzero(~known.seen)
    holds, lost = np.flatnonzero(known.nearest >= 0), np.flatnonzero(known.nearest < 0)
    views = vectors.shape[1]
    parts = (len(new) * len(vectors) * (views - 1), len(old) * len(new) * (views - 1), len(holds) * len(new))
    work = _Work(each, progress, len(vectors), sum(parts) + len(lost) * len(vectors))

    full = np.ascontiguousarray(vectors[:, 0])
    found = work.views(vectors, new, ViewSearch(reach, everything, full, len(new), views, device))
    found = _united(
        len(vectors), found, work.views(vectors, old, ViewSearch(reach, new, full[new], len(old), views, device))
    )
    nearest, cosine = known.nearest.copy(), np.full(len(vectors), -np.inf)
    cosine[holds] = _cosines(full, holds, nearest[holds])
    search = FrameSearch(full, lost, everything, *_added(known, found), reach, device)
    found = _united(len(vectors), found, work.frames(search, nearest, cosine))
    work.frames(FrameSearch(full, holds, new, *_added(known, found), None, device, cosine.copy()), nearest, cosine)
    first, second = found
    distance = np.where(nearest >= 0, reach.calibration.distance(np.maximum(cosine, -1.0)), np.inf)
    return Join(first, second, *pair_distances(vectors, first, second, reach.calibration), nearest, distance)


def nothing_known(count: int) -> Known:
    """What is known of `count` rows before any join."""
    none = np.empty(0, np.int64)
    return Known(np.zeros(count, bool), none, none, np.full(count, -1, np.int64))


def nearest_among(
    vectors: Int8,
    calibration: Calibration,
    rows: Indices,
    allowed: NDArray[np.bool_],
    first: Indices,
    second: Indices,
    each: Each = map,
    device: str = AUTO,
) -> tuple[Indices, Distances]:
    """For each of `rows`, its nearest by full frame among the `allowed` rows it is in no pair of first/second with.

    (len(rows),) row numbers (-1: none) and distances (inf: none); of equally near ones the lower row.
    """
    nearest, cosine = np.full(len(vectors), -1, np.int64), np.full(len(vectors), -np.inf)
    full = np.ascontiguousarray(vectors[:, 0])
    search = FrameSearch(full, rows, np.flatnonzero(allowed), first, second, None, device)
    _Work(each, None, 0, 0).frames(search, nearest, cosine)
    found = nearest[rows] >= 0
    return nearest[rows], np.where(found, calibration.distance(np.maximum(cosine[rows], -1.0)), np.inf)


class _Work:
    """Puts together what the strips of a search find, and tells how far it is: `rows` is all of it."""

    def __init__(self, each: Each, progress: Progress | None, rows: int, total: int) -> None:
        self._each, self._progress = each, progress
        self._rows, self._total, self._done = rows, max(total, 1), 0

    def views(self, vectors: Int8, rows: Indices, search: ViewSearch) -> tuple[Indices, Indices]:
        """The pairs found among views of the rows."""
        pairs, count, views = [], len(vectors), vectors.shape[1] - 1
        strips = view_strips(vectors, rows) if views else []
        sizes = [len(strip.rows) * views for strip in strips]
        for first, second, doubt in self._through(search, strips, sizes):
            pairs.append((first[~doubt], second[~doubt]))
            first, second = _united(count, (first[doubt], second[doubt]))
            inside = search.reach.holds(*pair_distances(vectors, first, second, search.reach.calibration))
            pairs.append((first[inside], second[inside]))
        return _united(count, *pairs)

    def frames(self, search: FrameSearch, nearest: Indices, cosine: Distances) -> tuple[Indices, Indices]:
        """The pairs found. Takes what is nearer than `nearest`, whose cosines are `cosine`; of equally near ones the
        lower row."""
        count, pairs = len(search.full), []
        sizes = [stop - start for start, stop in search.strips]
        for row, other, value in self._through(search, search.strips, sizes):
            paired = np.zeros(len(row), bool)
            if search.reach:
                distance = search.reach.calibration.distance(value)
                paired = search.reach.holds(distance, distance)
                pairs.append((np.minimum(row, other)[paired], np.maximum(row, other)[paired]))
            row, other, value = row[~paired], other[~paired], value[~paired]
            better = (value > cosine[row]) | ((value == cosine[row]) & (other < nearest[row]))
            nearest[row[better]], cosine[row[better]] = other[better], value[better]
        return _united(count, *pairs)

    def _through(self, search: ViewSearch | FrameSearch, strips: Sequence[Any], sizes: Sequence[int]) -> Iterator[Any]:
        """What each strip gives. `sizes`: how many vectors of each meet every column."""
        if not len(search.columns):
            return
        for size, result in zip(sizes, self._each(search, strips), strict=True):
            self._done += size * len(search.columns)
            if self._progress:
                self._progress(round(self._rows * self._done / self._total), self._rows)
            yield result


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
