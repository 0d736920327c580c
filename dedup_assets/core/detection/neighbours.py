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
    Indices,
    NearestSearch,
    PairSearch,
    Reach,
    exact_cosine,
    pair_distances,
    squares_of,
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
    parts = (len(new) * len(vectors) * views, len(old) * len(new) * (views - 1), len(holds) * len(new))
    work = _Work(each, progress, len(vectors), sum(parts) + len(lost) * len(vectors))

    first, second = work.pairs(PairSearch(vectors, reach, new, everything, len(new) == len(vectors), device=device))
    more = work.pairs(PairSearch(vectors, reach, old, new, first_view=1, device=device))
    first, second = _united(len(vectors), (first, second), more)
    barred = np.append(known.first, first), np.append(known.second, second)

    full = np.ascontiguousarray(vectors[:, 0])
    nearest, cosine = known.nearest.copy(), np.full(len(vectors), -np.inf)
    cosine[holds] = _cosines(full, holds, nearest[holds])
    work.nearest(NearestSearch(full, holds, new, *barred, device, had=cosine.copy()), nearest, cosine)
    work.nearest(NearestSearch(full, lost, everything, *barred, device), nearest, cosine)
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
    search = NearestSearch(full, rows, np.flatnonzero(allowed), first, second, device)
    _Work(each, None, 0, 0).nearest(search, nearest, cosine)
    found = nearest[rows] >= 0
    return nearest[rows], np.where(found, calibration.distance(np.maximum(cosine[rows], -1.0)), np.inf)


class _Work:
    """Puts together what the strips of a search find, and tells how far it is: `rows` is all of it."""

    def __init__(self, each: Each, progress: Progress | None, rows: int, total: int) -> None:
        self._each, self._progress = each, progress
        self._rows, self._total, self._done = rows, max(total, 1), 0

    def pairs(self, search: PairSearch) -> tuple[Indices, Indices]:
        views = len(search.vectors[0]) - search.first_view if len(search.vectors) else 0
        return _united(len(search.vectors), *self._strips(search, len(search.columns) * views))

    def nearest(self, search: NearestSearch, nearest: Indices, cosine: Distances) -> None:
        """Take what is nearer than `nearest`, whose cosines are `cosine`; of equally near ones the lower row."""
        found = self._strips(search, len(search.columns))
        for (start, stop), (row, value) in zip(search.strips, found, strict=bool(len(search.columns))):
            rows = search.rows[start:stop]
            better = (row >= 0) & ((value > cosine[rows]) | ((value == cosine[rows]) & (row < nearest[rows])))
            nearest[rows[better]], cosine[rows[better]] = row[better], value[better]

    def _strips(self, search: PairSearch | NearestSearch, each_row: int) -> Iterator[tuple[NDArray[Any], NDArray[Any]]]:
        if not len(search.columns):
            return
        for (start, stop), result in zip(search.strips, self._each(search, search.strips), strict=True):
            self._done += (stop - start) * each_row
            if self._progress:
                self._progress(round(self._rows * self._done / self._total), self._rows)
            yield result


def _united(count: int, *pairs: tuple[Indices, Indices]) -> tuple[Indices, Indices]:
    """Pairs of `count` rows, sorted and each once."""
    keys = [first * count + second for first, second in pairs]
    first, second = np.divmod(np.unique(np.concatenate([np.empty(0, np.int64), *keys])), max(count, 1))
    return first, second


def _cosines(full: Int8, rows: Indices, others: Indices) -> Distances:
    dots = np.einsum("nd,nd->n", full[rows], full[others], dtype=np.int32)
    return exact_cosine(dots, squares_of(full[rows]), squares_of(full[others]))
