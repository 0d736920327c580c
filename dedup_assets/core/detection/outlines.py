"""Sketches boiled down to outlines: some crops of each at a few pixels, enough to see how two pictures may lie.

Pixels are whole numbers, and sums of their products small enough for float32 to hold exactly, so what is said of a
picture or a pair is the same in every batch and on every machine.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from dedup_assets.core.detection.pooling import CELL, Span, cell_weights, light_and_colour
from dedup_assets.core.images import SKETCH_SIZE

Pictures = NDArray[np.uint8]
Float32 = NDArray[np.float32]
Indices = NDArray[np.int64]

# Crops of one side, 0..1, and the (rows, columns) of crops that the other picture may show; the whole first.
SPANS: tuple[Span, ...] = (
    *((0, 1), (0.075, 0.925), (0.14, 0.86)),
    *((0, 0.9), (0.1, 1), (0, 0.8), (0.2, 1)),
    *((0, 0.86), (0.14, 1), (0.07, 0.93)),
)
BOXES = (
    *((0, 0), (1, 1), (2, 2)),
    *((rows, columns) for pair in ((3, 4), (5, 6)) for rows in pair for columns in pair),
    *(box for span in (7, 8, 9, 2) for box in ((span, 0), (0, span))),
)
ROWS, COLUMNS = np.array(BOXES).T

SIDE, COLOUR_SIDE = 12, 4  # pixels of a crop
LENGTH = 700.0  # of a crop's light
_FAINT = 24.0  # grey levels; light that varies less is not scaled up to that length
_COLOUR_STEP = 2.0  # grey levels
_PICTURES = 32  # at a time: what they need fits the cache


class Outlines(NamedTuple):
    """Crops of n pictures: their light (n, boxes, 144), mean removed, all of nearly one length; and two colour
    differences (n, boxes, 32), blue minus light then red minus light, in steps of 2 grey levels."""

    light: NDArray[np.int8]
    colour: NDArray[np.int8]


def outline(pictures: Pictures) -> Outlines:
    """Of (n, 48, 48, 3) uint8 RGB."""
    count = len(pictures)
    outlines = Outlines(
        np.empty((count, len(BOXES), SIDE * SIDE), np.int8),
        np.empty((count, len(BOXES), 2 * COLOUR_SIDE * COLOUR_SIDE), np.int8),
    )
    for start in range(0, count, _PICTURES):
        part = slice(start, start + _PICTURES)
        light, colour = light_and_colour(pictures[part])
        outlines.light[part] = light_crops(light.astype(np.float32))
        pooled = _pooled(colour.reshape(-1, SKETCH_SIZE, SKETCH_SIZE).astype(np.float32), COLOUR_SIDE)
        steps = np.clip(np.rint(pooled / (CELL * _COLOUR_STEP)), -127, 127).reshape(len(light), 2, len(BOXES), -1)
        outlines.colour[part] = steps.swapaxes(1, 2).reshape(len(light), len(BOXES), -1)
    return outlines


def light_crops(light: Float32) -> Float32:
    """(n, boxes, 144) integers: each crop at 12 x 12, its mean removed, all of nearly one length."""
    crops = _pooled(light, SIDE).reshape(len(light), len(BOXES), -1)
    crops /= CELL
    np.rint(crops, out=crops)
    crops -= np.rint(crops.sum(axis=2, keepdims=True) / crops.shape[2])
    length = np.sqrt(np.einsum("nbi,nbi->nb", crops, crops)[..., None])
    crops *= LENGTH / (length + _FAINT)
    np.rint(crops, out=crops)
    return np.clip(crops, -127, 127, out=crops)


class Starts(NamedTuple):
    """Where the pictures of p pairs are laid on each other: the whole of one on a crop of the other.

    `alike`: (p, starts) products of every crop of one with the whole of the other, as it is and mirrored; first those
    of the second one's crops, the full frame first. `whole`, `cropped`: (p,) rows; `box`: (p,) the crop; `mirrored`.
    """

    alike: Float32
    whole: Indices
    cropped: Indices
    box: Indices
    mirrored: NDArray[np.bool_]


def best_starts(light: NDArray[np.int8], a: Indices, b: Indices) -> Starts:
    """For pairs of rows of (n, boxes, 144) crops, where they fit best."""
    alike = np.stack([_products(light, a, b), _products(light, b, a)], axis=1).reshape(len(a), -1)
    swapped, box, mirrored = np.unravel_index(alike.argmax(axis=1), (2, len(BOXES), 2))
    return Starts(alike, np.where(swapped, b, a), np.where(swapped, a, b), box, mirrored == 1)


def _products(light: NDArray[np.int8], whole: Indices, cropped: Indices) -> Float32:
    """(p, boxes, 2) of each crop of one picture with the whole of the other, as it is and mirrored."""
    frame = light[whole, 0].astype(np.float32).reshape(-1, SIDE, SIDE)
    targets = np.stack([frame, frame[:, :, ::-1]], axis=-1).reshape(len(whole), -1, 2)
    return np.asarray(light[cropped].astype(np.float32) @ targets, np.float32)


def _pooled(planes: Float32, cells: int) -> Float32:
    """(n, 48, 48) -> (n, boxes, cells, cells), times CELL."""
    count = len(planes)
    weights = np.stack([cell_weights(span, cells) for span in SPANS])
    across = planes.swapaxes(0, 1).reshape(-1, SKETCH_SIZE) @ weights.reshape(-1, SKETCH_SIZE).T
    across = across.reshape(SKETCH_SIZE, count, len(SPANS), cells)
    pooled = np.empty((len(BOXES), cells, count, cells), np.float32)
    for span in range(len(SPANS)):
        boxes = np.flatnonzero(span == COLUMNS)
        down = weights[ROWS[boxes]].reshape(-1, SKETCH_SIZE)
        pooled[boxes] = (down @ across[:, :, span].reshape(SKETCH_SIZE, -1)).reshape(-1, cells, count, cells)
    return np.ascontiguousarray(pooled.transpose(2, 0, 1, 3))
