"""Small JPEG pictures for people, made once and kept in the store."""

import io
import os
from pathlib import Path

from PIL import Image

from dedup_assets.core.images import as_rgb, open_scaled, upright
from dedup_assets.core.sources.base import Readable
from dedup_assets.core.storage.store import Store

_QUALITY = 82


def thumbnail(store: Store, file: Readable, content_hash: str, side: int = 256) -> bytes:
    """JPEG bytes of the image, upright, its aspect kept, at most `side` pixels wide and high.

    Raises what the decoder raises when the file cannot be read. Kept in the store, if that is there, by content and
    side.
    """
    known = cached_thumbnail(store, content_hash, side)
    if known is not None:
        return known
    data = _render(file, side)
    cached = _place(store, content_hash, side)
    try:
        if not store.exists():
            return data
        cached.parent.mkdir(parents=True, exist_ok=True)
        partial = cached.with_suffix(f".{os.getpid()}.partial")
        partial.write_bytes(data)
        partial.replace(cached)
    except OSError:  # a cache that cannot be written must not keep the picture from being shown
        pass
    return data


def cached_thumbnail(store: Store, content_hash: str, side: int = 256) -> bytes | None:
    """The same, if the store has it already."""
    try:
        return _place(store, content_hash, side).read_bytes()
    except OSError:
        return None


def _place(store: Store, content_hash: str, side: int) -> Path:
    return store.folder / "thumbnails" / str(side) / content_hash[:2] / f"{content_hash}.jpg"


def _render(file: Readable, side: int) -> bytes:
    with open_scaled(file, side) as image:
        picture = as_rgb(upright(image))
        picture.thumbnail((side, side), Image.Resampling.LANCZOS)
        buffer = io.BytesIO()
        picture.save(buffer, "JPEG", quality=_QUALITY)
        return buffer.getvalue()
