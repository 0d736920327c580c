"""What sketches say for and against a candidate pair, many pairs at once, before any is aligned.

One picture of a pair, or a crop of it, is laid on the other as it fits best; then each of 7 x 7 cells may slip by a
tenth of the picture to where it correlates best. In edits of one picture most cells find their place, and agree on how
the picture moved; in look-alikes they do not.

All sums are of integers that float32 holds exactly and the rest is done element by element, so that what is seen is the
same in every batch and on every machine.
"""

from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from dedup_assets.core.detection.outlines import (
    BOXES,
    COLUMNS,
    LENGTH,
    ROWS,
    SIDE,
    SPANS,
    Float32,
    Indices,
    Pictures,
    best_starts,
    light_crops,
)
from dedup_assets.core.detection.pooling import CELL, cell_weights, light_and_colour
from dedup_assets.core.images import SKETCH_SIZE

Float64 = NDArray[np.float64]

_LEAST = 8  # pairs at a time: numpy adds up one alone in another order
_BLOCK, _PICTURES = 192, 64  # pairs and pictures at a time: what they need fits the cache

_SIDE, _REACH = 32, 3  # pixels a side of what is compared, and how far a cell may slip
_SLIPS = 2 * _REACH + 1
_QUARTER = 4  # pixels; cells are 8 x 8 pixels, each half over the next
_CELLS = _SIDE // _QUARTER - 1
_COLOUR = 8  # cells a side for colour
_NOISE = 3.0  # grey levels, damps the correlation of cells that hold little else
_FAINT, _STRONG = 1.5, 31.5  # grey levels of deviation in a cell: no weight, full weight
_LESSER = 0.3  # how far a cell's weight follows the picture that holds less there
_STIFF = 1e-3  # keeps a movement fitted to next to nothing from running off
_MIDDLE = 128.0  # grey level
EVIDENCE = 31  # rows of what is seen of a pair
_STRUCTURE = 29  # the one of how much structure there is
_FEATURELESS = 1.0  # mean weight of a cell under which sketches say nothing


def flat(seen: Float32) -> NDArray[np.bool_]:
    """(EVIDENCE, p) -> (p,) whether there is too little structure for sketches to say anything."""
    return np.asarray(seen[_STRUCTURE] < np.float32(np.log1p(_CELLS * _CELLS * _FEATURELESS)))


def evidence(sketches: Pictures, first: Indices, second: Indices, crops: NDArray[np.int8] | None = None) -> Float32:
    """(EVIDENCE, p) float32: what speaks for and against each pair of rows of `sketches`. Symmetric.

    `crops`: the light of their outlines, where these were drawn already.
    """
    if not len(first):
        return np.empty((EVIDENCE, 0), np.float32)
    used, inverse = np.unique(np.append(first, second), return_inverse=True)
    a, b = inverse[: len(first)], inverse[len(first) :]
    pictures = sketches[used]
    rank = np.argsort(np.argsort(pictures.reshape(len(used), -1).view(f"V{pictures[0].nbytes}").ravel(), kind="stable"))
    a, b = np.where(rank[a] <= rank[b], a, b), np.where(rank[a] <= rank[b], b, a)
    filling = np.zeros(-len(a) % _LEAST, np.int64)
    looks = _look(pictures, None if crops is None else crops[used])
    count, a, b = len(a), np.append(a, filling), np.append(b, filling)
    parts = [_evidence(looks, a[i : i + _BLOCK], b[i : i + _BLOCK]) for i in range(0, len(a), _BLOCK)]
    return np.concatenate(parts, axis=1)[:, :count]


class _Looks(NamedTuple):
    """Some pictures: light (n, 48, 48), two colour differences (n, 2, 48, 48), crops (n, boxes, 144)."""

    light: NDArray[np.uint8]
    colour: NDArray[np.int16]
    crops: NDArray[np.int8]


