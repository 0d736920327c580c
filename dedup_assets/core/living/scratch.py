"""A copy of a store to try things in: its tables copied, its caches linked, nothing of it ever written."""

import contextlib
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from dedup_assets.core.project import Project
from dedup_assets.core.storage.published import load_parquet, write_parquet
from dedup_assets.core.storage.schema import TABLES
from dedup_assets.core.storage.store import CACHES, Store


@contextlib.contextmanager
def scratch_of(project: Project) -> Iterator[Project]:
    """The project with a store of its own that starts as this one is, and is gone when the block ends.

    The database is open only while its tables are copied. What was computed before is found through links, so only
    what is new is computed, and kept here.
    """
    with tempfile.TemporaryDirectory(prefix="dedup-scratch-") as name:
        scratch = Store(Path(name) / "store")
        if project.store.exists():
            _copy_tables(project.store, scratch, Path(name))
            for cache in CACHES:
                _link_files(project.store.folder / cache, scratch.folder / cache)
        yield replace(project, store=scratch, decisions=project.decisions_file)


def _copy_tables(store: Store, scratch: Store, folder: Path) -> None:
    files = {table: folder / f"{table.name}.parquet" for table in TABLES}
    with store.connect() as db:
        for table, path in files.items():
            write_parquet(db, table, path)
    load_parquet(scratch, files)
    for path in files.values():
        path.unlink()


def _link_files(source: Path, target: Path) -> None:
    for path in source.rglob("*"):
        if path.is_file():
            link = target / path.relative_to(source)
            link.parent.mkdir(parents=True, exist_ok=True)
            link.symlink_to(path)
