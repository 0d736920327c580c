"""A folder of images: who is there, how large, how old. Reads no image bytes."""

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from stat import S_ISDIR, S_ISREG

from dedup_assets.core.errors import NoImagesError
from dedup_assets.core.paths import plain_path
from dedup_assets.core.sources.base import IMAGE_SUFFIXES, STORE_MARK, FoundFile, Listing


@dataclass(frozen=True)
class Folder:
    """A folder of images, with all its subfolders."""

    root: Path

    def __str__(self) -> str:
        return str(self.root)

    @property
    def threads(self) -> int | None:
        """One per core: disks are not what is waited for."""
        return None

    def listing(self, suffixes: tuple[str, ...] = IMAGE_SUFFIXES) -> Listing:
        """The files under the folder with these suffixes; see `list_images`."""
        return list_images(self.root, suffixes)

    def file(self, image_id: str) -> Path:
        """The path of an image."""
        return path_of(self.root, image_id)

    def place(self, image_id: str) -> str:
        """The path of an image, as text."""
        return str(self.file(image_id))

    def identify(self, said: str) -> str | None:
        """The id of a path, whether or not there is a file."""
        path = plain_path(said)
        return path.relative_to(self.root).as_posix() if path.is_relative_to(self.root) else None


def list_images(root: Path, suffixes: tuple[str, ...] = IMAGE_SUFFIXES) -> Listing:
    """The files under `root` with these suffixes, links followed once.

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
    walk = _Walk(root, suffixes)
    walk.run()
    return Listing(tuple(sorted(walk.files, key=lambda file: file.image_id)), walk.ignored)


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

    def __init__(self, root: Path, suffixes: tuple[str, ...]) -> None:
        self.root = root
        self.suffixes = suffixes
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
        if not relative.lower().endswith(self.suffixes) or (by_link and inode in self._seen_files):
            self.ignored += 1
            return
        self._seen_files.add(inode)
        self.files.append(FoundFile(_identify(relative), stat.st_size, stat.st_mtime_ns))
