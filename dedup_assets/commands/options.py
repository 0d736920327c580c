"""The options that several commands share, and the store they speak of."""

import json
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING

import click

from dedup_assets.core.settings import STORE_HELP

if TYPE_CHECKING:
    from dedup_assets.core.storage.store import Store

STORE_OPTION = click.option(
    "--store",
    type=click.Path(path_type=Path),
    help=STORE_HELP,
)
JSON_OPTION = click.option("--json", "as_json", is_flag=True, help="Print JSON, for scripts.")


def tell_json(answer: object) -> None:
    """Print an answer as indented JSON; times, which are in UTC, become ISO 8601."""
    click.echo(json.dumps(answer, indent=2, default=_as_text))


def _as_text(value: object) -> str:
    if isinstance(value, datetime) and value == value and value.tzinfo is None:  # a missing time equals nothing
        return value.replace(tzinfo=timezone.utc).isoformat()
    return str(value)


def store_at(store: Path | None) -> "Store":
    """The store that was named, else the default one; it need not be there."""
    from dedup_assets.core.storage.store import Store, default_store

    return Store(store) if store else default_store()


def existing(store: Path | None) -> "Store":
    """The same, or StoreError when there is none."""
    from dedup_assets.core.errors import StoreError

    found = store_at(store)
    if not found.exists():
        raise StoreError(found.absence)
    return found
