"""The files that hold labels, wherever the images are, and the image that a path in one of them means."""

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from dedup_assets.core.errors import LabelError
from dedup_assets.core.scanning import in_parallel
from dedup_assets.core.scoring.keepers import split_of
from dedup_assets.core.sources.base import FoundFile, Readable, Source
from dedup_assets.core.sources.folder import Folder

SUFFIXES = (".json", ".jsonl", ".xml", ".yaml", ".yml", ".csv", ".parquet", ".txt")


@dataclass(frozen=True, slots=True)
class LabelFile:
    """A file that may hold labels. `name`: its path from the image folder on, with .. for one outside it.

    `version` changes when the file does.
    """

    name: str
    version: str
    content: Readable = field(repr=False, compare=False)

    @property
    def folder(self) -> str:
        """The folder of the name, '' for the image folder itself."""
        return self.name.rpartition("/")[0]

    @property
    def file_name(self) -> str:
        """The name without its folder."""
        return self.name.rpartition("/")[2]

    @property
    def stem(self) -> str:
        """The file name without its suffix."""
        return PurePosixPath(self.name).stem

    @property
    def suffix(self) -> str:
        """The end of the name from its last dot on, in lower case."""
        return PurePosixPath(self.name).suffix.lower()

    def read(self) -> bytes:
        """All bytes. Raises LabelError where they cannot be had."""
        try:
            return self.content.read_bytes()
        except OSError as error:
            raise LabelError(f"cannot read {self.name} ({error.strerror or error}); mend it or move it away") from error

    def head(self, size: int) -> bytes:
        """The first bytes."""
        if not isinstance(self.content, Path):
            return self.read()[:size]
        try:
            with self.content.open("rb") as file:
                return file.read(size)
        except OSError as error:
            raise LabelError(f"cannot read {self.name} ({error.strerror}); mend it or move it away") from error

    def text(self) -> str:
        """The content as UTF-8 text."""
        return self.decoded(self.read())

    def decoded(self, data: bytes) -> str:
        """`data`, the content of this file, as UTF-8 text."""
        try:
            return data.decode("utf-8-sig")
        except UnicodeDecodeError as error:
            raise LabelError(f"{self.name} is not UTF-8 text (byte {error.start}); save it as UTF-8") from error


def label_files(images: Source, annotations: Path | None) -> list[LabelFile]:
    """The files that may hold labels: under the image folder, or where `annotations` says; by name.

    A data.yaml is found with the files around it, since it only says where they are.
    """
    if annotations is None:
        return [_label_file(images, file, file.image_id) for file in images.listing(SUFFIXES).files]
    if not annotations.exists():
        raise LabelError(f"there is nothing at '{annotations}'; --annotations must name a file or folder with labels")
    place = Folder(annotations if annotations.is_dir() else annotations.parent)
    everything = annotations.is_dir() or annotations.suffix in (".yaml", ".yml")
    files = place.listing(SUFFIXES).files
    chosen = [file for file in files if everything or place.file(file.image_id) == annotations]
    others = {annotations.parent / file.image_id for file in files if file.image_id.endswith((".yaml", ".yml"))}
    passed = others - {annotations} if annotations.suffix in (".yaml", ".yml") else set()
    found = [
        _label_file(place, file, named(images, place.file(file.image_id)))
        for file in chosen
        if place.file(file.image_id) not in passed
    ]
    return sorted(found, key=lambda file: file.name)


def named(images: Source, path: Path) -> str:
    """A local path from the image folder on; as it is where the images are in a bucket."""
    if not isinstance(images, Folder):
        return path.as_posix()
    return Path(os.path.relpath(path, images.root)).as_posix()


def read_all(files: Sequence[LabelFile], threads: int | None) -> list[bytes]:
    """The content of each file, in order."""
    return list(in_parallel(LabelFile.read, files, threads))


def split_named(path: str) -> str | None:
    """The split that a file name (instances_train2017.json) or else its folders tell."""
    stem = PurePosixPath(path).stem.lower()
    words = "".join(letter if letter.isalpha() else " " for letter in stem).split()
    return next((found for word in words if (found := split_of(f"{word}/"))), None) or split_of(path)


class ImageIndex:
    """The images of a folder, found by what annotation files call them."""

    def __init__(self, image_ids: Iterable[str]) -> None:
        self.ids = frozenset(image_ids)
        self._by_name: dict[str, list[str]] = {}
        self._by_stem: dict[str, list[str]] = {}
        for image_id in sorted(self.ids):
            name = image_id.rpartition("/")[2]
            self._by_name.setdefault(name, []).append(image_id)
            self._by_stem.setdefault(PurePosixPath(name).stem, []).append(image_id)

    def find(self, written: str, source: str, near: tuple[str, ...] = ()) -> str | None:
        """The image that `written` means: the very path, else the one that ends so; None when there is none.

        Of several that end so the one under the first fitting folder of `near` counts. Raises LabelError when it is
        still not clear which.
        """
        path = written.replace("\\", "/").removeprefix("./")
        for folder in ("", *near):
            exact = f"{folder}/{path}" if folder else path
            if exact in self.ids:
                return exact
        name = path.rpartition("/")[2]
        found = [image for image in self._by_name.get(name, ()) if f"/{image}".endswith(f"/{path.lstrip('/')}")]
        return self._one_of(found, written, source, near)

    def with_stem(self, stem: str, source: str, near: tuple[str, ...] = (), name: str = "") -> str | None:
        """The image whose name without suffix is `stem`; of several the one that is called `name`."""
        found = self._by_stem.get(stem, [])
        if len(found) > 1 and name:
            found = [image for image in found if image.rpartition("/")[2] == name] or found
        return self._one_of(found, stem, source, near)

    @staticmethod
    def _one_of(found: list[str], written: str, source: str, near: tuple[str, ...]) -> str | None:
        if len(found) <= 1:
            return found[0] if found else None
        for folder in near:
            inside = [image for image in found if image.startswith(f"{folder}/" if folder else "")]
            if len(inside) == 1:
                return inside[0]
        raise LabelError(
            f"{source} names '{written}', which may be '{found[0]}' or '{found[1]}'; write the path from the image "
            "folder on"
        )


def missing_images(names: Sequence[str], source: str) -> tuple[str, ...]:
    """A sentence about images that are named and are not there."""
    if not names:
        return ()
    are = "images are" if len(names) > 1 else "image is"
    return (f"{source}: {len(names):,} {are} named that the image folder does not hold, first '{names[0]}'",)


def _label_file(source: Source, file: FoundFile, name: str) -> LabelFile:
    version = f"{file.size_bytes} {file.modified_ns} {file.etag or ''}"
    return LabelFile(name, version, source.file(file.image_id))
