"""Filesystems of fsspec: one for each URI and process, and patience with their networks."""

import functools
import os
import time
from collections.abc import Callable
from typing import Any, TypeVar

from dedup_assets.core.errors import SettingsError

ANSWERS = (FileNotFoundError, PermissionError, IsADirectoryError, NotADirectoryError)  # asking again changes nothing
EXTRAS = {"s3": "s3", "s3a": "s3", "gs": "gs", "gcs": "gs", "az": "az", "abfs": "az", "abfss": "az", "adl": "az"}

_PAUSES_SECONDS = (0.2, 1.0, 3.0)

Answer = TypeVar("Answer")


def connect(uri: str) -> tuple[Any, str]:
    """The filesystem of a URI, and the root within it. No request is made.

    Raises SettingsError for an unknown protocol, or one whose package is not installed.
    """
    return _connected(uri, os.getpid())


@functools.lru_cache(maxsize=16)
def _connected(uri: str, process: int) -> tuple[Any, str]:
    """One for all threads: fsspec would make one for each, and each would open connections of its own."""
    from fsspec.core import url_to_fs

    protocol = uri.partition(":")[0]
    try:
        filesystem, root = url_to_fs(uri, skip_instance_cache=True)
    except ImportError as error:
        remedy = f"pip install 'dedup-assets[{EXTRAS[protocol]}]'" if protocol in EXTRAS else str(error)
        raise SettingsError(f"'{uri}' needs a package that is not installed: {remedy}") from error
    except ValueError as error:
        if "Protocol not known" not in str(error):
            raise SettingsError(f"'{uri}' cannot be used: {error}") from error
        raise SettingsError(f"'{uri}' has an unknown protocol '{protocol}'; use s3://, gs:// or az://") from error
    if protocol in ("s3", "s3a"):
        filesystem.max_concurrency = 1  # else every read asks for the size first, and large ones come in pieces
    return filesystem, root.rstrip("/")


def retried(ask: Callable[[], Answer]) -> Answer:
    """The answer, asking again after a pause where the connection failed."""
    for pause in _PAUSES_SECONDS:
        try:
            return ask()
        except Exception as error:
            if isinstance(error, ANSWERS) or "Credentials" in type(error).__name__:
                raise
            time.sleep(pause)
    return ask()


def read_if_there(uri: str, key: str) -> bytes | None:
    """The object of that name within the root, None where there is none. Raises what the service raises."""
    filesystem, root = connect(uri)
    try:
        data: bytes = retried(lambda: filesystem.cat_file(f"{root}/{key}"))
    except FileNotFoundError:
        return None
    return data


def reason_of(error: BaseException) -> str:
    """The first line of what was said."""
    text = str(error).strip() or type(error).__name__
    return text.splitlines()[0][:300]
