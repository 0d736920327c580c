"""Products of int8 vectors by the processor's own instructions for int8, through onnxruntime, which is loaded at once.

These multiply numbers with a sign by numbers without one, so 128 is added to one side and taken off again inside.
"""

from collections.abc import Callable
from functools import cached_property, lru_cache

import numpy as np
from numpy.typing import NDArray

Int8 = NDArray[np.int8]

_ACROSS = 1024  # vectors in one piece
_UINT8, _INT8, _INT32 = 2, 3, 6  # element types of ONNX
_IR_VERSION, _OPERATORS = 8, 13  # of ONNX; any onnxruntime since 1.10 knows them


class Sides:
    """Some int8 vectors, (n, d), ready to be either side of a product."""

    def __init__(self, vectors: Int8) -> None:
        self._vectors = np.ascontiguousarray(vectors)

    def __len__(self) -> int:
        return len(self._vectors)

    @cached_property
    def rows(self) -> NDArray[np.uint8]:
        """(n, d), 128 added."""
        return self._vectors.view(np.uint8) ^ np.uint8(128)

    @cached_property
    def columns(self) -> list[Int8]:
        """(d, some) each, in order."""
        starts = range(0, len(self), _ACROSS)
        return [np.ascontiguousarray(self._vectors[start : start + _ACROSS].T) for start in starts]


def product(one: Sides, other: Sides) -> NDArray[np.int32]:
    """(m, n) int32."""
    if not len(one) or not len(other):
        return np.zeros((len(one), len(other)), np.int32)
    multiply = _loaded()
    return np.concatenate([multiply(one.rows, some) for some in other.columns], axis=1)


def peaks(one: Sides, other: Sides, part: int) -> NDArray[np.int32]:
    """(parts, m) the largest product of each of `one` with each `part` of `other`."""
    highest = np.empty((-(-len(other) // part), len(one)), np.int32)
    multiply = _loaded()
    for place, some in enumerate(one.columns):
        products = multiply(other.rows, some)
        for number, line in enumerate(highest[:, place * _ACROSS : (place + 1) * _ACROSS]):
            np.maximum.reduce(products[number * part : (number + 1) * part], axis=0, out=line)
    return highest


@lru_cache
def _loaded() -> Callable[[NDArray[np.uint8], Int8], NDArray[np.int32]]:
    """The product of (m, d), 128 added, and (d, n). Raises ImportError where there is no onnxruntime."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1  # strips are spread over threads already
    session = onnxruntime.InferenceSession(_model(), options, providers=["CPUExecutionProvider"])

    def multiply(one: NDArray[np.uint8], other: Int8) -> NDArray[np.int32]:
        return np.asarray(session.run(None, {"one": one, "other": other})[0], np.int32)

    return multiply


def _model() -> bytes:
    """An ONNX model of one node, MatMulInteger, in the encoding of protocol buffers."""
    names = (b"one", b"other", b"added")
    node = _text(4, b"MatMulInteger") + b"".join(_text(1, name) for name in names) + _text(2, b"product")
    added = _number(2, _UINT8) + _text(8, b"added") + _text(9, bytes([128]))
    graph = (
        _text(1, node)
        + _text(2, b"products")
        + _text(5, added)
        + _text(11, _tensor(b"one", _UINT8))
        + _text(11, _tensor(b"other", _INT8))
        + _text(12, _tensor(b"product", _INT32))
    )
    return _number(1, _IR_VERSION) + _text(7, graph) + _text(8, _text(1, b"") + _number(2, _OPERATORS))


def _tensor(name: bytes, element: int) -> bytes:
    """What goes in or out: a matrix of any size."""
    sides = b"".join(_text(1, _text(2, name + side)) for side in (b"_rows", b"_columns"))
    return _text(1, name) + _text(2, _text(1, _number(1, element) + _text(2, sides)))


def _number(field: int, value: int) -> bytes:
    return bytes([field << 3, value])


def _text(field: int, value: bytes) -> bytes:
    size = [len(value) & 127 | 128, len(value) >> 7] if len(value) > 127 else [len(value)]
    return bytes([field << 3 | 2, *size]) + value
