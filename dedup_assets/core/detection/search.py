"""The two searches among vectors, each a piece of work that any process can do for a strip of rows.

Products are whole numbers, so what a strip finds depends on neither the tiles nor the library that multiplied. Columns
are taken in the order of their norms: within a tile these hardly differ, so one number tells a row whether any product
in the tile can matter to it.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dedup_assets.core.detection.base import Calibration
from dedup_assets.core.detection.bounds import NONE, SLACK, Least, span, whole
from dedup_assets.core.detection.cosines import Distances, Indices, exact_cosine, squares_of
from dedup_assets.core.detection.products import (
    AUTO,
    TILE_COLUMNS,
    TILE_ROWS,
    Int8,
    Multiplier,
    Products,
    multiplier,
)

Strip = tuple[int, int]

STRIP = 2 * TILE_ROWS  # rows that one call looks at; up to four times as many where there are enough
_MANY = 16  # strips; where there were more, they are made longer
_STRIP_BYTES = 64 << 20  # of a strip's vectors as floats


@dataclass(frozen=True)
class Reach:
    """What makes a pair: a view of one within `view_limit` of the other's full frame, or the full frames within
    `full_limit` of each other."""

    calibration: Calibration
    view_limit: float
    full_limit: float = 0.0

    @property
    def full_cosine(self) -> float:
        """Of full frames that make a pair, the least cosine."""
        return self.calibration.cosine(max(self.full_limit, self.view_limit))

    @property
    def beyond(self) -> float:
        """The least distance of what is out of reach."""
        return float(np.nextafter(max(self.full_limit, self.view_limit), np.inf))

    def holds(self, view_distance: Distances, full_distance: Distances) -> NDArray[np.bool_]:
        """Whether these make pairs. A view distance is no larger than that of the full frames."""
        return (view_distance <= self.view_limit) | (full_distance <= self.full_limit)


class ViewStrip:
    """Some rows of (n, views, d) int8 vectors, view 0 the full frame. What travels of the vectors is theirs alone."""

    def __init__(self, rows: Indices, vectors: Int8, places: Indices | None = None) -> None:
        """`rows`: row numbers. `places`: where in `vectors` they are, if not there."""
        self.rows = rows
        self._vectors, self._places = vectors, rows if places is None else places

    def __reduce__(self) -> tuple[Any, ...]:
        """The vectors may be mapped, and many more than these."""
        return ViewStrip, (self.rows, self._vectors[self._places], np.arange(len(self.rows)))

    def views(self) -> tuple[Indices, Int8]:
        """The rows once for each view that differs from their full frame, and these views."""
        vectors = self._vectors[self._places]
        view, row = np.nonzero((vectors != vectors[:, :1]).any(axis=2).T)
        return self.rows[row], vectors[row, view]


def view_strips(vectors: Int8, rows: Indices) -> list[ViewStrip]:
    """The rows in strips for a ViewSearch."""
    return [ViewStrip(rows[slice(*strip)], vectors) for strip in strips(len(rows), vectors[:1].size)]


@dataclass(frozen=True)
class ViewSearch:
    """Finds the pairs that views make: a view within `reach` of the full frame of some column.

    `columns`: row numbers. `full`: (columns, d) int8, their full frames. `rows`, `views`: how many rows will be looked
    at, in how many views. `device`: see `multiplier`.
    """

    reach: Reach
    columns: Indices
    full: Int8
    rows: int
    views: int
    device: str = AUTO
    _squares: NDArray[np.int32] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        squares = squares_of(self.full)
        order = np.argsort(squares, kind="stable")
        object.__setattr__(self, "columns", self.columns[order])
        object.__setattr__(self, "full", self.full[order])
        object.__setattr__(self, "_squares", squares[order])
        self._multiply()  # loads what multiplies, before there are threads

    def __call__(self, strip: ViewStrip) -> tuple[Indices, Indices, NDArray[np.bool_]]:
        """(p,) rows `first` < `second` of each pair found, once or twice, and whether it is in doubt: so close to the
        limit that the distance of both views has to tell."""
        rows, queries = strip.views()
        squares, norms = squares_of(queries), np.sqrt(self._squares)
        calibration, limit = self.reach.calibration, self.reach.view_limit
        least = Least(calibration.cosine(limit / calibration.view_factor), np.sqrt(squares), norms)
        multiply = self._multiply()
        prepared = multiply.prepared(queries)
        found = [(rows[:0], rows[:0], np.empty(0, np.bool_))]
        for tile in _tiles(norms):
            bars = least(tile)
            near = []
            peaks = multiply.peaks(prepared, multiply.prepared(self.full[tile]))
            for hit, part in _hopeful(peaks, bars, tile, multiply.part):
                products = multiply(queries[hit], self.full[part])
                row, column = _true_at(products >= bars[hit, None].astype(products.dtype))
                cosine = exact_cosine(products[row, column], squares[hit[row]], self._squares[part][column])
                distance = calibration.distance(cosine) * calibration.view_factor
                inside = distance <= limit + SLACK
                one, other = rows[hit[row[inside]]], self.columns[part][column[inside]]
                near.append((np.minimum(one, other), np.maximum(one, other), distance[inside] > limit - SLACK))
            if near:
                found.append(_each_once(*(np.concatenate(part) for part in zip(*near, strict=True))))
        first, second, doubt = (np.concatenate(part) for part in zip(*found, strict=True))
        return first, second, doubt

    def _multiply(self) -> Multiplier:
        dimension = self.full.shape[1]
        return multiplier(dimension, float(self.rows) * len(self.columns) * self.views * dimension, self.device)


@dataclass(frozen=True)
class FrameSearch:
    """Finds, for some rows, the full frames among some columns within `reach` of theirs, and the nearest beyond.

    `full`: (n, d) int8. `rows`, `columns`: row numbers. `first`, `second`: pairs known already, which are left out.
    `reach`: none where all pairs are known. `device`: see `multiplier`. `had`: (n,) the cosine that the nearest is to
    reach for each row, where something is known; less is not looked for.
    """

    full: Int8
    rows: Indices
    columns: Indices
    first: Indices
    second: Indices
    reach: Reach | None = None
    device: str = AUTO
    had: Distances | None = None
    _norms: Distances = field(init=False, repr=False)
    _squares: NDArray[np.int32] = field(init=False, repr=False)
    _sorted: Int8 = field(init=False, repr=False)
    _starts: Indices = field(init=False, repr=False)
    _partners: Indices = field(init=False, repr=False)

    def __post_init__(self) -> None:
        squares = squares_of(self.full)
        norms = np.sqrt(squares)
        columns = by_norm(self.columns, norms)
        object.__setattr__(self, "columns", columns)
        object.__setattr__(self, "_squares", squares)
        object.__setattr__(self, "_norms", norms[columns])
        object.__setattr__(self, "_sorted", np.ascontiguousarray(self.full[columns]))
        starts, partners = _partners_of(len(self.full), self.first, self.second, columns)
        object.__setattr__(self, "_starts", starts)
        object.__setattr__(self, "_partners", partners)
        self._multiply()  # loads what multiplies, before there are threads

    @property
    def strips(self) -> list[Strip]:
        """The rows in strips, each from one place in `rows` to another."""
        return strips(len(self.rows), self.full.shape[1])

    def __call__(self, strip: Strip) -> tuple[Indices, Indices, Distances]:
        """(k,) a row of the strip, another row and their cosine: of each pair within reach, and of the nearest beyond
        it, of equally near ones the lower row."""
        rows = self.rows[slice(*strip)]
        multiply = self._multiply()
        queries = multiply.prepared(self.full[rows])
        nearest, cosine = np.full(len(rows), -1, np.int64), np.full(len(rows), -np.inf)
        if self.had is not None:
            cosine = np.nextafter(self.had[rows], -np.inf)  # what is as near counts, for it may be the lower row
        least = Least(cosine, np.sqrt(self._squares[rows]), self._norms)  # what is within reach is nearer than that
        pairs = [(rows[:0], rows[:0], cosine[:0])]
        barred_row, barred_column = self._barred(rows)
        for tile in _tiles(self._norms):
            columns = multiply.prepared(self._sorted[tile])
            hopeful = np.flatnonzero(multiply.peaks(queries, columns).max(axis=0) >= least(tile))
            here = slice(*np.searchsorted(barred_column, (tile.start, tile.stop)))
            barred = barred_row[here], barred_column[here] - tile.start
            for start in range(0, len(hopeful), TILE_ROWS):
                places = hopeful[start : start + TILE_ROWS]
                products = multiply.product(multiply.prepared(self.full[rows[places]]), columns)
                products = _without(products, places, barred)
                if self.reach:
                    pairs.append(self._take_pairs(self.reach, products, tile, rows[places]))
                self._take_nearest(products, tile, rows[places], places, nearest, cosine)
                least.renew(places, cosine[places])
        found = nearest >= 0
        first, second, near = (np.concatenate(part) for part in zip(*pairs, strict=True))
        return (
            np.append(first, rows[found]),
            np.append(second, nearest[found]),
            np.append(near, cosine[found]),
        )

    def _multiply(self) -> Multiplier:
        dimension = self.full.shape[1]
        return multiplier(dimension, float(len(self.rows)) * len(self.columns) * dimension, self.device)

    def _take_pairs(
        self, reach: Reach, products: Products, tile: slice, rows: Indices
    ) -> tuple[Indices, Indices, Distances]:
        """Rows, columns and cosines of what is within reach: it is taken out of the products."""
        bars = Least(reach.full_cosine, np.sqrt(self._squares[rows]), self._norms)(tile)
        row, column = _true_at(products >= bars[:, None].astype(products.dtype))
        columns = self.columns[tile][column]
        cosine = exact_cosine(products[row, column], self._squares[rows[row]], self._squares[columns])
        distance = reach.calibration.distance(cosine)
        inside = reach.holds(distance, distance)
        products[row[inside], column[inside]] = NONE
        return rows[row[inside]], columns[inside], cosine[inside]

    def _take_nearest(
        self,
        products: Products,
        tile: slice,
        rows: Indices,
        hopeful: Indices,
        nearest: Indices,
        cosine: Distances,
    ) -> None:
        """Take what is nearer: only products that come as near to the largest of their row as norms in the tile differ
        are worked out."""
        top = products.max(axis=1).astype(np.float64)
        lowest, highest = span(self._norms[tile])
        least = np.maximum(top * np.where(top > 0, lowest / highest, highest / lowest) - 0.5, NONE / 2)
        row, column = _true_at(products >= whole(least, products.dtype)[:, None])
        columns = self.columns[tile][column]
        values = exact_cosine(products[row, column], self._squares[rows[row]], self._squares[columns])
        order = np.lexsort((columns, -values, row))
        row, first = np.unique(row[order], return_index=True)
        best, column = values[order[first]], columns[order[first]]
        places = hopeful[row]
        better = (best > cosine[places]) | ((best == cosine[places]) & (column < nearest[places]))
        nearest[places[better]], cosine[places[better]] = column[better], best[better]

    def _barred(self, rows: Indices) -> tuple[Indices, Indices]:
        """Places in `rows` and in the columns that may not meet, sorted by column."""
        counts = self._starts[rows + 1] - self._starts[rows]
        row = np.repeat(np.arange(len(rows)), counts)
        within = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
        column = self._partners[np.repeat(self._starts[rows], counts) + within]
        order = np.argsort(column, kind="stable")
        return row[order], column[order]


def _without(products: Products, places: Indices, barred: tuple[Indices, Indices]) -> Products:
    """The products, some of them overwritten: of those rows, given by their `places`, and columns that are barred."""
    row, column = barred
    at = np.minimum(np.searchsorted(places, row), len(places) - 1)
    there = places[at] == row
    products[at[there], column[there]] = NONE
    return products


def _tiles(norms: Distances) -> Iterator[slice]:
    """Columns of such norms, which are sorted, in tiles: smaller ones where there are few, for the norms of a tile are
    to be nearly the same."""
    step = min(max(len(norms) // 8, 128), TILE_COLUMNS)
    for start in range(0, len(norms), step):
        yield slice(start, min(start + step, len(norms)))


def _hopeful(peaks: Products, bars: NDArray[np.int32], tile: slice, width: int) -> Iterator[tuple[Indices, slice]]:
    """Rows, at most TILE_ROWS at a time, and a part of the tile's columns in which some product may come to their bar.

    `peaks`: (parts, m), each of `width` columns; see `Multiplier`.
    """
    for start, highest in zip(range(tile.start, tile.stop, width), peaks, strict=True):
        hit, part = np.flatnonzero(highest >= bars), slice(start, min(start + width, tile.stop))
        for first in range(0, len(hit), TILE_ROWS):
            yield hit[first : first + TILE_ROWS], part


def _each_once(first: Indices, second: Indices, doubt: NDArray[np.bool_]) -> tuple[Indices, Indices, NDArray[np.bool_]]:
    """Pairs of two different rows, each once; in doubt only where it always was."""
    order = np.lexsort((doubt, second, first))
    first, second, doubt = first[order], second[order], doubt[order]
    kept = first != second
    kept[1:] &= (first[1:] != first[:-1]) | (second[1:] != second[:-1])
    return first[kept], second[kept], doubt[kept]


def _true_at(mask: NDArray[np.bool_]) -> tuple[Indices, Indices]:
    """Rows and columns of what is true, in order: `np.nonzero`, many times faster."""
    row, column = np.divmod(np.flatnonzero(mask), mask.shape[1])
    return row, column


def strips(count: int, width: int) -> list[Strip]:
    """The places 0..count in strips of rows, each of so many numbers, that fit the memory meant for a strip.

    Long ones where there are many: each tile of columns costs something by itself.
    """
    step = min(max(count // _MANY, STRIP), 4 * STRIP)
    step = max(1, min(step, _STRIP_BYTES // (4 * max(width, 1))))
    return [(start, min(start + step, count)) for start in range(0, count, step)]


def by_norm(rows: Indices, norms: Distances) -> Indices:
    """`rows` in the order of their norms."""
    return rows[np.argsort(norms[rows], kind="stable")]


def _partners_of(count: int, first: Indices, second: Indices, columns: Indices) -> tuple[Indices, Indices]:
    """For each row where its barred columns start, and these: the row itself and its pair partners, as places."""
    place = np.full(count, -1, np.int64)
    place[columns] = np.arange(len(columns))
    every = np.arange(count)
    rows, partners = np.concatenate([every, first, second]), place[np.concatenate([every, second, first])]
    rows, partners = rows[partners >= 0], partners[partners >= 0]
    order = np.argsort(rows, kind="stable")
    return np.append(0, np.cumsum(np.bincount(rows, minlength=count))), partners[order]
