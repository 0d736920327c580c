"""The files under an image folder: who is there, how large, how old. Reads no image bytes."""

import hashlib
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from stat import S_ISDIR, S_ISREG

from dedup_assets.core.errors import NoImagesError

IMAGE_SUFFIXES = (
    *(".jpg", ".jpeg", ".jpe", ".jfif", ".mpo", ".png", ".apng", ".webp", ".gif", ".bmp", ".dib", ".tif", ".tiff"),
    *(".heic", ".heif", ".hif", ".avif", ".jp2", ".j2k", ".ico", ".tga", ".ppm", ".pgm", ".pbm", ".pnm"),
)
STORE_MARK = "dedup.duckdb"  # a folder that holds this is a store, never part of the images


@dataclass(frozen=True, slots=True)
class FoundFile:
    """One file. `image_id` is its POSIX path relative to the root; `modified_ns` nanoseconds since 1970."""

    image_id: str
    size_bytes: int
    modified_ns: int


@dataclass(frozen=True, slots=True)
class Listing:
    """Every image file under `root`, sorted by image_id, and how many other files were passed over."""

    root: Path
    files: tuple[FoundFile, ...]
    ignored: int

    @property
    def version(self) -> str:
        """Changes when a file comes, goes, or changes its size or time."""
        digest = hashlib.sha256()
        for file in self.files:
            digest.update(f"{file.image_id}\0{file.size_bytes}\0{file.modified_ns}\n".encode())
        return digest.hexdigest()[:16]


def list_images(root: Path) -> Listing:
    """The image files under `root`, told by their suffix, links followed once.

    Hidden files and folders, other suffixes and stores are passed over. A file behind a link counts only where it
    was not found without one; a link back into the tree or above it is not followed. Raises NoImagesError when the
    folder, or one inside it, cannot be listed: a folder that cannot be seen must not look like one that vanished.
    """
    try:
        what = None if root.is_dir() else "is a file, not a folder" if root.exists() else "does not exist"
        if (root / STORE_MARK).is_file():
            what = "is a store of this program"
    except OSError as error:
        what = f"cannot be reached ({error.strerror})"
    if what:
        raise NoImagesError(f"the image folder '{root}' {what}; give the folder that holds your images")
    walk = _Walk(root)
    walk.run()
    return Listing(root, tuple(sorted(walk.files, key=lambda file: file.image_id)), walk.ignored)


def path_of(root: Path, image_id: str) -> Path:
    """The file behind an image_id."""
    path = root / image_id
    if "\\x" in image_id and not path.exists():
        path = root / os.fsdecode(re.sub(rb"\\x([0-9a-f]{2})", _byte, image_id.encode()))
    return path


def _byte(match: re.Match[bytes]) -> bytes:
    return bytes([int(match[1], 16)])


def _identify(relative: str) -> str:
    r"""The path as text that any database holds: bytes that are no UTF-8 become \xNN."""
    return os.fsencode(relative).decode("utf-8", "backslashreplace").replace(os.sep, "/")


class _Walk:
    """One pass over real files, then over what links lead to."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.files: list[FoundFile] = []
        self.ignored = 0
        self._seen_files: set[tuple[int, int]] = set()
        self._seen_folders: set[tuple[int, int]] = set()
        self._links: list[str] = []

    def run(self) -> None:
        self._folder("")
        while self._links:  # sorted, so that of two links to one file the same one counts every time
            links, self._links = sorted(self._links), []
            for link in links:
                self._link(link)

    def _folder(self, relative: str, *, by_link: bool = False) -> None:
        pending = [relative]
        while pending:
            current = pending.pop()
            entries = sorted(self._entries(current), key=lambda entry: entry.name)
            if any(entry.name == STORE_MARK for entry in entries):
                continue
            for entry in entries:
                inner = f"{current}/{entry.name}" if current else entry.name
                if entry.name.startswith("."):
                    self.ignored += 1
                elif entry.is_symlink():
                    self._links.append(inner)
                elif entry.is_dir(follow_symlinks=False):
                    pending.append(inner)
                elif entry.is_file(follow_symlinks=False):
                    self._file(inner, entry.stat(follow_symlinks=False), by_link=by_link)

    def _entries(self, relative: str) -> Iterator[os.DirEntry[str]]:
        folder = self.root / relative
        try:
            stat = folder.stat()
            if (stat.st_dev, stat.st_ino) in self._seen_folders:
                return
            self._seen_folders.add((stat.st_dev, stat.st_ino))
            with os.scandir(folder) as entries:
                yield from entries
        except OSError as error:
            reason = error.strerror or str(error)
            raise NoImagesError(
                f"cannot list the folder '{folder}': {reason}; make it readable or move it away"
            ) from error

    def _link(self, relative: str) -> None:
        target = self.root / relative
        try:
            stat = target.stat()
        except OSError:  # dangling, or a loop
            self.ignored += 1
            return
        leads_above = self.root.resolve().is_relative_to(target.resolve())
        if S_ISREG(stat.st_mode):
            self._file(relative, stat, by_link=True)
        elif S_ISDIR(stat.st_mode) and not leads_above:
            self._folder(relative, by_link=True)
        else:  # a pipe or a device has no end
            self.ignored += 1

    def _file(self, relative: str, stat: os.stat_result, *, by_link: bool) -> None:
        inode = (stat.st_dev, stat.st_ino)
        if Path(relative).suffix.lower() not in IMAGE_SUFFIXES or (by_link and inode in self._seen_files):
            self.ignored += 1
            return
        self._seen_files.add(inode)
        self.files.append(FoundFile(_identify(relative), stat.st_size, stat.st_mtime_ns))
