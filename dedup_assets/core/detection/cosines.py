"""Vectors as whole numbers, and their cosines and distances: exact to the last bit, the same on every machine."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from dedup_assets.core.detection.base import Calibration
from dedup_assets.core.detection.products import Int8

Indices = NDArray[np.int64]
Distances = NDArray[np.float64]

_DECIDED = 2048  # pairs decided at a time


def quantise(vectors: NDArray[np.float32]) -> Int8:
    """Unit vectors (..., d) as int8, each scaled so that its largest entry is 127."""
    largest = np.abs(vectors).max(axis=-1, keepdims=True)
    return np.asarray(np.rint(vectors * (127.0 / np.maximum(largest, 1e-12))), np.int8)


def pair_distances(
    vectors: Int8, first: Indices, second: Indices, calibration: Calibration
) -> tuple[Distances, Distances]:
    """View and full-frame distance of each pair of rows, (p,) float64 each: symmetric, and exact to the last bit.

    The view distance is the smallest: of the full frames, or of a view and a full frame times the view factor.
    """
    view_cosine, full_cosine = np.empty(len(first)), np.empty(len(first))
    for start in range(0, len(first), _DECIDED):
        part = slice(start, start + _DECIDED)
        forth, back = _view_cosines(vectors, first[part], second[part])
        full_cosine[part] = forth[:, 0]
        view_cosine[part] = np.maximum(forth.max(axis=1), back.max(axis=1))
    full = calibration.distance(full_cosine)
    return np.minimum(calibration.distance(view_cosine) * calibration.view_factor, full), full


def pair_turns(vectors: Int8, turns: Sequence[int], first: Indices, second: Indices) -> tuple[Indices, Indices]:
    """By how many quarters to turn the first and the second of each pair of rows, (p,) each, to see them alike.

    `turns`: of each view. Nothing is turned where another view fits as well.
    """
    by = np.zeros((2, len(first)), np.int64)
    order = np.argsort(np.asarray(turns) != 0, kind="stable")
    for start in range(0, len(first) if any(turns) else 0, _DECIDED):
        part = slice(start, start + _DECIDED)
        forth, back = _view_cosines(vectors, first[part], second[part])
        best = np.argmax(np.stack([forth, back], axis=2)[:, order].reshape(len(forth), -1), axis=1)
        view, end = np.divmod(best, 2)
        by[end, np.arange(start, start + len(best))] = np.asarray(turns)[order][view]
    return by[0], by[1]


def _view_cosines(vectors: Int8, first: Indices, second: Indices) -> tuple[Distances, Distances]:
    """(p, views) of each view of the first with the full frame of the second, and the other way round."""
    a, b = vectors[first].astype(np.int32), vectors[second].astype(np.int32)
    aa, bb = (a**2).sum(axis=2), (b**2).sum(axis=2)
    forth = exact_cosine(np.einsum("pvd,pd->pv", a, b[:, 0]), aa, bb[:, :1])
    return forth, exact_cosine(np.einsum("pvd,pd->pv", b, a[:, 0]), bb, aa[:, :1])


def exact_cosine(dots: NDArray[np.int32], squares: NDArray[np.int32], others: NDArray[np.int32]) -> Distances:
    """The cosines of whole vectors from their products and squared norms; 0 for a vector of zeros."""
    product = squares.astype(np.float64) * others.astype(np.float64)
    return np.asarray(dots.astype(np.float64) / np.sqrt(np.maximum(product, 1.0)))


def squares_of(full: Int8) -> NDArray[np.int32]:
    """(n,) squared norms of (n, d) vectors."""
    return np.asarray(np.einsum("nd,nd->n", full, full, dtype=np.int32))
