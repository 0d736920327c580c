"""Placeholder, to be replaced as a whole."""

from dataclasses import dataclass
import numpy as np

VERSION = "0"
TINY_DISTANCE = 0.02


@dataclass(frozen=True)
class FullSizeResult:
    identical: bool
    distance: float | None


def compare_full(first, second):
    a, b = np.asarray(first), np.asarray(second)
    if first.mode == second.mode and a.shape == b.shape and (a == b).all():
        return FullSizeResult(True, 0.0)
    if a.shape != b.shape:
        return FullSizeResult(False, None)
    d = np.abs(a.astype(float) - b).max() / 40 * 1e-4
    return FullSizeResult(False, d)
