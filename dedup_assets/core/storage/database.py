"""DuckDB files opened late and closed early, all by one engine of this process: starting one costs ten times as much.

A file is open for one writer or for any number of readers: DuckDB sees to that among processes, this module among the
threads of one.
"""

import atexit
import itertools
import os
import threading
from dataclasses import dataclass
from pathlib import Path

import duckdb


@dataclass
class _Attached:
    name: str
    write: bool
    users: int = 0


class _Engine:
    """A DuckDB without a file of its own."""

    def __init__(self, spill: str) -> None:
        self.db = duckdb.connect(config={"temp_directory": spill})
        self.files: dict[Path, _Attached] = {}

    def attach(self, file: Path, write: bool) -> _Attached:
        attached = _Attached(f"file_{next(_numbers)}", write)
        place, mode = str(file).replace("'", "''"), "READ_WRITE" if write else "READ_ONLY"
        self.db.execute(f"ATTACH '{place}' AS {attached.name} ({mode})")
        self.files[file] = attached
        return attached

    def let_go(self, file: Path) -> None:
        attached = self.files[file]
        attached.users -= 1
        if not attached.users:
            del self.files[file]
            self.db.execute(f"DETACH {attached.name}")


_lock = threading.Lock()
_engine: _Engine | None = None
_of_parents: list[_Engine | None] = []  # a forked child can neither use nor free what its parent had
_numbers = itertools.count()


class OpenFile:
    """One DuckDB file, open until `close`; `db` is a connection that knows its tables by their bare names."""

    def __init__(self, file: Path, *, write: bool) -> None:
        """Make the file where there is none and `write` is asked. Raises duckdb.Error while others use it."""
        self._file = Path(os.path.realpath(file))
        with _lock:
            engine = _started(f"{self._file}.tmp")
            attached = engine.files.get(self._file)
            if attached is None:
                try:
                    attached = engine.attach(self._file, write)
                except duckdb.Error as error:
                    if "already attached" not in str(error):
                        raise
            elif write or attached.write:
                raise duckdb.IOException(f"Could not set lock on file '{file}': another thread of this process has it")
            if attached is None:  # by the user, in this process: then by the same engine
                self._engine, self.db = None, duckdb.connect(str(self._file), read_only=not write)
                return
            attached.users += 1
            self._engine, self.db = engine, engine.db.cursor()
        self.db.execute(f"USE {attached.name}")

    def close(self) -> None:
        """Undo a transaction that was not committed; the last one lets go of the file."""
        if self._engine is None:
            self.db.close()
            return
        with _lock:
            self.db.close()
            self._engine.let_go(self._file)


def _started(spill: str) -> _Engine:
    global _engine
    if _engine is None:
        _engine = _Engine(spill)
    return _engine


def _end() -> None:
    if _engine is not None:
        _engine.db.close()


def _start_over() -> None:
    global _lock, _engine
    _of_parents.append(_engine)
    _lock, _engine = threading.Lock(), None


atexit.register(_end)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_start_over)
