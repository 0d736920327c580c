"""What the work on a shard gives, as the bytes of a Parquet file and back.

An array of k rows is one column, several of equal length are several; anything else is pickled into one cell. Parquet
that holds arrays can be read by any tool: a row is the bytes of its numbers, and the file says which and how many.
"""

import io
import json
import pickle
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

Result = TypeVar("Result")

_KEY = b"dedup_assets"


def pack(result: object) -> bytes:
    """The result as a Parquet file."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    arrays = _columns(result)
    if arrays is None:
        columns: list[Any] = [pa.array([pickle.dumps(result, protocol=5)], pa.large_binary())]
        facts: dict[str, Any] = {"kind": "pickle"}
    else:
        columns = [_column(array) for array in arrays]
        facts = {"kind": "arrays" if isinstance(result, tuple) else "array"}
        facts["columns"] = [{"dtype": array.dtype.str, "shape": array.shape[1:]} for array in arrays]
    names = [f"column_{place}" for place in range(len(columns))]
    table = pa.table(columns, names=names).replace_schema_metadata({_KEY: json.dumps(facts)})
    written = io.BytesIO()
    pq.write_table(table, written, compression="none", use_dictionary=False, write_statistics=False)
    return written.getvalue()


def unpack(data: bytes) -> Any:  # noqa: ANN401 - whatever was packed
    """What `pack` was given; arrays are read-only."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    table = pq.read_table(pa.BufferReader(data))
    facts = json.loads(table.schema.metadata[_KEY])
    columns = [column.combine_chunks() for column in table.columns]
    if facts["kind"] == "pickle":
        return pickle.loads(columns[0][0].as_py())
    arrays = [
        _array(column, said["dtype"], said["shape"]) for column, said in zip(columns, facts["columns"], strict=True)
    ]
    return tuple(arrays) if facts["kind"] == "arrays" else arrays[0]


def _columns(result: object) -> "list[NDArray[Any]] | None":
    """The arrays that the result consists of, where these can be columns."""
    parts = result if isinstance(result, tuple) else (result,)
    arrays = [part for part in parts if isinstance(part, np.ndarray) and part.ndim and not part.dtype.hasobject]
    fit = arrays and len(arrays) == len(parts) and len({len(array) for array in arrays}) == 1
    return arrays if fit and all(_width(array) for array in arrays) else None


def _width(array: "NDArray[Any]") -> int:
    """Bytes of one row."""
    return int(array.dtype.itemsize * np.prod(array.shape[1:], dtype=np.int64))


def _column(array: "NDArray[Any]") -> Any:  # noqa: ANN401 - pyarrow has no types
    import pyarrow as pa

    rows = pa.py_buffer(np.ascontiguousarray(array))
    return pa.Array.from_buffers(pa.binary(_width(array)), len(array), [None, rows])


def _array(column: Any, dtype: str, shape: list[int]) -> "NDArray[Any]":  # noqa: ANN401
    count, width = len(column), column.type.byte_width
    if not count:
        return np.empty((0, *shape), dtype)
    rows = np.frombuffer(column.buffers()[1], np.uint8)[column.offset * width : (column.offset + count) * width]
    return rows.view(dtype).reshape(count, *shape)
