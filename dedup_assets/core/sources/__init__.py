"""Where images are: a folder, or a bucket behind a URI."""

import re
from pathlib import Path

from dedup_assets.core.paths import plain_path
from dedup_assets.core.sources.base import Source
from dedup_assets.core.sources.folder import Folder

_URI = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+:(//|:)")  # two letters at least: C:\ is a drive


def is_uri(said: object) -> bool:
    """Whether a person named a place by URI: s3://bucket/photos, memory://photos."""
    return isinstance(said, str) and bool(_URI.match(said))


def local_path(said: str | Path) -> Path:
    """The absolute path of what a person named by path or file:// URI; it may be relative, start with ~, hold '..'."""
    if isinstance(said, str) and said.startswith("file:"):
        from fsspec.implementations.local import LocalFileSystem

        said = str(LocalFileSystem._strip_protocol(said))
    return plain_path(said)


def source_of(said: "str | Path | Source") -> Source:
    """The source a person named. Raises SettingsError for a URI that cannot be used, naming what is missing."""
    if isinstance(said, str) and is_uri(said) and not said.startswith("file:"):
        from dedup_assets.core.sources.bucket import Bucket

        return Bucket(said)
    if isinstance(said, str | Path):
        return Folder(local_path(said))
    return said