class _Laid(NamedTuple):
    """Pairs laid one on the other, pairs last. `template`: (32, 32, p), `picture`: (38, 38, p) light about the middle;
    `likeness`: (p, starts) correlations of all crops; colour differences of both: (2, 64, p) each."""

    template: Float32
    picture: Float32
    likeness: Float32
    template_colour: Float32
    picture_colour: Float32


def _look(pictures: Pictures, crops: NDArray[np.int8] | None) -> _Looks:
    count, size = len(pictures), (SKETCH_SIZE, SKETCH_SIZE)
    looks = _Looks(
        np.empty((count, *size), np.uint8),
        np.empty((count, 2, *size), np.int16),
        np.empty((count, len(BOXES), SIDE * SIDE), np.int8) if crops is None else crops,
    )
    for start in range(0, count, _PICTURES):
        part = slice(start, start + _PICTURES)
        looks.light[part], looks.colour[part] = light_and_colour(pictures[part])
        if crops is None:
            looks.crops[part] = light_crops(looks.light[part].astype(np.float32))
    return looks


def _lay(looks: _Looks, a: Indices, b: Indices) -> _Laid:
    start = best_starts(looks.crops, a, b)
    template = _cut(looks.light[start.whole], *(cell_weights(SPANS[0], _SIDE),) * 2)
    colour = _cut(looks.colour[start.whole], *(cell_weights(SPANS[0], _COLOUR),) * 2)
    template[start.mirrored] = template[start.mirrored, :, ::-1]
    colour[start.mirrored] = colour[start.mirrored, :, :, ::-1]
    rows, columns = ROWS[start.box], COLUMNS[start.box]
    wide, plain = _all_weights(_SIDE, _REACH), _all_weights(_COLOUR, 0)
    picture = _cut(looks.light[start.cropped], wide[rows], wide[columns])
    other = _cut(looks.colour[start.cropped], plain[rows][:, None], plain[columns][:, None])
    return _Laid(
        _pairs_last(template - _MIDDLE),
        _pairs_last(picture - _MIDDLE),
        start.alike / np.float32(LENGTH**2),
        _pairs_last(colour.reshape(len(a), 2, -1)),
        _pairs_last(other.reshape(len(a), 2, -1)),
    )


@lru_cache
def _all_weights(cells: int, beyond: int) -> Float32:
    """(spans, cells + 2 beyond, 48): each span divided into cells, and so many more at both ends."""
    wider = []
    for low, high in SPANS:
        margin = (high - low) * beyond / cells
        wider.append(cell_weights((low - margin, high + margin), cells + 2 * beyond))
    return np.stack(wider)


def _cut(planes: NDArray[np.generic], rows: Float32, columns: Float32) -> Float32:
    """(..., 48, 48) pooled by both weights, in whole grey levels."""
    return np.asarray(np.rint(rows @ planes.astype(np.float32) @ columns.swapaxes(-1, -2) / CELL), np.float32)


def _pairs_last(values: Float32) -> Float32:
    return np.ascontiguousarray(np.moveaxis(values, 0, -1))


def _evidence(looks: _Looks, a: Indices, b: Indices) -> Float32:
    laid = _lay(looks, a, b)
    slips = _slip(laid.template, laid.picture)
    return np.concatenate([_of_starts(laid.likeness), _of_colour(laid), *_of_cells(slips)])


class _Slips(NamedTuple):
    """`correlation`: (slips, cells, p) of every cell in every place. `variance`: (cells, p) of both, not slipped."""

    correlation: Float32
    template_variance: Float32
    picture_variance: Float32


