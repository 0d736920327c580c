"""The tables as Parquet beside the database: one complete set for each state, so that no reader touches the lock.

`published/SET/TABLE.parquet`, and `published/current`, a link to the set of the last completed run, which is replaced
whole. A reader resolves the link once and then reads files that never change.
"""

import contextlib
import json
import os
import shutil
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import duckdb

from dedup_assets.core.run import Run
from dedup_assets.core.storage import schema
from dedup_assets.core.storage.atomic import point, replace_text
from dedup_assets.core.storage.schema import Table
from dedup_assets.core.storage.store import Store, columns_sql, version_of

PUBLISHED = (
    *(schema.IMAGES, schema.PAIRS, schema.SCORES, schema.TAGS, schema.REMOVALS, schema.DECISIONS, schema.DATASETS),
    *(schema.ANNOTATIONS, schema.LABELS, schema.CATEGORIES, schema.LABEL_CONFLICTS),
    *(schema.EVENTS, schema.STEPS, schema.META),
)
CURRENT = "current"
_FACTS = "set.json"
_KEPT_SECONDS = 3600.0  # a set that was just replaced may still be read


def publish(store: Store, run: Run) -> Path | None:
    """Publish the tables as they are; their set. A table that did not change costs a link, an unchanged store nothing.

    None, and a sentence said, where the file system has no links.
    """
    folder = store.folder / "published"
    before = current_set(store)
    known = _facts(before)
    if before is not None and known.get("database") == _state_of(store.database):
        return before
    with store.connect() as db:
        signatures = {table.name: _signature(db, table) for table in PUBLISHED}
        name = version_of(signatures)[:12]
        if before is None or before.name != name:
            with store.explained():
                _write_set(db, folder, name, signatures, before, known.get("signatures", {}))
    with store.explained():
        facts = {"signatures": signatures, "run_id": run.run_id, "database": _state_of(store.database)}
        if before is None or before.name != name or known.get("database") != facts["database"]:
            replace_text(folder / name / _FACTS, json.dumps(facts, indent=1))
        if before is None or before.name != name:
            try:
                point(folder / CURRENT, name)
            except OSError as error:
                run.say(f"the tables are not published as Parquet: '{folder}' takes no links ({error.strerror})")
                shutil.rmtree(folder, ignore_errors=True)
                return None
            _drop_old(folder, name, before)
    return folder / name


def current_set(store: Store) -> Path | None:
    """The folder of the set last published, resolved: its files never change. None when there is none."""
    link = store.folder / "published" / CURRENT
    try:
        return link.parent / link.readlink()
    except OSError:
        return None


def for_reading(store: Store) -> Store:
    """The store, read from its published set where that says all that the database says, else from the database."""
    found = current_set(store)
    if found is not None and _facts(found).get("database") == _state_of(store.database):
        return PublishedStore(store, found)
    return store


class PublishedStore(Store):
    """A store as one published set shows it: reads the same, opens no database file, cannot be written."""

    def __init__(self, store: Store, folder: Path) -> None:
        super().__init__(store.folder)
        self.set = folder

    @contextlib.contextmanager
    def _connected(self, write: bool = False) -> Iterator[duckdb.DuckDBPyConnection]:
        """The set as the tables of a database in memory."""
        if write:
            raise TypeError("a published set is for reading; write to the store")
        with self.explained(), contextlib.closing(duckdb.connect()) as db:
            for table in PUBLISHED:
                if (self.set / _file(table)).is_file():
                    show_parquet(db, table, self.set / _file(table))
            yield db


def write_parquet(db: duckdb.DuckDBPyConnection, table: Table, path: Path) -> None:
    """The rows of a table as a Parquet file, in the order they were written; none where the table is not there."""
    columns = columns_sql(db, table)
    if columns is None:
        nothing = ", ".join(f"NULL::{column.type} AS {column.name}" for column in table.columns)
        query = f"SELECT {nothing} WHERE false"
    else:
        query = f"SELECT {columns} FROM {table.name} ORDER BY rowid"
    db.execute(f"COPY ({query}) TO '{_quoted(path)}' (FORMAT parquet, COMPRESSION zstd)")


