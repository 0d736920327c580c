"""An image as JSON, for the modules in the page."""

from typing import TypedDict

import numpy as np

from dedup_assets.core.exploring.browse import label_of
from dedup_assets.core.exploring.snapshot import Snapshot

_COLUMNS = ("file_hash", "status", "error", "width", "height", "size_bytes", "format", "split")


class Partner(TypedDict):
    """The keeper of a duplicate, or the nearest image of another."""

    id: str
    hash: str | None


class Tile(TypedDict):
    """What a page shows of one image. `word`: what a person decided. `group`: its leader's row, -1: none."""

    id: str
    hash: str | None
    score: float | None
    label: str
    status: str
    error: str | None
    width: int | None
    height: int | None
    bytes: int
    format: str | None
    split: str | None
    partner: Partner | None
    group: int
    tags: list[str]
    word: str | None
    removed: bool


def tile(snapshot: Snapshot, row: int, words: dict[str, str]) -> Tile:
    """One image as its tile shows it."""
    gallery = snapshot.gallery
    facts = {name: gallery.images[name].iat[row] for name in _COLUMNS}
    readable = bool(gallery.readable[row])
    other = int(gallery.keeper[row] if gallery.duplicate[row] else gallery.nearest[row])
    ids, hashes = gallery.ids, gallery.images["file_hash"]
    return Tile(
        id=str(ids[row]),
        hash=str(facts["file_hash"]) if readable else None,
        score=None if np.isnan(gallery.uniqueness[row]) else float(gallery.uniqueness[row]),
        label=label_of(gallery, row),
        status=str(facts["status"]),
        error=_text(facts["error"]),
        width=_whole(facts["width"]),
        height=_whole(facts["height"]),
        bytes=_whole(facts["size_bytes"]) or 0,
        format=_text(facts["format"]),
        split=_text(facts["split"]),
        partner=Partner(id=str(ids[other]), hash=str(hashes.iloc[other])) if other >= 0 else None,
        group=int(gallery.group[row]) if gallery.near[row] or gallery.duplicate[row] else -1,
        tags=snapshot.tags_of.get(row, []),
        word=words.get(str(ids[row])),
        removed=bool(snapshot.removed[row]),
    )


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None


def _whole(value: object) -> int | None:
    return int(value) if isinstance(value, int | float | np.integer) and value == value else None
