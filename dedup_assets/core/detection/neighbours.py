"""Vectors to candidate pairs and nearest neighbours: exact, in blocks, the same on every machine.

Float products only offer; each pair that counts is decided again from the stored integers, so that the result depends
on neither the block size nor the library that multiplied.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dedup_assets.core.detection.embedders import Calibration

Int8 = NDArray[np.int8]
Indices = NDArray[np.int64]
Distances = NDArray[np.float64]
Progress = Callable[[int, int], None]

_BLOCK = 2048
_EXACT_PAIRS = 8192  # decided at a time, so that many equally near rows take time and no memory
_OUT = np.float32(-4.0)  # below every cosine


@dataclass(frozen=True, slots=True)
class Join:
    """All pairs within the limits, and each row's nearest among its other pairs.

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


def quantise(vectors: NDArray[np.float32]) -> Int8:
    """Unit vectors (..., d) as int8, each scaled so that its largest entry is 127."""
    largest = np.abs(vectors).max(axis=-1, keepdims=True)
    return np.asarray(np.rint(vectors * (127.0 / np.maximum(largest, 1e-12))), np.int8)


def join(
    vectors: Int8,
    calibration: Calibration,
    view_limit: float,
    full_limit: float = 0.0,
    progress: Progress | None = None,
) -> Join:
    """Every pair with view_distance <= `view_limit` or full_distance <= `full_limit`, and the nearest of the others.

    `vectors`: (n, views, d) int8 from `quantise`, view 0 the full frame. Memory: the full frames as float32, and a few
    blocks of 2048 x 2048.
    """
    count = len(vectors)
    full = _unit(vectors[:, 0])
    margin = _margin(vectors.shape[2])
    view_cosine, full_cosine = calibration.cosine(view_limit), calibration.cosine(full_limit)
    nearest = _Nearest(vectors[:, 0])
    found: list[tuple[Indices, Indices]] = []
    starts = range(0, count, _BLOCK)
    for done, i in enumerate(starts):
        rows = slice(i, min(i + _BLOCK, count))
        row_views = _unit(vectors[rows])
        for j in starts[done:]:
            columns = slice(j, min(j + _BLOCK, count))
            cosines = full[rows] @ full[columns].T
            if i == j:
                np.fill_diagonal(cosines, _OUT)
            offered = cosines >= np.float32(min(full_cosine, view_cosine) - margin)
            for view in range(1, vectors.shape[1]):
                offered |= row_views[:, view] @ full[columns].T >= np.float32(view_cosine - margin)
                if i != j:
                    offered |= full[rows] @ _unit(vectors[columns, view]).T >= np.float32(view_cosine - margin)
            if i == j:
                offered = np.triu(offered | offered.T, 1)
            first, second = np.nonzero(offered)
            first, second = first + i, second + j
            view_distance, full_distance = pair_distances(vectors, first, second, calibration)
            inside = (view_distance <= view_limit) | (full_distance <= full_limit)
            first, second = first[inside], second[inside]
            found.append((first, second))
            cosines[first - i, second - j] = _OUT
            if i == j:
                cosines[second - i, first - j] = _OUT
            nearest.offer(cosines, i, j)
            if i != j:
                nearest.offer(cosines.T, j, i)
        if progress:
            progress(rows.stop, count)
    first, second = _sorted_pairs(found)
    view_distance, full_distance = pair_distances(vectors, first, second, calibration)
    return Join(first, second, view_distance, full_distance, nearest.row, nearest.distance(calibration))


def nearest_among(
    vectors: Int8,
    calibration: Calibration,
    rows: Indices,
    allowed: NDArray[np.bool_],
    first: Indices,
    second: Indices,
) -> tuple[Indices, Distances]:
    """For each of `rows`, its nearest by full frame among the `allowed` rows it is in no pair of first/second with.

    (len(rows),) row numbers (-1: none) and distances (inf: none); of equally near ones the lower row.
    """
    full = _unit(vectors[:, 0])
    columns = np.flatnonzero(allowed)
    column_of = np.full(len(vectors), -1, np.int64)
    column_of[columns] = np.arange(len(columns))
    nearest = _Nearest(vectors[:, 0])
    partners = _partners(rows, first, second)
    for start in range(0, len(rows), _BLOCK):
        block = rows[start : start + _BLOCK]
        for j in range(0, len(columns), _BLOCK):
            inside = columns[j : j + _BLOCK]
            cosines = full[block] @ full[inside].T
            for place, row in enumerate(block.tolist()):
                barred = column_of[np.append(partners.get(row, ()), row).astype(np.int64)] - j
                cosines[place, barred[(barred >= 0) & (barred < len(inside))]] = _OUT
            nearest.offer(cosines, block, inside)
    return nearest.row[rows], nearest.distance(calibration)[rows]


