"""Vectors cut short so that their products are never less than those of whole ones: what they rule out is ruled out."""

import numpy as np
from numpy.typing import NDArray

Int8 = NDArray[np.int8]

_REST = 0.16  # of all squares; more entries cost more to multiply, fewer rule out less
_WORTH_IT = 0.9  # of the entries; where more are needed, vectors stay whole


class Abridged:
    """The entries in which some vectors are large, and one more for the length of all the rest.

    By Cauchy and Schwarz the rests of two vectors have no larger product than their lengths.
    """

    def __init__(self, vectors: Int8) -> None:
        """`vectors`: (n, d), those whose entries are looked at."""
        squares = np.einsum("nd,nd->d", vectors, vectors, dtype=np.int64)
        order = np.argsort(-squares, kind="stable")
        count = int(np.searchsorted(np.cumsum(squares[order]), (1 - _REST) * squares.sum())) + 1
        self._kept, self._rest = np.sort(order[:count]), np.sort(order[count:])
        self._whole = count + 1 > _WORTH_IT * len(order)

    def __call__(self, vectors: Int8) -> NDArray[np.integer]:
        """(m, d) int8 -> (m, fewer) int16 whose product with another such is at least that of the vectors; or these,
        where most of their entries matter."""
        if self._whole:
            return vectors
        short = np.empty((len(vectors), len(self._kept) + 1), np.int16)
        short[:, :-1] = vectors[:, self._kept]
        rest = vectors[:, self._rest]
        short[:, -1] = np.ceil(np.sqrt(np.einsum("nd,nd->n", rest, rest, dtype=np.int32)))
        return short
