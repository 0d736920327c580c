"""A glance at candidate pairs, by their outlines: most can be ruled out at a tenth of what evidence costs.

One picture, or a crop of it, is laid on the other as it fits best, and their light and colour are compared where they
lie. What is written on a picture, or stuck to it, spoils some of that: so it is sorted, and the better part counts too.
"""

import numpy as np
from numpy.typing import NDArray

from dedup_assets.core.detection.outlines import (
    COLOUR_SIDE,
    LENGTH,
    SIDE,
    Float32,
    Indices,
    Outlines,
    best_starts,
)

GLANCE, _LENGTH_ROW = 32, 30  # rows of what is seen of a pair; the one of the fainter picture's length

_LEAST = 8  # pairs at a time: numpy adds up one alone in another order
_BLOCK = 512
_CELL = 4  # pixels; light is compared in 3 x 3 cells of 4 x 4
_FAINT_CELL, _FAINT_COLOUR = 32_000.0, 512.0  # damp the correlation of what hardly varies
_FEATURELESS = 0.55  # of a crop's full length; a picture whose light varies by about two grey levels has less


def glance(outlines: Outlines, first: Indices, second: Indices) -> Float32:
    """(GLANCE, p) float32: what a glance at each pair of rows of `outlines` tells. Symmetric."""
    if not len(first):
        return np.empty((GLANCE, 0), np.float32)
    count, filling = len(first), np.zeros(-len(first) % _LEAST, np.int64)
    first, second = np.append(first, filling), np.append(second, filling)
    parts = [_glance(outlines, first[i : i + _BLOCK], second[i : i + _BLOCK]) for i in range(0, len(first), _BLOCK)]
    return np.concatenate(parts, axis=1)[:, :count]


def featureless(glanced: Float32) -> NDArray[np.bool_]:
    """(GLANCE, p) -> (p,) whether one of the pictures has too little light and shade for a glance to tell anything."""
    return np.asarray(glanced[_LENGTH_ROW] < np.float32(_FEATURELESS))


def _glance(outlines: Outlines, a: Indices, b: Indices) -> Float32:
    a, b = _in_order(outlines, a, b)
    start = best_starts(outlines.light, a, b)
    light = outlines.light[start.whole, 0].reshape(-1, SIDE, SIDE)
    light[start.mirrored] = light[start.mirrored, :, ::-1]
    colour = outlines.colour[start.whole, 0].reshape(-1, 2, COLOUR_SIDE, COLOUR_SIDE)
    colour[start.mirrored] = colour[start.mirrored, :, :, ::-1]
    lengths = [
        np.square(outlines.light[end, 0].astype(np.float32)).sum(axis=1) / np.float32(LENGTH**2) for end in (a, b)
    ]
    return np.stack(
        [
            *_of_starts(start.alike.T.astype(np.float64)),
            *_of_light(light, outlines.light[start.cropped, start.box].reshape(light.shape)),
            *_of_colour(colour, outlines.colour[start.cropped, start.box].reshape(colour.shape)),
            *(np.sqrt(pick(*lengths)) for pick in (np.minimum, np.maximum)),
        ]
    ).astype(np.float32)


def _in_order(outlines: Outlines, a: Indices, b: Indices) -> tuple[Indices, Indices]:
    """Each pair with the lesser outline first, so that it does not matter which came first."""
    swap = np.zeros(len(a), bool)
    open_ = np.arange(len(a))
    for part in (lambda rows: outlines.light[rows, 0], lambda rows: _all_of(outlines, rows)):
        one, other = part(a[open_]), part(b[open_])
        differs = one != other
        at = differs.argmax(axis=1)[:, None]
        swap[open_] = (np.take_along_axis(one, at, 1) > np.take_along_axis(other, at, 1))[:, 0]
        open_ = open_[~differs.any(axis=1)]
    return np.where(swap, b, a), np.where(swap, a, b)