def _slip(template: Float32, picture: Float32) -> _Slips:
    area, pairs = np.float32(4 * _QUARTER * _QUARTER), template.shape[2]
    total = _cells(template)
    variance = area * _cells(template * template) - total * total
    length = np.sqrt(variance + np.float32((area * _NOISE) ** 2))
    totals = _windows(picture)
    variances = area * _windows(picture * picture) - totals * totals
    lengths = np.sqrt(variances + np.float32((area * _NOISE) ** 2))
    correlation = np.empty((_SLIPS, _SLIPS, _CELLS, _CELLS, pairs), np.float32)
    product = np.empty_like(template)
    for y in range(_SLIPS):
        for x in range(_SLIPS):
            np.multiply(template, picture[y : y + _SIDE, x : x + _SIDE], out=product)
            at = (slice(y, y + _SIDE - _QUARTER, _QUARTER), slice(x, x + _SIDE - _QUARTER, _QUARTER))
            covariance = area * _cells(product) - total * totals[at]
            np.divide(covariance, length * lengths[at], out=correlation[y, x])
    middle = slice(_REACH, _REACH + _SIDE - _QUARTER, _QUARTER)
    cells = (_CELLS * _CELLS, pairs)
    return _Slips(
        correlation.reshape(_SLIPS * _SLIPS, *cells),
        np.asarray(variance / area**2, np.float32).reshape(cells),
        np.asarray(variances[middle, middle] / area**2, np.float32).reshape(cells),
    )


def _cells(values: Float32) -> Float32:
    """(32, 32, p) summed to (7, 7, p) cells of 8 x 8, each half over the next."""
    side, pairs = _SIDE // _QUARTER, values.shape[2]
    down = np.add.reduce(values.reshape(side, _QUARTER, _SIDE, pairs), axis=1)
    down = down[1:] + down[:-1]
    along = np.add.reduce(down.reshape(side - 1, side, _QUARTER, pairs), axis=2)
    return np.asarray(along[:, 1:] + along[:, :-1])


def _windows(values: Float32) -> Float32:
    """(s, s, p) summed over every window of 8 x 8: (s - 7, s - 7, p)."""
    for step in (1, 2, 4):
        values = values[step:] + values[:-step]
    for step in (1, 2, 4):
        values = values[:, step:] + values[:, :-step]
    return values


def _of_starts(likeness: Float32) -> Float32:
    """(3, p): the best crop, how far it stands out, and the two whole pictures."""
    spread = np.sqrt(_mean(np.square(likeness.T - _mean(likeness.T))))
    return np.stack([likeness.max(axis=1), spread, likeness[:, 0]])


def _of_colour(laid: _Laid) -> Float32:
    """(5, p): how colour differences correlate, how far they lie apart, and how much colour there is."""
    first, second = laid.template_colour, laid.picture_colour
    correlations = []
    for plane in range(2):
        a, b = (colour[plane] - _mean(colour[plane]) for colour in (first, second))
        length = np.sqrt((_mean(a * a) + np.float32(9)) * (_mean(b * b) + np.float32(9)))
        correlations.append(_mean(a * b) / length)
    apart = _mean(np.abs(first - second).reshape(-1, first.shape[2]))
    strengths = [_mean(np.abs(colour).reshape(-1, first.shape[2])) for colour in (first, second)]
    return np.stack([*correlations, apart, np.minimum(*strengths), np.maximum(*strengths)])


