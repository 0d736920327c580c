"""Results on their way: what is packed comes out the same, and arrays are Parquet that any tool reads."""

import io
from dataclasses import dataclass

import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from dedup_assets.core.engines.parcels import pack, unpack

DTYPES = st.sampled_from(["int8", "uint8", "int64", "float32", "float64", "bool", "<U3"])
SHAPES = arrays.array_shapes(min_dims=1, max_dims=3, min_side=0, max_side=4)


@dataclass(frozen=True)
class Fact:
    name: str
    sketch: object


def same(one, other):
    return one.dtype == other.dtype and one.shape == other.shape and one.tobytes() == other.tobytes()


@given(DTYPES.flatmap(lambda dtype: arrays.arrays(dtype, SHAPES)))
def test_an_array_comes_back_bit_for_bit(array):
    assert same(unpack(pack(array)), array)


@given(st.integers(0, 5), st.integers(1, 3))
def test_arrays_of_one_length_come_back_together(count, width):
    pair = np.arange(count), np.random.default_rng(0).random((count, width))
    back = unpack(pack(pair))
    assert isinstance(back, tuple)
    assert all(same(one, other) for one, other in zip(back, pair, strict=True))


def test_a_part_of_an_array_comes_back_without_the_rest():
    assert unpack(pack(np.arange(10)[::3])).tolist() == [0, 3, 6, 9]


@pytest.mark.parametrize("result", [[], None, ("a", 1), (), (np.arange(2), np.arange(3)), np.array(5), {"a": 1.5}])
def test_anything_else_comes_back_equal(result):
    back = unpack(pack(result))
    assert repr(back) == repr(result)


def test_objects_with_arrays_come_back():
    (back,) = unpack(pack([Fact("a", np.arange(3))]))
    assert (back.name, back.sketch.tolist()) == ("a", [0, 1, 2])


def test_vectors_are_a_column_of_parquet():
    vectors = np.arange(12, dtype=np.int8).reshape(2, 3, 2)
    column = pq.read_table(io.BytesIO(pack(vectors))).column(0)
    assert [np.frombuffer(row.as_py(), np.int8).tolist() for row in column] == [
        [0, 1, 2, 3, 4, 5],
        [6, 7, 8, 9, 10, 11],
    ]
