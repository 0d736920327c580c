"""The store: a folder with a DuckDB file and caches beside it. Opening, locking, and every line of SQL."""

import contextlib
import errno
import hashlib
import json
import os
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import duckdb
import pandas as pd
import pyarrow as pa

from dedup_assets.core.errors import StoreError
from dedup_assets.core.images import SKETCH_SIZE
from dedup_assets.core.paths import plain_path
from dedup_assets.core.sources.base import STORE_MARK
from dedup_assets.core.storage import schema
from dedup_assets.core.storage.arrays import ArrayShelf
from dedup_assets.core.storage.database import OpenFile
from dedup_assets.core.storage.lease import Lease
from dedup_assets.core.storage.migrate import bring_up_to_date
from dedup_assets.core.storage.schema import Table

DEFAULT_STORE = "dedup_store"
STORE_VARIABLE = "DEDUP_STORE"
CACHES = ("sketches", "vectors", "comparisons")  # folders whose files never change once written

_OPEN_SECONDS = 60.0
_BUSY = ("set lock on file", "used by another process", "different configuration")  # what DuckDB says of other users
_WAIT_SECONDS = 3600.0


@dataclass(frozen=True, slots=True)
class StepRecord:
    """The last completed run of a step. `settings` and `summary` are JSON objects."""

    step: str
    input_version: str
    output_version: str
    settings: str
    summary: str
    run_id: str
    finished_at: datetime


