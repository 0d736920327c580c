"""What can be ruled out by its product: the least that one must come to."""

from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from dedup_assets.core.detection.cosines import Distances, Indices

NONE = np.iinfo(np.int32).min  # a product that counts for nothing
SLACK = 1e-9  # of a cosine; more than the bounds here are off
_NEARLY = 1.01  # norms this close are as good as one


class Least:
    """The whole numbers that products of some queries must reach, tile by tile, to come to a cosine.

    Norms grow from tile to tile, and what was least a little before will do.
    """

    def __init__(self, cosine: float | Distances, lengths: Distances, norms: Distances) -> None:
        """`cosine`: of all or each. `lengths`: (m,) of the queries. `norms`: of all columns, sorted."""
        self._lengths, self._norms, self._lowest = lengths, norms, 0.0
        self._bars = _bars(cosine, lengths)
        self._least = np.empty(0, np.int32)

    def __call__(self, tile: slice) -> NDArray[np.int32]:
        """(m,) for the queries and the columns of the tile."""
        low = span(self._norms[tile])[0]
        if low > _NEARLY * self._lowest:
            self._lowest = low
            self._least = self._scaled(self._bars)
        return self._least

    def renew(self, places: Indices, cosine: Distances) -> None:
        """Another cosine for some of the queries."""
        self._bars[places] = _bars(cosine, self._lengths[places])
        self._least[places] = self._scaled(self._bars[places])

    def _scaled(self, bars: Distances) -> NDArray[np.int32]:
        return whole(bars * np.where(bars > 0, self._lowest, max(self._norms[-1], 1.0)), np.int32)


def _bars(cosine: float | Distances, lengths: Distances) -> Distances:
    """What a product with a column of norm 1 must reach. A query of zeros has nothing but cosines of 0."""
    least = np.broadcast_to(cosine - SLACK, lengths.shape)
    return np.where((lengths == 0) & (least > 0), np.inf, least * np.maximum(lengths, 1.0))


def whole(least: Distances, dtype: DTypeLike) -> NDArray[Any]:
    """The least whole numbers that reach these, as products are held: like is compared with like many times faster."""
    return np.clip(np.ceil(least), float(NONE), -float(NONE) - 1).astype(dtype)


def span(norms: Distances) -> tuple[float, float]:
    """The least norm above 0 and the largest, at least 1, of sorted norms."""
    above = norms[np.searchsorted(norms, 0.0, side="right") :]
    return (float(above[0]), float(above[-1])) if len(above) else (1.0, 1.0)