def _all_of(outlines: Outlines, rows: Indices) -> NDArray[np.int8]:
    return np.concatenate([part[rows].reshape(len(rows), part[0].size) for part in outlines], axis=1)


def _of_starts(alike: NDArray[np.float64]) -> list[NDArray[np.float64]]:
    """Of (starts, p) products: the best start, how far it stands out, and the two whole pictures, not and mirrored."""
    mean = np.add.reduce(alike) / len(alike)
    spread = np.sqrt(np.maximum(np.add.reduce(alike * alike) / len(alike) - mean * mean, 0))
    return [part / LENGTH**2 for part in (alike.max(axis=0), spread, alike[0], alike[1])]


def _of_light(one: NDArray[np.int8], other: NDArray[np.int8]) -> list[NDArray[np.float64]]:
    """Of (p, 12, 12) each: how cells correlate, by rank and by weight, and how far pixels lie apart, by rank."""
    x, y = _in_cells(one), _in_cells(other)
    covariance, variance, other_variance = _moments(x, y)
    correlation = covariance / np.sqrt((variance + _FAINT_CELL) * (other_variance + _FAINT_CELL))
    weight = np.sqrt(np.sqrt(variance * other_variance))
    weight /= np.add.reduce(weight) + 1e-3
    ranked = np.sort(correlation, axis=0)
    seen = [ranked[place] for place in (1, 3, 4, 5, 7)]
    seen.append(np.add.reduce(weight * correlation))
    seen += [np.add.reduce(weight * (correlation > level)) for level in (0.3, 0.5, 0.7, 0.85)]
    apart = np.abs(one.astype(np.int16) - other).reshape(len(one), -1)
    places = (28, 56, 72, 100, 130)
    return [*seen, *(np.partition(apart, places, axis=1)[:, places].T / 64.0)]


def _of_colour(one: NDArray[np.int8], other: NDArray[np.int8]) -> list[NDArray[np.float64]]:
    """Of (p, 2, 4, 4) each: how both differences correlate, how far they lie apart, and how much colour there is."""
    x, y = (np.moveaxis(part.reshape(len(part), 2, -1), 0, 2).astype(np.float64) for part in (one, other))
    covariance, variance, other_variance = _moments(x.swapaxes(0, 1), y.swapaxes(0, 1))
    seen = [*(covariance / np.sqrt((variance + _FAINT_COLOUR) * (other_variance + _FAINT_COLOUR)))]
    apart = np.abs(x - y)
    ranked = np.sort(apart.max(axis=0), axis=0)
    seen += [ranked[place] / 16 for place in (1, 3, 5, 8, 11, 14)]
    seen.append(np.add.reduce(apart.reshape(-1, apart.shape[2])) / (apart.shape[0] * apart.shape[1] * 16))
    strengths = [np.add.reduce(np.abs(part).reshape(-1, part.shape[2])) / 512 for part in (x, y)]
    return [*seen, np.minimum(*strengths), np.maximum(*strengths)]


def _in_cells(light: NDArray[np.int8]) -> NDArray[np.float64]:
    """(p, 12, 12) -> (16, 9, p): the pixels of each cell."""
    count, cells = len(light), SIDE // _CELL
    split = light.reshape(count, cells, _CELL, cells, _CELL).transpose(2, 4, 1, 3, 0)
    return np.ascontiguousarray(split, np.float64).reshape(_CELL * _CELL, cells * cells, count)


def _moments(x: NDArray[np.float64], y: NDArray[np.float64]) -> tuple[NDArray[np.float64], ...]:
    """Covariance and both variances over the first axis, times the square of its length: exact, all being whole."""
    count, total, other = len(x), np.add.reduce(x), np.add.reduce(y)
    return (
        count * np.add.reduce(x * y) - total * other,
        count * np.add.reduce(x * x) - total * total,
        count * np.add.reduce(y * y) - other * other,
    )
