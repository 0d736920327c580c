"""Inner products of int8 vectors, tile by tile and exact: whole numbers, whatever multiplied them."""

import sys
import time
from collections.abc import Callable
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

Int8 = NDArray[np.int8]
Products = NDArray[Any]  # (rows, columns), whole numbers; int32, or floats that hold them exactly
Multiply = Callable[[Int8, Int8], Products]

TILE_ROWS, TILE_COLUMNS = 512, 1024  # whose products fit a core's own cache

_FLOAT32_HOLDS = 2**24
_WORTH_LOADING_TORCH = 3e11  # multiplications; below, importing it takes longer than it saves
_PROBE = 512


def multiplier(dimension: int, multiplications: float) -> Multiply:
    """What multiplies (m, d) by (n, d) into (m, n), fastest on this machine for so many `multiplications` in all."""
    if "torch" not in sys.modules and multiplications < _WORTH_LOADING_TORCH:
        return _floats(dimension)
    return _integers if _integers_are_faster(dimension) else _floats(dimension)


def _floats(dimension: int) -> Multiply:
    """Products of whole numbers in floats wide enough that every sum is exact, in any order of summation."""
    return _float32 if dimension * 127**2 <= _FLOAT32_HOLDS else _float64


def _float32(rows: Int8, columns: Int8) -> Products:
    return np.asarray(rows.astype(np.float32) @ columns.astype(np.float32).T)


def _float64(rows: Int8, columns: Int8) -> Products:
    return np.asarray(rows.astype(np.float64) @ columns.astype(np.float64).T)


def _integers(rows: Int8, columns: Int8) -> Products:
    """By the processor's int8 instructions, through torch."""
    import torch

    products = torch._int_mm(torch.from_numpy(rows), torch.from_numpy(columns).T)
    return np.asarray(products.numpy())


@lru_cache
def _integers_are_faster(dimension: int) -> bool:
    """Whether torch multiplies int8 exactly here, and faster than floats are: not every processor can."""
    values = np.random.default_rng(0).integers(-127, 128, (2, _PROBE, dimension)).astype(np.int8)
    floats = _floats(dimension)
    try:
        exact = np.array_equal(_integers(values[0], values[1]), _float64(values[0], values[1]))
    except (AttributeError, RuntimeError, ImportError):
        return False
    return exact and _least_seconds(_integers, values) < _least_seconds(floats, values)


def _least_seconds(multiply: Multiply, values: Int8) -> float:
    seconds = []
    for _ in range(5):
        start = time.perf_counter()
        multiply(values[0], values[1])
        seconds.append(time.perf_counter() - start)
    return min(seconds)