def version_of(*parts: object) -> str:
    """16 hex digits that change when any of the parts does."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True, default=str).encode()).hexdigest()[:16]


def content_version(table: Table, frame: pd.DataFrame) -> str:
    """16 hex digits that change when the content of the rows does; times and run ids do not count."""
    steady = pa.schema([field for field in table.arrow if field.name not in table.volatile])
    rows = pa.Table.from_pandas(frame, schema=steady, preserve_index=False)  # one type per column, read or just made
    hashes = pd.util.hash_pandas_object(rows.to_pandas(ignore_metadata=True), index=False).to_numpy()
    return hashlib.sha256(hashes.tobytes()).hexdigest()[:16]


class Store:
    """One store. Holds nothing open: every method opens the database late and closes it before it returns.

    Opening takes longer than reading a small table, so reads that follow one another stand in `with store.reading():`.
    """

    def __init__(self, folder: Path | str) -> None:
        self.folder = plain_path(folder)

    def __repr__(self) -> str:
        return f"Store({str(self.folder)!r})"

    @property
    def database(self) -> Path:
        """The DuckDB file."""
        return self.folder / STORE_MARK

    @property
    def decisions_file(self) -> Path:
        """Where reviewed decisions are read from unless told otherwise."""
        return self.folder / "decisions.csv"

    @property
    def datasets(self) -> Path:
        """Dataset versions lie here as NAME/VERSION/."""
        return self.folder / "datasets"

    @property
    def sketches(self) -> ArrayShelf:
        """Small pictures by file_hash, (SKETCH_SIZE, SKETCH_SIZE, 3) uint8 RGB."""
        return ArrayShelf(self.folder / "sketches", (SKETCH_SIZE, SKETCH_SIZE, 3), "uint8")

    def vectors(self, embedder_id: str, views: int, dimension: int) -> ArrayShelf:
        """Vectors by content_id, (views, dimension) int8."""
        return ArrayShelf(self.folder / "vectors" / embedder_id, (views, dimension), "int8")

    def comparisons(self, version: str) -> ArrayShelf:
        """Results of the one-by-one comparison by pair, (2,) float64: distance, agreement."""
        return ArrayShelf(self.folder / "comparisons" / version, (2,), "float64")

    def exists(self) -> bool:
        """Whether a run has ever written here."""
        return self.database.is_file()

    # ---- opening and locking

    @contextlib.contextmanager
    def exclusively(self, on_wait: Callable[[str], None] | None = None, lease: Lease | None = None) -> Iterator[None]:
        """Keep every other writer out, across processes, until the block ends; a killed holder counts as gone.

        Waits for another holder, after calling `on_wait` with a sentence once. May be nested in one thread. A run is
        given a `lease` of its own and holds it around all its steps, so that the steps of two runs never alternate.
        """
        with self.explained():
            self._make_folder()
            with (lease or self.lease()).held(_WAIT_SECONDS, on_wait):
                yield

    def lease(self, run_id: str | None = None) -> Lease:
        """The right to write here, for a run or for other work. See `exclusively`."""
        return Lease(self.folder, run_id)

    @contextlib.contextmanager
    def connect(self, *, write: bool = False) -> Iterator[duckdb.DuckDBPyConnection]:
        """The database, open for this block; a block that writes is one transaction, undone if it raises."""
        shared = self._shared()
        if shared is None:
            with self._connected(write) as db:
                yield db
        elif write:
            raise RuntimeError(f"a write inside a block that reads {self}; end the block first")
        else:
            yield shared

    @contextlib.contextmanager
    def reading(self) -> Iterator[None]:
        """Open the database once for all that this thread reads in the block, which is as it was at one moment.

        Whoever writes waits for its end, so no work belongs in it, and no write. May be nested; nothing is opened where
        there is no store yet.
        """
        if self._shared() is not None or not self.exists():
            yield
            return
        with self._connected() as db:
            token = _READING.set((self, db))
            try:
                yield
            finally:
                _READING.reset(token)

    def _shared(self) -> duckdb.DuckDBPyConnection | None:
        open_now = _READING.get()
        return open_now[1] if open_now is not None and open_now[0] is self else None

    @contextlib.contextmanager
    def _connected(self, write: bool = False) -> Iterator[duckdb.DuckDBPyConnection]:
        with self.explained():
            if write and not self.exists() and not self._published():
                self.create()
            elif not self.exists():
                raise StoreError(self.absence)
            with contextlib.closing(self._open(write)) as opened:
                if write:
                    bring_up_to_date(opened.db)
                    opened.db.begin()
                yield opened.db
                if write:
                    opened.db.commit()

    @contextlib.contextmanager
    def explained(self) -> Iterator[None]:
        """Turn what the system and DuckDB say of disk and rights into one sentence, a StoreError."""
        try:
            yield
        except OSError as error:
            if error.errno in (errno.ENOSPC, errno.EDQUOT):
                raise StoreError(self._full) from error
            if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS) and _is_inside(error.filename, self.folder):
                raise StoreError(
                    f"cannot write to the store '{self.folder}' ({error.strerror}); make it writable or name another "
                    f"with --store or ${STORE_VARIABLE}"
                ) from error
            raise
        except duckdb.Error as error:
            text = str(error).splitlines()[0]
            if "No space left" in str(error) or "out of disk" in str(error).lower():
                raise StoreError(self._full) from error
            if "Permission denied" in text or "Read-only file system" in text:
                raise StoreError(
                    f"cannot open the database '{self.database}' (Permission denied); make it readable and writable or "
                    f"name another store with --store or ${STORE_VARIABLE}"
                ) from error
            raise StoreError(f"the database '{self.database}' says: {text}") from error

    @property
    def _full(self) -> str:
        return f"the disk of the store '{self.folder}' is full; free some space, then run again"

    def _make_folder(self) -> None:
        if self.folder.is_file():
            raise StoreError(f"the store '{self.folder}' is a file, not a folder; name another with --store")
        self.folder.mkdir(parents=True, exist_ok=True)

    @property
    def absence(self) -> str:
        """What to say and to do where there is no database."""
        if self._published():
            return (
                f"the store '{self.folder}' has lost its database '{STORE_MARK}', and with it the audit record; "
                f"'dedup-assets doctor --repair --store {self.folder}' rebuilds it from the published tables. To begin "
                "anew, name another store"
            )
        return f"there is no store at '{self.folder}'; run 'dedup-assets run IMAGES' first, or give --store"

    def _published(self) -> bool:
        """Whether there are tables of an earlier run, from which the database can be rebuilt."""
        return (self.folder / "published" / "current").is_dir()

    def create(self) -> None:
        """The database, made under another name first, so that a killed run leaves it whole or not at all."""
        with self.exclusively():
            if self.exists():
                return
            partial = self.folder / f"{STORE_MARK}.new"
            for leftover in (partial, partial.with_name(f"{partial.name}.wal")):
                leftover.unlink(missing_ok=True)
            with contextlib.closing(OpenFile(partial, write=True)) as opened:
                bring_up_to_date(opened.db)
            partial.replace(self.database)

    def _open(self, write: bool) -> OpenFile:
        deadline, pause = time.monotonic() + _OPEN_SECONDS, 0.02
        while True:
            try:
                return OpenFile(self.database, write=write)
            except (duckdb.IOException, duckdb.ConnectionException) as error:
                busy = any(words in str(error) for words in _BUSY)
                if not busy or time.monotonic() > deadline:
                    raise
                time.sleep(pause)
                pause = min(pause * 1.6, 1.0)

    # ---- whole tables

    def read(
        self,
        table: Table,
        where: str = "true",
        parameters: tuple[object, ...] = (),
        columns: Collection[str] = (),
    ) -> pd.DataFrame:
        """The rows of a table in the order they were written; no rows when there is no store yet.

        Given `columns`, only these, in the order of the table: most of the time goes into those that nobody looks at.
        """
        part = table.part(columns) if columns else table
        if not self.exists():
            return part.empty()
        with self.connect() as db:
            return select(db, part, where, parameters)

    def read_together(self, *tables: Table) -> tuple[pd.DataFrame, ...]:
        """The rows of several tables as they were at one moment; the database is opened once."""
        with self.reading():
            return tuple(self.read(table) for table in tables)

    def replace(
        self, frames: Mapping[Table, pd.DataFrame], *steps: StepRecord, facts: Mapping[str, str] | None = None
    ) -> None:
        """Put `frames` in place of the rows that the chain owns, note steps and facts: all at once or not at all."""
        with self.connect(write=True) as db:
            for table, frame in frames.items():
                if table.owned == "true":
                    db.execute(f"CREATE OR REPLACE TABLE {table.name} ({table.sql})")
                else:
                    db.execute(f"DELETE FROM {table.name} WHERE {table.owned}")
                _insert(db, table, frame)
            for step in steps:
                _note_step(db, step)
            for key, value in (facts or {}).items():
                _note_fact(db, key, value)

    def append(self, table: Table, frame: pd.DataFrame) -> None:
        """Add rows to a table."""
        with self.connect(write=True) as db:
            _insert(db, table, frame)

    # ---- steps and facts about the store

    def step(self, name: str) -> StepRecord | None:
        """The last completed run of a step."""
        rows = self.read(schema.STEPS, "step = ?", (name,))
        return StepRecord(*rows.iloc[0].tolist()) if len(rows) else None

    def steps(self) -> dict[str, StepRecord]:
        """The last completed run of every step, by its name."""
        rows = [StepRecord(*row) for row in self.read(schema.STEPS).itertuples(index=False)]
        return {row.step: row for row in rows}

    def fact(self, key: str) -> str | None:
        """A fact about the store, such as `image_root`."""
        rows = self.read(schema.META, "key = ?", (key,))
        return str(rows["value"].iloc[0]) if len(rows) else None

    def set_fact(self, key: str, value: str) -> None:
        """Note a fact about the store."""
        if self.fact(key) != value:
            self.replace({}, facts={key: value})


_READING: ContextVar[tuple[Store, duckdb.DuckDBPyConnection] | None] = ContextVar("reading", default=None)


def default_store() -> Store:
    """The store named by $DEDUP_STORE, else ./dedup_store."""
    return Store(os.environ.get(STORE_VARIABLE) or DEFAULT_STORE)


def select(
    db: duckdb.DuckDBPyConnection, table: Table, where: str = "true", parameters: tuple[object, ...] = ()
) -> pd.DataFrame:
    """The rows of a table in the order they were written; empty where an older release wrote no such thing."""
    columns = columns_sql(db, table)
    if columns is None:
        return table.empty()
    rows: pd.DataFrame = db.execute(
        f"SELECT {columns} FROM {table.name} WHERE {where} ORDER BY rowid", list(parameters)
    ).df()
    return rows


def columns_sql(db: duckdb.DuckDBPyConnection, table: Table) -> str | None:
    """The columns of a table as SELECT wants them, NULL for one that is not there yet; None where the table is not."""
    try:
        there = {str(name) for _, name, *_ in db.execute(f"PRAGMA table_info('{table.name}')").fetchall()}
    except duckdb.CatalogException:
        return None
    return ", ".join(
        column.name if column.name in there else f"NULL::{column.type} AS {column.name}" for column in table.columns
    )


def _insert(db: duckdb.DuckDBPyConnection, table: Table, frame: pd.DataFrame) -> None:
    rows = pa.Table.from_pandas(frame, schema=table.arrow, preserve_index=False)
    db.register("incoming", rows)
    db.execute(f"INSERT INTO {table.name} BY NAME SELECT * FROM incoming")
    db.unregister("incoming")


def _note_step(db: duckdb.DuckDBPyConnection, step: StepRecord) -> None:
    db.execute("DELETE FROM steps WHERE step = ?", [step.step])
    values = [getattr(step, name) for name in schema.STEPS.names]
    names = ", ".join(schema.STEPS.names)
    db.execute(f"INSERT INTO steps ({names}) VALUES ({', '.join('?' * len(values))})", values)


def _note_fact(db: duckdb.DuckDBPyConnection, key: str, value: str) -> None:
    db.execute("DELETE FROM meta WHERE key = ?", [key])
    db.execute("INSERT INTO meta VALUES (?, ?)", [key, value])


def _is_inside(path: object, folder: Path) -> bool:
    """Whether it is the folder, something in it, or a folder above it that it could not be made in."""
    return isinstance(path, str) and (Path(path).is_relative_to(folder) or folder.is_relative_to(path))