def pair_distances(
    vectors: Int8, first: Indices, second: Indices, calibration: Calibration
) -> tuple[Distances, Distances]:
    """View and full-frame distance of each pair of rows, (p,) float64 each: symmetric, and exact to the last bit."""
    view_cosine, full_cosine = np.empty(len(first)), np.empty(len(first))
    squared = (vectors.astype(np.int32) ** 2).sum(axis=2) if len(first) > len(vectors) else None
    for start in range(0, len(first), _BLOCK):
        part = slice(start, start + _BLOCK)
        a, b = vectors[first[part]].astype(np.int32), vectors[second[part]].astype(np.int32)
        aa = squared[first[part]] if squared is not None else (a**2).sum(axis=2)
        bb = squared[second[part]] if squared is not None else (b**2).sum(axis=2)
        forth = _exact_cosine(np.einsum("pvd,pd->pv", a, b[:, 0]), aa, bb[:, :1])
        back = _exact_cosine(np.einsum("pvd,pd->pv", b, a[:, 0]), bb, aa[:, :1])
        full_cosine[part] = forth[:, 0]
        view_cosine[part] = np.maximum(forth.max(axis=1), back.max(axis=1))
    return calibration.distance(view_cosine), calibration.distance(full_cosine)


class _Nearest:
    """The nearest row seen so far of every row, decided by exact cosines, ties to the lower row."""

    def __init__(self, full: Int8) -> None:
        self.full = full
        self.row: Indices = np.full(len(full), -1, np.int64)
        self.cosine = np.full(len(full), -np.inf)
        self._margin = _margin(full.shape[1])
        self._squares = np.einsum("nd,nd->n", full, full, dtype=np.int32)

    def offer(self, cosines: NDArray[np.float32], rows: int | Indices, columns: int | Indices) -> None:
        """Consider a block; `rows` and `columns` are its row numbers, or where they start."""
        row_of = np.arange(len(cosines)) + rows if isinstance(rows, int) else rows
        best = np.maximum(cosines.max(axis=1, initial=_OUT), self.cosine[row_of].astype(np.float32))
        floor = np.maximum(best - np.float32(2 * self._margin), np.float32(-2.0))
        at, to = np.nonzero(cosines >= floor[:, None])
        if not len(at):
            return
        a = row_of[at]
        b = to + columns if isinstance(columns, int) else columns[to]
        exact = self._cosines(a, b)
        order = np.lexsort((b, -exact, a))
        a, b, exact = a[order], b[order], exact[order]
        lead = np.flatnonzero(np.append(True, a[1:] != a[:-1]))
        a, b, exact = a[lead], b[lead], exact[lead]
        better = (exact > self.cosine[a]) | ((exact == self.cosine[a]) & (b < self.row[a]))
        self.row[a[better]], self.cosine[a[better]] = b[better], exact[better]

    def _cosines(self, a: Indices, b: Indices) -> Distances:
        exact = np.empty(len(a))
        for start in range(0, len(a), _EXACT_PAIRS):
            part = slice(start, start + _EXACT_PAIRS)
            first, second = self.full[a[part]].astype(np.int32), self.full[b[part]].astype(np.int32)
            dots = np.einsum("pd,pd->p", first, second)
            exact[part] = _exact_cosine(dots, self._squares[a[part]], self._squares[b[part]])
        return exact

    def distance(self, calibration: Calibration) -> Distances:
        return np.where(self.row >= 0, calibration.distance(np.maximum(self.cosine, -1.0)), np.inf)


def _unit(vectors: Int8) -> NDArray[np.float32]:
    values = vectors.astype(np.float32)
    norms = np.sqrt((values**2).sum(axis=-1, keepdims=True))
    return np.asarray(values / np.maximum(norms, 1.0), np.float32)


def _margin(dimension: int) -> float:
    """More than a float32 product of unit vectors can be off, in any order of summation."""
    return (dimension + 8) * 2.0**-22


def _exact_cosine(dots: NDArray[np.int32], squares: NDArray[np.int32], others: NDArray[np.int32]) -> Distances:
    product = squares.astype(np.float64) * others.astype(np.float64)
    return np.asarray(dots.astype(np.float64) / np.sqrt(np.maximum(product, 1.0)))


def _sorted_pairs(found: list[tuple[Indices, Indices]]) -> tuple[Indices, Indices]:
    first = np.concatenate([pair[0] for pair in found]) if found else np.empty(0, np.int64)
    second = np.concatenate([pair[1] for pair in found]) if found else np.empty(0, np.int64)
    order = np.lexsort((second, first))
    return first[order], second[order]


def _partners(rows: Indices, first: Indices, second: Indices) -> dict[int, Indices]:
    """The pair partners of each of `rows` that has any."""
    return dict(_group(np.append(first, second), np.append(second, first), rows))


def _group(keys: Indices, values: Indices, wanted: Indices) -> Iterator[tuple[int, Indices]]:
    inside = np.isin(keys, wanted)
    keys, values = keys[inside], values[inside]
    order = np.argsort(keys, kind="stable")
    keys, values = keys[order], values[order]
    starts = np.flatnonzero(np.append(True, keys[1:] != keys[:-1])) if len(keys) else np.empty(0, np.int64)
    for start, stop in zip(starts, np.append(starts, len(keys))[1:], strict=True):
        yield int(keys[start]), values[start:stop]
