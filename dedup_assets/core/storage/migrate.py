"""A store of an older release becomes one of this: what is missing is added, nothing is dropped."""

import hashlib

import duckdb

from dedup_assets.core.errors import StoreError
from dedup_assets.core.storage import schema


def bring_up_to_date(db: duckdb.DuckDBPyConnection) -> None:
    """Give the database every table and column of this release, empty where an older one wrote none: all or nothing.

    Raises StoreError for a store of a later format than this release knows, which it would damage.
    """
    if is_up_to_date(db):
        return
    db.begin()
    db.execute("CREATE TABLE IF NOT EXISTS store_format (version INTEGER, shape VARCHAR)")
    for table in schema.TABLES:
        db.execute(f"CREATE TABLE IF NOT EXISTS {table.name} ({table.sql})")
        for column in table.columns:
            db.execute(f"ALTER TABLE {table.name} ADD COLUMN IF NOT EXISTS {column.name} {column.type}")
    db.execute("DELETE FROM store_format")
    db.execute("INSERT INTO store_format VALUES (?, ?)", [int(schema.STORE_VERSION), shape()])
    db.commit()


def is_up_to_date(db: duckdb.DuckDBPyConnection) -> bool:
    """Whether the database is as this release writes it; writes nothing. Raises StoreError for a later format."""
    try:
        rows = db.execute("SELECT version, shape FROM store_format").fetchall()
    except duckdb.CatalogException:  # the first release noted none
        rows = []
    now = int(schema.STORE_VERSION)
    if rows and rows[0][0] > now:
        raise StoreError(
            f"the store was written by a later release (format {rows[0][0]}, this one knows {now}); upgrade "
            "dedup-assets, or name another store"
        )
    return bool(rows == [(now, shape())])


def shape() -> str:
    """Changes with every table and column."""
    said = ";".join(f"{table.name}({table.sql})" for table in schema.TABLES)
    return hashlib.sha256(said.encode()).hexdigest()[:16]