def _of_cells(slips: _Slips) -> list[Float32]:
    more = np.maximum(slips.template_variance, slips.picture_variance)
    less = np.minimum(slips.template_variance, slips.picture_variance)
    spread = np.maximum(more, 0).astype(np.float64) ** (1 - _LESSER) * np.maximum(less, 0).astype(np.float64) ** _LESSER
    deviation = np.sqrt(spread).astype(np.float32)
    weight = np.clip(deviation - np.float32(_FAINT), 0, np.float32(_STRONG - _FAINT))
    total = np.add.reduce(weight)
    weight = weight / (total + np.float32(1e-3))
    best, place = _best(slips.correlation)
    moved, residual, sureness = _movement(best, place, weight)
    there = np.take_along_axis(slips.correlation, moved[None], axis=0)[0]
    unmoved = slips.correlation[len(slips.correlation) // 2]
    together = np.stack([np.add.reduce(weight * one) for one in slips.correlation])
    seen = [np.add.reduce(weight * (best > level)) for level in np.array([0.5, 0.6, 0.7, 0.8, 0.9], np.float32)]
    seen += [np.add.reduce(weight * best), *np.sort(best, axis=0)[[5, 12, 24, 36]]]
    seen += [np.add.reduce(weight * unmoved), np.add.reduce(weight * (unmoved > np.float32(0.7))), together.max(axis=0)]
    seen += [np.add.reduce(sureness * residual) / (np.add.reduce(sureness) + np.float32(1e-6))]
    steady = weight * (residual < np.float32(1.2))
    seen += [np.add.reduce(steady * (best > level)) for level in np.array([0.6, 0.8], np.float32)]
    seen += [np.add.reduce(weight * there)]
    seen += [np.add.reduce(weight * (there > level)) for level in np.array([0.6, 0.75, 0.85], np.float32)]
    seen += [
        np.sort(there, axis=0)[24],
        np.log1p(total.astype(np.float64)),
        _mean((weight * total > 3).astype(np.float32)),
    ]
    return [np.stack(seen).astype(np.float32)]


def _best(correlation: Float32) -> tuple[Float32, Indices]:
    """(cells, p) the highest correlation of each cell, and the first place that has it."""
    best, place = correlation[0].copy(), np.zeros(correlation.shape[1:], np.int64)
    for number in range(1, len(correlation)):
        better = correlation[number] > best
        np.copyto(best, correlation[number], where=better)
        np.copyto(place, number, where=better)
    return best, place


_CELL_Y, _CELL_X = (part.reshape(-1, 1) for part in np.mgrid[-3:4, -3:4].astype(np.float64))


def _movement(best: Float32, place: Indices, weight: Float32) -> tuple[Indices, Float32, Float32]:
    """An affine movement fitted to where the cells went: the place it gives each cell, the distance from there in
    pixels, and what each cell counted."""
    y, x = np.divmod(place, _SLIPS)
    sureness = weight * np.square(np.clip(best, 0, 1))
    w = sureness.astype(np.float64)
    terms = (np.ones_like(_CELL_Y), _CELL_Y, _CELL_X)
    gram = [[np.add.reduce(w * (one * other)) + (one is other) * _STIFF for other in terms] for one in terms]
    fitted = []
    for moved in (y - _REACH, x - _REACH):
        right = [np.add.reduce(w * moved * one) for one in terms]
        fitted.append(sum(c * t for c, t in zip(_solve(gram, right), terms, strict=True)))
    residual = np.sqrt((y - _REACH - fitted[0]) ** 2 + (x - _REACH - fitted[1]) ** 2)
    at = [np.clip(np.rint(part), -_REACH, _REACH).astype(np.int64) + _REACH for part in fitted]
    return at[0] * _SLIPS + at[1], residual.astype(np.float32), sureness


def _solve(m: list[list[Float64]], r: list[Float64]) -> list[Float64]:
    """Cramer's rule for many symmetric 3 x 3 systems."""
    (a, b, c), (_, d, e), (_, _, f) = m
    cofactors = (d * f - e * e, c * e - b * f, b * e - c * d, a * f - c * c, b * c - a * e, a * d - b * b)
    determinant = a * cofactors[0] + b * cofactors[1] + c * cofactors[2]
    p, q, s, t, u, v = cofactors
    rows = ((p, q, s), (q, t, u), (s, u, v))
    return [(row[0] * r[0] + row[1] * r[1] + row[2] * r[2]) / determinant for row in rows]


def _mean(values: Float32) -> Float32:
    """Over the first axis, one row after another."""
    return np.asarray(np.add.reduce(values, axis=0) / np.float32(len(values)), np.float32)