def show_parquet(db: duckdb.DuckDBPyConnection, table: Table, path: Path) -> None:
    """Make the file look like the table, the order of its rows included."""
    source = f"read_parquet('{_quoted(path)}', file_row_number = true)"
    db.execute(
        f"CREATE VIEW {table.name} AS SELECT * EXCLUDE (file_row_number), file_row_number AS rowid FROM {source}"
    )


def load_parquet(store: Store, files: Mapping[Table, Path]) -> None:
    """Make the rows of these files those of the tables, all at once or not at all."""
    with store.connect(write=True) as db:
        for table, path in files.items():
            db.execute(f"CREATE OR REPLACE TABLE {table.name} ({table.sql})")
            source = f"read_parquet('{_quoted(path)}', file_row_number = true)"
            db.execute(
                f"INSERT INTO {table.name} BY NAME "
                f"SELECT * EXCLUDE (file_row_number) FROM {source} ORDER BY file_row_number"
            )


def _write_set(
    db: duckdb.DuckDBPyConnection,
    folder: Path,
    name: str,
    signatures: dict[str, str],
    before: Path | None,
    known: dict[str, str],
) -> None:
    """Write the files of a set under another name, then give the folder its own."""
    if (folder / name).is_dir():
        return
    folder.mkdir(exist_ok=True)
    for leftover in folder.glob(".*.partial"):  # of a run that was killed
        leftover.unlink() if leftover.is_symlink() else shutil.rmtree(leftover, ignore_errors=True)
    building = Path(tempfile.mkdtemp(prefix=f".{name}.", suffix=".partial", dir=folder))
    try:
        building.chmod(0o755)
        for table in PUBLISHED:
            target = building / _file(table)
            same = before is not None and known.get(table.name) == signatures[table.name]
            if not (same and before is not None and _linked(before / target.name, target)):
                write_parquet(db, table, target)
        building.rename(folder / name)
    finally:
        shutil.rmtree(building, ignore_errors=True)


def _signature(db: duckdb.DuckDBPyConnection, table: Table) -> str:
    """Changes when a row of the table does."""
    columns = columns_sql(db, table)
    if columns is None:
        return "none"
    rows = f"(SELECT {columns} FROM {table.name})"
    total, count = db.execute(f"SELECT sum(hash(t))::VARCHAR, count(*) FROM {rows} t").fetchall()[0]
    return f"{count} {total} {version_of(table.sql)}"


def _state_of(database: Path) -> list[int]:
    """Changes when the file does."""
    states = []
    for path in (database, database.with_name(database.name + ".wal")):
        with contextlib.suppress(OSError):
            stat = path.stat()
            states += [stat.st_mtime_ns, stat.st_size, stat.st_ino]
    return states


def _facts(folder: Path | None) -> dict[str, Any]:
    try:
        return dict(json.loads((folder / _FACTS).read_text(encoding="utf-8"))) if folder else {}
    except (OSError, ValueError):
        return {}


def _drop_old(folder: Path, name: str, before: Path | None) -> None:
    """Remove sets that were replaced long ago, by `name` or by earlier ones; what cannot be removed is left."""
    if before is not None:
        with contextlib.suppress(OSError):
            os.utime(before)  # so that its age is the time since it was replaced
    for path in folder.iterdir():
        if path in (folder / name, before) or path.is_symlink() or not path.is_dir():
            continue
        if time.time() - path.stat().st_mtime > _KEPT_SECONDS:
            with contextlib.suppress(OSError):
                going = path.rename(folder / f".{path.name}.partial")  # what has the name of a set is whole
                shutil.rmtree(going, ignore_errors=True)


def _linked(source: Path, target: Path) -> bool:
    try:
        os.link(source, target)
    except OSError:
        return False
    return True


def _file(table: Table) -> str:
    return f"{table.name}.parquet"


def _quoted(path: Path) -> str:
    return str(path).replace("'", "''")
