"""Inner products of int8 vectors, tile by tile and exact: whole numbers, whatever multiplied them."""

import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dedup_assets.core.detection import integers
from dedup_assets.core.errors import SettingsError

Int8 = NDArray[np.int8]
Products = NDArray[Any]  # (rows, columns), whole numbers; int32, or floats that hold them exactly
Prepared = Any  # what it takes for one side of a product: an array, a tensor of torch

AUTO, CPU, CUDA = "auto", "cpu", "cuda"
DEVICES = (AUTO, CPU, CUDA)

TILE_ROWS, TILE_COLUMNS = 2048, 512  # whose products stay near a core; few columns in order are of nearly one norm

_FLOAT_ROWS = 384  # at a time as floats
_PART = 128  # columns of which the largest is had for next to nothing, where products lie column by column
_DEVICE_ROWS = 8192  # at a time on a device, whose memory all threads share: 32 MB of products
_FLOAT32_HOLDS = 2**24
_WORTH_LOADING_TORCH = 1e12  # multiplications; below, importing it takes longer than it saves
_WORTH_A_TRIAL = 4e9  # the same for onnxruntime, and for finding out how fast it is here
_PROBE = 512


@dataclass(frozen=True, slots=True)
class Multiplier:
    """`product` of two `prepared` arrays, (m, d) and (n, d), is (m, n) whole numbers; `peaks`, (parts, m), the largest
    of each row in each `part` columns, without holding the others.
    """

    prepared: Callable[[Int8], Prepared]
    product: Callable[[Prepared, Prepared], Products]
    peaks: Callable[[Prepared, Prepared], Products]
    part: int = TILE_COLUMNS

    def __call__(self, rows: Int8, columns: Int8) -> Products:
        """The product of (m, d) and (n, d) int8."""
        return self.product(self.prepared(rows), self.prepared(columns))


def multiplier(dimension: int, multiplications: float, device: str = AUTO) -> Multiplier:
    """What multiplies fastest on this machine, for so many `multiplications` in all.

    `device`: AUTO for a GPU where there is one and enough to do. Raises SettingsError where CUDA is asked for and there
    is none that multiplies exactly.
    """
    if device == CUDA or (device == AUTO and multiplications >= _WORTH_LOADING_TORCH):
        if _is_exact_on(CUDA, dimension):
            return on_device(CUDA, dimension)
        if device == CUDA:
            raise SettingsError(
                f"search_device is '{CUDA}', but torch has no CUDA device here that multiplies exactly; use {AUTO} or "
                f"{CPU}, and see torch.cuda.is_available()"
            )
    tried = []
    if "torch" in sys.modules or multiplications >= _WORTH_LOADING_TORCH:
        tried.append(BY_TORCH)
    if multiplications >= _WORTH_A_TRIAL:
        tried.append(BY_ONNXRUNTIME)
    return next((integer for integer in tried if _pays(integer, dimension)), floats(dimension))


def floats(dimension: int) -> Multiplier:
    """Products of whole numbers in floats wide enough that every sum is exact, in any order of summation."""
    return FLOAT32 if dimension * 127**2 <= _FLOAT32_HOLDS else FLOAT64


def on_device(device: str, dimension: int) -> Multiplier:
    """The same on a device of torch: floats there too, for every sum is exact in them."""
    import torch

    wide = torch.float32 if floats(dimension) is FLOAT32 else torch.float64

    def prepared(vectors: Int8) -> Prepared:
        return _tensor(vectors).to(device).to(wide)

    def product(rows: Prepared, columns: Prepared) -> Products:
        return np.asarray((rows @ columns.T).cpu().numpy())

    def peaks(rows: Prepared, columns: Prepared) -> Products:
        across = columns.T
        highest = [(some @ across).amax(1) for some in torch.split(rows, _DEVICE_ROWS)]
        return np.asarray(torch.cat(highest).cpu().numpy())[None]

    return Multiplier(prepared, product, peaks)


