"""Plain borders: letterboxes, frames and margins, with or without text in them."""

import numpy as np
from numpy.typing import NDArray

_PLAIN = 20  # grey levels; a line whose middle nine tenths stay within is a border
_LEAST_INSIDE = 7 / 24  # share of a side that must be left between borders

Light = NDArray[np.generic]  # whole grey levels
Box = tuple[float, float, float, float]

EVERYTHING: Box = (0, 1, 0, 1)


def plain(lines: Light) -> NDArray[np.bool_]:
    """(..., length) grey levels -> (...): whether nine tenths of a line are of one light."""
    low = lines.shape[-1] // 20
    high = lines.shape[-1] - 1 - low
    ordered = np.sort(lines.astype(np.int16), axis=-1)  # faster than a partition
    return np.asarray(ordered[..., high] - ordered[..., low] <= _PLAIN)


def inside_borders(light: Light) -> Box:
    """Top, bottom, left, right (0..1) of what plain borders leave of a square picture; all where that is little."""
    side = len(light)
    rows, columns = slice(0, side), slice(0, side)
    for _ in range(2):  # a bar that spans the whole width can hide that the sides are plain
        seen = columns
        rows = _longest(~plain(light[:, columns]))
        columns = _longest(~plain(light[rows].T))
        if columns == seen:
            break
    return rows.start / side, rows.stop / side, columns.start / side, columns.stop / side


def _longest(busy: NDArray[np.bool_]) -> slice:
    """The longest run of lines that are not plain; all of them where it is short."""
    runs = [len(run) for run in busy.tobytes().split(b"\0")]
    longest = max(runs)
    if longest < round(_LEAST_INSIDE * len(busy)):
        return slice(0, len(busy))
    before = runs.index(longest)
    start = sum(runs[:before]) + before
    return slice(start, start + longest)
