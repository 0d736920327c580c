"""Plain borders: letterboxes, frames and margins, with or without text in them."""

import numpy as np
from numpy.typing import NDArray

_PLAIN = 20  # grey levels; a line whose middle nine tenths stay within is a border
_LEAST_INSIDE = 7 / 24  # share of a side that must be left between borders

Light = NDArray[np.integer]
Box = tuple[float, float, float, float]


def plain(lines: Light) -> NDArray[np.bool_]:
    """(..., length) grey levels -> (...): whether nine tenths of a line are of one light."""
    low = lines.shape[-1] // 20
    high = lines.shape[-1] - 1 - low
    ordered = np.partition(lines, (low, high), axis=-1).astype(np.int32)
    return np.asarray(ordered[..., high] - ordered[..., low] <= _PLAIN)


def inside_borders(light: Light) -> Box:
    """Top, bottom, left, right (0..1) of what plain borders leave of a square picture; all where that is little."""
    side = len(light)
    rows, columns = slice(0, side), slice(0, side)
    for _ in range(2):  # a bar that spans the whole width can hide that the sides are plain
        rows = _longest(~plain(light[:, columns]))
        columns = _longest(~plain(light[rows].T))
    return rows.start / side, rows.stop / side, columns.start / side, columns.stop / side


def _longest(busy: NDArray[np.bool_]) -> slice:
    """The longest run of lines that are not plain; all of them where it is short."""
    edges = np.flatnonzero(np.diff(busy, prepend=False, append=False))
    lengths = edges[1::2] - edges[::2]
    if not len(lengths) or lengths.max() < round(_LEAST_INSIDE * len(busy)):
        return slice(0, len(busy))
    longest = int(lengths.argmax())
    return slice(int(edges[2 * longest]), int(edges[2 * longest + 1]))