def _of_floats(rows: Prepared, columns: Prepared) -> Products:
    return np.asarray(rows @ columns.T)


def _peaks_of_floats(rows: Prepared, columns: Prepared) -> Products:
    peaks = np.empty((-(-len(columns) // _PART), len(rows)), rows.dtype)
    room = np.empty(len(columns) * _FLOAT_ROWS, rows.dtype)
    for start in range(0, len(rows), _FLOAT_ROWS):
        some = rows[start : start + _FLOAT_ROWS]
        products = np.matmul(columns, some.T, out=room[: len(columns) * len(some)].reshape(len(columns), -1))
        for part, highest in enumerate(peaks):
            lines = products[part * _PART : (part + 1) * _PART]
            np.maximum.reduce(lines, axis=0, out=highest[start : start + _FLOAT_ROWS])
    return peaks


def _by_torch(rows: Prepared, columns: Prepared) -> Products:
    import torch

    products = np.empty((len(rows), len(columns)), np.int32)  # torch's own memory, aligned, is not well used again
    torch._int_mm(rows, columns.T, out=torch.from_numpy(products))
    return products


def _peaks_by_torch(rows: Prepared, columns: Prepared) -> Products:
    import torch

    peaks = np.empty((1, len(rows)), np.int32)
    room = torch.from_numpy(np.empty((TILE_ROWS, len(columns)), np.int32))
    across = columns.T
    for some, highest in zip(
        torch.split(rows, TILE_ROWS), torch.split(torch.from_numpy(peaks[0]), TILE_ROWS), strict=True
    ):
        torch.amax(torch._int_mm(some, across, out=room[: some.shape[0]]), 1, out=highest)
    return peaks


def _tensor(vectors: Int8) -> Prepared:
    import torch

    return torch.from_numpy(np.ascontiguousarray(vectors))


FLOAT32 = Multiplier(lambda vectors: vectors.astype(np.float32), _of_floats, _peaks_of_floats, _PART)
FLOAT64 = Multiplier(lambda vectors: vectors.astype(np.float64), _of_floats, _peaks_of_floats, _PART)
BY_ONNXRUNTIME = Multiplier(integers.Sides, integers.product, partial(integers.peaks, part=_PART), _PART)
BY_TORCH = Multiplier(_tensor, _by_torch, _peaks_by_torch)  # a sixth faster than that, once it is loaded


@lru_cache
def _is_exact_on(device: str, dimension: int) -> bool:
    """Whether torch has the device, and its products, the largest there can be among them, are exact."""
    import torch

    one, other = _probes(dimension)
    try:
        return (device != CUDA or torch.cuda.is_available()) and np.array_equal(
            on_device(device, dimension)(one, other), FLOAT64(one, other)
        )
    except RuntimeError:
        return False


def _probes(dimension: int) -> Int8:
    """(2, _PROBE, dimension), whose first rows have the largest product of all."""
    probes = np.random.default_rng(0).integers(-127, 128, (2, _PROBE, dimension)).astype(np.int8)
    probes[:, 0] = 127
    return probes


@lru_cache
def _pays(integer: Multiplier, dimension: int) -> bool:
    """Whether int8 is multiplied exactly here, and faster than floats are: not every processor can.

    A row alone counts too: libraries have ways of their own for it.
    """
    one, other = _probes(dimension)
    truth = FLOAT64(one, other)
    try:
        exact = all(np.array_equal(integer(one[:rows], other), truth[:rows]) for rows in (1, _PROBE))
    except Exception:  # the library is not there, or cannot do it here: floats can
        return False
    return exact and _least_seconds(integer, one, other) < _least_seconds(floats(dimension), one, other)


def _least_seconds(multiply: Multiplier, one: Int8, other: Int8) -> float:
    rows, columns = multiply.prepared(one), multiply.prepared(other)
    seconds = []
    for _ in range(5):
        start = time.perf_counter()
        multiply.product(rows, columns)
        seconds.append(time.perf_counter() - start)
    return min(seconds)
