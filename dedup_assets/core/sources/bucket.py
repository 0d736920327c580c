"""Images behind a URI that fsspec can open: s3://, gs://, az://, memory:// and others.

Credentials come from the environment as each service has it, or from fsspec's own settings; none are kept here.
"""

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from dedup_assets.core.errors import NoImagesError, SourceError, UnreachableFileError
from dedup_assets.core.sources.base import IMAGE_SUFFIXES, STORE_MARK, FoundFile, Listing, Readable, suffix_of
from dedup_assets.core.sources.connection import ANSWERS, connect, reason_of, retried
from dedup_assets.core.sources.facts import etag_of, modified_ns_of

_LEAST_THREADS = 16


@dataclass(frozen=True)
class Bucket:
    """A bucket, or what lies under a prefix of it. `uri` has no slash at its end."""

    uri: str

    def __post_init__(self) -> None:
        object.__setattr__(self, "uri", self.uri.rstrip("/") if not self.uri.endswith("://") else self.uri)
        connect(self.uri)

    def __str__(self) -> str:
        return self.uri

    @property
    def threads(self) -> int | None:
        """More than there are cores: most of the time goes into waiting."""
        return max(_LEAST_THREADS, 4 * (os.cpu_count() or 1))

    def listing(self, suffixes: tuple[str, ...] = IMAGE_SUFFIXES) -> Listing:
        """The files under the prefix with these suffixes, listed folder by folder in parallel.

        Hidden files and folders, other suffixes and stores are passed over, as they are on disk.
        """
        filesystem, root = connect(self.uri)
        filesystem.invalidate_cache()
        files, ignored = [], 0
        try:
            for entry in _walk(self, filesystem, root):
                name = entry["name"].rpartition("/")[2]
                if name.startswith(".") or entry["type"] != "file" or suffix_of(name) not in suffixes:
                    ignored += 1
                    continue
                image_id = _relative(entry["name"], root)
                files.append(FoundFile(image_id, int(entry["size"] or 0), modified_ns_of(entry), etag_of(entry)))
        finally:
            filesystem.invalidate_cache()  # a listing of millions is not worth its memory
        return Listing(tuple(sorted(files, key=lambda file: file.image_id)), ignored)

    def file(self, image_id: str) -> Readable:
        """The object of an image."""
        return BucketFile(self, image_id)

    def place(self, image_id: str) -> str:
        """The URI of an image."""
        return f"{self.uri}/{image_id}"

    def identify(self, said: str) -> str | None:
        """The id of a URI, whether or not there is an object."""
        return said[len(self.uri) + 1 :] if said.startswith(f"{self.uri}/") else None

    def read_bytes(self, image_id: str) -> bytes:
        """The object, after as many attempts as it takes within reason.

        Raises FileNotFoundError and PermissionError where the bucket says so of this object alone,
        UnreachableFileError when the object cannot be had though the bucket answers, and SourceError when the bucket
        itself is gone, closed or silent.
        """
        filesystem, root = connect(self.uri)
        try:
            data: bytes = retried(lambda: filesystem.cat_file(f"{root}/{image_id}"))
        except Exception as error:
            self.check()
            if isinstance(error, ANSWERS):
                raise
            raise UnreachableFileError(f"cannot read '{self.place(image_id)}' ({reason_of(error)})") from error
        return data

    def write_bytes(self, key: str, data: bytes) -> None:
        """Write an object, after as many attempts as it takes within reason. Raises what the service raises."""
        filesystem, root = connect(self.uri)
        retried(lambda: filesystem.pipe_file(f"{root}/{key}", data))

    def check(self) -> None:
        """Raise SourceError unless the bucket answers and lets us in."""
        filesystem, root = connect(self.uri)

        def ask() -> None:
            filesystem.invalidate_cache()  # which would answer in its place
            filesystem.info(root)

        try:
            retried(ask)
        except Exception as error:
            raise SourceError(
                f"'{self}' does not answer any more ({reason_of(error)}); what was read is kept, run again to go on"
            ) from error


@dataclass(frozen=True)
class BucketFile:
    """One object of a bucket."""

    bucket: Bucket
    image_id: str

    @property
    def suffix(self) -> str:
        """The end of the name from its last dot on, in lower case."""
        return suffix_of(self.image_id)

    def read_bytes(self) -> bytes:
        """All bytes; raises what Bucket.read_bytes raises."""
        return self.bucket.read_bytes(self.image_id)


def _walk(bucket: Bucket, filesystem: Any, root: str) -> Iterator[dict[str, Any]]:  # noqa: ANN401 - an fsspec one
    """Every entry that is not a folder, and every hidden folder, level by level; each folder is a request of its own.

    fsspec's own `find` leaves out folders that it fails to list.
    """
    folders = [root]
    with ThreadPoolExecutor(bucket.threads) as pool:
        while folders:
            below: list[str] = []
            listed = pool.map(lambda folder: _entries(bucket, filesystem, folder), folders)
            for folder, found in zip(folders, listed, strict=True):
                entries = [(entry, entry["name"].strip("/")) for entry in found]
                if any(name.rpartition("/")[2] == STORE_MARK for _, name in entries):
                    if folder == root:
                        raise NoImagesError(f"'{bucket}' is a store of this program; give the place of your images")
                    continue
                for entry, name in entries:
                    itself = name == folder.strip("/")  # the mark of an empty folder, or keys with // that have no path
                    if entry["type"] == "directory" and not itself and not name.rpartition("/")[2].startswith("."):
                        below.append(entry["name"].rstrip("/"))
                    else:
                        yield {**entry, "name": name}
            folders = below


def _entries(bucket: Bucket, filesystem: Any, folder: str) -> list[dict[str, Any]]:  # noqa: ANN401
    root = connect(bucket.uri)[1]
    try:
        entries: list[dict[str, Any]] = retried(lambda: filesystem.ls(folder, detail=True))
    except FileNotFoundError as error:
        if folder != root:  # its last object went while the listing was under way
            bucket.check()
            return []
        raise NoImagesError(f"'{bucket}' does not exist, or holds nothing; give the place of your images") from error
    except Exception as error:
        where = bucket.place(_relative(folder, root)) if folder != root else str(bucket)
        raise NoImagesError(
            f"cannot list '{where}' ({reason_of(error)}); nothing was changed, see to the connection and the "
            "credentials in the environment, then run again"
        ) from error
    return entries


def _relative(name: str, root: str) -> str:
    return name.strip("/")[len(root.strip("/")) :].lstrip("/")
