"""Arrays by content hash, in immutable shards of a folder: a cache that only ever grows, and survives a kill."""

import hashlib
import math
import os
import tempfile
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

Keys = NDArray[np.bytes_]

_IN_MEMORY_BYTES = 512 << 20  # arrays larger than this lie in a file that is mapped


class ArrayShelf:
    """Rows of one shape and dtype, each under the hash of the content it was computed from.

    A shard is two files, `NAME.rows.npy` then `NAME.keys.npy`; it counts once its keys are there, so a killed write
    leaves nothing that is read. A shard that cannot be read is as good as absent: its rows are computed again.
    """

    def __init__(self, folder: Path, shape: tuple[int, ...], dtype: str) -> None:
        self.folder = folder
        self.shape = shape
        self.dtype = np.dtype(dtype)

    def add(self, keys: Sequence[str], rows: NDArray[np.generic]) -> str:
        """Store one row for each key (64 hex digits); the name of the shard."""
        if not len(keys):
            return ""
        packed = np.asarray(keys, dtype="S64")
        name = hashlib.sha256(packed.tobytes()).hexdigest()[:20]
        self.folder.mkdir(parents=True, exist_ok=True)
        self._write(f"{name}.rows.npy", np.ascontiguousarray(rows, dtype=self.dtype))
        self._write(f"{name}.keys.npy", packed)
        return name

    def missing(self, keys: Sequence[str]) -> list[str]:
        """Those of `keys` that have no row yet, each once, in the order given."""
        known: set[bytes] = set()
        for shard_keys, _ in self._shards():
            known.update(shard_keys.tolist())
        return [key for key in dict.fromkeys(keys) if key.encode() not in known]

    def read(self, keys: Sequence[str]) -> NDArray[Any]:
        """(len(keys), *shape) rows in the order of `keys`. Raises KeyError naming the first key without a row.

        Large ones are mapped from a file without a name in the folder, which goes when they are let go.
        """
        wanted = np.asarray(keys, dtype="S64")
        rows = self._room((len(wanted), *self.shape))
        found = np.zeros(len(wanted), bool)
        order = np.argsort(wanted, kind="stable")
        in_order = wanted[order]
        for shard_keys, shard_rows in self._shards():
            at = np.searchsorted(in_order, shard_keys)
            at[at == len(in_order)] = 0
            hits = np.flatnonzero(in_order[at] == shard_keys) if len(in_order) else np.empty(0, np.intp)
            targets = order[at[hits]]
            rows[targets] = shard_rows[hits]
            found[targets] = True
        first = np.searchsorted(in_order, in_order)  # a key asked for again takes the row of its first place
        again = np.flatnonzero(first != np.arange(len(wanted)))
        rows[order[again]], found[order[again]] = rows[order[first[again]]], found[order[first[again]]]
        if not found.all():
            raise KeyError(f"no row for {wanted[np.argmin(found)].decode()}")
        return rows

    def keys(self) -> set[str]:
        """Every key that has a row."""
        return {key.decode() for keys, _ in self._shards() for key in keys.tolist()}

    def drop_all_but(self, kept: Collection[str]) -> int:
        """Forget the rows of all other keys, and shards that cannot be read; the bytes that this freed.

        Needs the store to itself. A shard is written anew before its old one goes, so a kill loses nothing.
        """
        wanted = np.asarray(sorted(kept), dtype="S64")
        before = _bytes_in(self.folder)
        written: set[str] = set()
        for path, keys, rows in list(self._named_shards()):
            stays = np.isin(keys, wanted)
            if stays.any() and not stays.all():
                written.add(self.add([key.decode() for key in keys[stays].tolist()], np.asarray(rows)[stays]))
            elif stays.any():
                written.add(_name_of(path))
        for path in list(self.folder.glob("*.npy")) + list(self.folder.glob("*.partial")):
            if _name_of(path) not in written:
                path.unlink()
        return before - _bytes_in(self.folder)

    def unreadable(self) -> list[str]:
        """Names of the files that belong to no shard that can be read."""
        good = {_name_of(path) for path, _, _ in self._named_shards()}
        return sorted(path.name for path in self.folder.glob("*.npy") if _name_of(path) not in good)

    def _room(self, shape: tuple[int, ...]) -> NDArray[Any]:
        """An array of that shape to fill. Raises OSError where the disk cannot hold it."""
        size_bytes = math.prod(shape) * self.dtype.itemsize
        if size_bytes <= _IN_MEMORY_BYTES:
            return np.empty(shape, self.dtype)
        with tempfile.TemporaryFile(dir=self.folder) as file:
            if hasattr(os, "posix_fallocate"):  # a full disk would kill the process when a page is written
                os.posix_fallocate(file.fileno(), 0, size_bytes)
            return np.asarray(np.memmap(file, self.dtype, "w+", shape=shape))

    def _shards(self) -> Iterator[tuple[Keys, NDArray[np.generic]]]:
        for _, keys, rows in self._named_shards():
            yield keys, rows

    def _named_shards(self) -> Iterator[tuple[Path, Keys, NDArray[np.generic]]]:
        for path in sorted(self.folder.glob("*.keys.npy")):
            try:
                keys = np.load(path)
                rows = np.load(path.with_name(path.name.replace(".keys.", ".rows.")), mmap_mode="r")
            except (OSError, ValueError, EOFError):
                continue
            if rows.shape == (len(keys), *self.shape) and rows.dtype == self.dtype:
                yield path, keys, rows

    def _write(self, name: str, array: NDArray[np.generic]) -> None:
        partial = self.folder / f"{name}.{os.getpid()}.partial"
        try:
            with partial.open("wb") as file:
                np.lib.format.write_array_header_1_0(file, np.lib.format.header_data_from_array_1_0(array))
                file.write(array.tobytes())  # np.save would not tell a full disk from another failure
            partial.replace(self.folder / name)
        finally:
            partial.unlink(missing_ok=True)


def _name_of(path: Path) -> str:
    return path.name.partition(".")[0]


def _bytes_in(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.glob("*") if path.is_file())
