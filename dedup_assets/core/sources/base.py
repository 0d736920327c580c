"""What a place with images offers, be it a folder or a bucket."""

import hashlib
import io
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Collection

IMAGE_SUFFIXES = (
    *(".jpg", ".jpeg", ".jpe", ".jfif", ".mpo", ".png", ".apng", ".webp", ".gif", ".bmp", ".dib", ".tif", ".tiff"),
    *(".heic", ".heif", ".hif", ".avif", ".jp2", ".j2k", ".ico", ".tga", ".ppm", ".pgm", ".pbm", ".pnm"),
)
STORE_MARK = "dedup.duckdb"  # a folder that holds this is a store, never part of the images


@dataclass(frozen=True, slots=True)
class FoundFile:
    """One file. `image_id` is its POSIX path relative to the root; `modified_ns` nanoseconds since 1970.

    `etag` changes with every write of an object in a bucket; None for files.
    """

    image_id: str
    size_bytes: int
    modified_ns: int
    etag: str | None = None


@dataclass(frozen=True, slots=True)
class Listing:
    """Every file asked for under a root, sorted by image_id, and how many other files were passed over."""

    files: tuple[FoundFile, ...]
    ignored: int

    @property
    def version(self) -> str:
        """Changes when a file comes, goes, or changes its size, time or etag."""
        digest = hashlib.sha256()
        for file in self.files:
            tag = f"\0{file.etag}" if file.etag else ""
            digest.update(f"{file.image_id}\0{file.size_bytes}\0{file.modified_ns}{tag}\n".encode())
        return digest.hexdigest()[:16]

    def only(self, image_ids: "Collection[str]") -> "Listing":
        """The files among `image_ids`; the others count as passed over."""
        wanted = frozenset(image_ids)
        files = tuple(file for file in self.files if file.image_id in wanted)
        return Listing(files, self.ignored + len(self.files) - len(files))


class Readable(Protocol):
    """A file that can be read whole. A `pathlib.Path` is one."""

    @property
    def suffix(self) -> str:
        """The end of the name from its last dot on."""

    def read_bytes(self) -> bytes:
        """All bytes. Raises FileNotFoundError, PermissionError, or SourceError where the place does not answer."""


@dataclass(frozen=True, slots=True)
class InMemory:
    """A file that was read already."""

    suffix: str
    data: bytes = field(repr=False)

    def read_bytes(self) -> bytes:
        """All bytes."""
        return self.data


class Source(Protocol):
    """A root with image files below it. Small, picklable, and holds nothing open. `str()` is its path or URI."""

    @property
    def threads(self) -> int | None:
        """How many threads read best here; None for one per core."""

    def listing(self, suffixes: tuple[str, ...] = IMAGE_SUFFIXES) -> Listing:
        """Every file under the root whose name ends so, in lower or upper case; reads none of them.

        Raises NoImagesError when any part of it cannot be listed: what cannot be seen must not look like it vanished.
        """

    def file(self, image_id: str) -> Readable:
        """The file of an id; it need not be there."""

    def place(self, image_id: str) -> str:
        """Where it is, for a person: a path or a URI."""

    def identify(self, said: str) -> str | None:
        """The id of what a person named by path or URI, None where that is not under the root."""


def suffix_of(name: str) -> str:
    """The end of a name from its last dot on, in lower case."""
    return PurePosixPath(name).suffix.lower()


def opened(file: Readable) -> "Path | io.BytesIO":
    """What Pillow opens: the path itself, so that it reads no more than it needs, else the bytes."""
    return file if isinstance(file, Path) else io.BytesIO(file.read_bytes())
