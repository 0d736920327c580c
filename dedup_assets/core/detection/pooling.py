"""Sketches as light and colour, pooled to cells by weights in 64ths: every sum is an integer that float32 holds."""

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from dedup_assets.core.images import SKETCH_SIZE

PARTS = 64  # weights of a cell along one axis sum to this
CELL = PARTS * PARTS  # so a pooled value is the grey level times this

Span = tuple[float, float]


@lru_cache(maxsize=4096)
def cell_weights(span: Span, cells: int) -> NDArray[np.float32]:
    """(cells, 48) share of each pixel in each cell along one axis, in 64ths; every row sums to 64.

    `span` is the part of the side (0..1) that the cells divide; beyond the picture its edge goes on.
    """
    edges = np.linspace(span[0] * SKETCH_SIZE, span[1] * SKETCH_SIZE, cells + 1)[:, None]
    lows = np.concatenate([[min(0.0, edges[0, 0])], np.arange(1, SKETCH_SIZE)])
    highs = np.concatenate([np.arange(1, SKETCH_SIZE), [max(float(SKETCH_SIZE), edges[-1, 0])]])
    overlap = np.clip(np.minimum(edges[1:], highs) - np.maximum(edges[:-1], lows), 0, None)
    weights = np.rint(overlap * (PARTS / overlap.sum(axis=1, keepdims=True)))
    weights[np.arange(cells), weights.argmax(axis=1)] += PARTS - weights.sum(axis=1)
    return np.asarray(weights, np.float32)


def light_and_colour(pictures: NDArray[np.uint8]) -> tuple[NDArray[np.uint8], NDArray[np.int16]]:
    """Light (n, 48, 48), and blue minus light, red minus light (n, 2, 48, 48), in grey levels."""
    red, green, blue = (pictures[..., channel].astype(np.uint16) for channel in range(3))
    light = (77 * red + 150 * green + 29 * blue + 128) >> 8
    colour = np.empty((len(pictures), 2, SKETCH_SIZE, SKETCH_SIZE), np.int16)
    colour[:, 0], colour[:, 1] = blue - light, red - light  # wrap to what int16 holds
    return light.astype(np.uint8), colour
