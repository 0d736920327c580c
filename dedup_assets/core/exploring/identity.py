"""Which store this is, so that what was meant for one never reaches another."""

import contextlib
import hashlib
import os
import secrets

from dedup_assets.core.storage.store import Store

_NOTE = ".explorer_id"


def identity(store: Store) -> str:
    """16 hex digits that no other store has: of its folder, and of a number drawn once and noted in it.

    The number tells apart stores that take each other's place, the folder a store from its copy. Where nothing can be
    noted the folder alone counts.
    """
    return hashlib.sha256(f"{store.folder.resolve()}\n{_number(store)}".encode()).hexdigest()[:16]


def _number(store: Store) -> str:
    note = store.folder / _NOTE
    with contextlib.suppress(OSError):
        if store.exists() and not note.exists():
            partial = note.with_name(f"{_NOTE}.{os.getpid()}.partial")
            partial.write_text(secrets.token_hex(8), encoding="ascii")
            partial.replace(note)
    try:
        return note.read_text(encoding="ascii")
    except (OSError, ValueError):
        return ""
