"""Which format the labels of an image folder are in, and reading them."""

import hashlib
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

from dedup_assets.core.errors import LabelError
from dedup_assets.core.labels import coco, hugging_face, image_folder, manifest, voc, yolo
from dedup_assets.core.labels.files import ImageIndex, LabelFile, label_files
from dedup_assets.core.labels.model import LabelSet
from dedup_assets.core.labels.yolo import Sizes
from dedup_assets.core.sources.base import Source

AUTO, FOLDER = "auto", "folder"
_SNIFFED = 40  # files of one suffix that are looked into before they count as something else


@dataclass(frozen=True, slots=True)
class LabelSource:
    """Where the labels of an image folder are: the format, its files, those `beside` them, and what else was seen."""

    format: str
    images: Source
    files: tuple[LabelFile, ...] = ()
    beside: tuple[LabelFile, ...] = ()
    notices: tuple[str, ...] = ()

    @property
    def version(self) -> str:
        """16 hex digits that change when one of the files comes, goes, or changes."""
        digest = hashlib.sha256(self.format.encode())
        for file in (*self.files, *self.beside):
            digest.update(f"{file.name}\0{file.version}\n".encode())
        return digest.hexdigest()[:16]


def find_labels(images: Source, wanted: str, annotations: Path | None, image_ids: Collection[str]) -> LabelSource:
    """Where the labels are: as `wanted` says, for `auto` by the layout; `annotations` is the file or folder to look in.

    Of several formats found by the layout the first of yolo, coco, voc, huggingface, manifest counts, and a notice
    names the others. Raises LabelError where a format was asked for and there is nothing of it.
    """
    if wanted in (FOLDER, image_folder.FORMAT):
        return LabelSource(wanted, images)
    files = label_files(images, annotations)
    found = {
        name: choice for name, choose in _CHOICES.items() if wanted in (AUTO, name) and (choice := choose(files))[0]
    }
    if not found and annotations is not None and annotations.is_file() and wanted in (AUTO, manifest.FORMAT):
        tables = tuple(file for file in files if file.suffix in (".csv", ".parquet"))
        found = {manifest.FORMAT: (tables, ())} if tables else {}
    if not found and wanted == AUTO and annotations is None:
        by_folder = image_folder.is_image_folder(image_ids)
        return LabelSource(image_folder.FORMAT if by_folder else FOLDER, images)
    if not found:
        what = "labels in any format known" if wanted == AUTO else f"labels in the format {wanted}"
        raise LabelError(f"there are no {what} in '{annotations or images}'; name what holds them with --annotations")
    name, *others = found
    read, notices = found[name]
    if others:
        also = ", ".join(others)
        notices = (*notices, f"labels are read as {name}; there is {also} too, ask for it with --input-format")
    texts = [file for file in files if file.suffix == ".txt"] if name in (yolo.FORMAT, voc.FORMAT) else []
    return LabelSource(name, images, read, tuple(texts), notices)


def images_named(source: LabelSource, image_ids: Collection[str]) -> frozenset[str] | None:
    """The images that a manifest names, the only ones that count; None where all do."""
    if source.format != manifest.FORMAT:
        return None
    found = manifest.read(source.files[0], str(source.images), ImageIndex(image_ids))
    return frozenset(annotation.image_id for annotation in found.annotations)


def read_labels(source: LabelSource, sizes: Sizes, threads: int | None = None) -> LabelSet:
    """The labels of the images that `sizes` lists with width and height as displayed; (0, 0) for an unreadable one."""
    if source.format == FOLDER:
        return LabelSet()
    index, files = ImageIndex(sizes), source.files
    if source.format == image_folder.FORMAT:
        found = image_folder.read(sizes)
    elif source.format == yolo.FORMAT:
        found = yolo.read(files[0], source.beside, source.images, index, sizes, threads)
    elif source.format == coco.FORMAT:
        found = coco.read(files, index)
    elif source.format == voc.FORMAT:
        found = voc.read(files, source.beside, index, threads)
    elif source.format == hugging_face.FORMAT:
        found = hugging_face.read(files, index)
    else:
        found = manifest.read(files[0], str(source.images), index)
    return found.sorted()


_Choice = tuple[tuple[LabelFile, ...], tuple[str, ...]]


def _yolo_files(files: Sequence[LabelFile]) -> _Choice:
    """The data.yaml, of several the one nearest to the top."""
    found = [file for file in files if file.suffix in (".yaml", ".yml") and yolo.is_yolo(file)]
    found.sort(key=lambda file: (file.stem != "data", file.name.count("/"), file.name))
    return tuple(found[:1]), _passed(found[:1], found)


def _coco_files(files: Sequence[LabelFile]) -> _Choice:
    """The JSON files of instances; those called instances_... alone where there are such."""
    found = [file for file in _nearest_top(files, ".json") if coco.is_coco(file)]
    chosen = [file for file in found if file.file_name.startswith("instances_")] or found
    return tuple(sorted(chosen, key=lambda file: file.name)), _passed(chosen, found)


def _voc_files(files: Sequence[LabelFile]) -> _Choice:
    """Every XML file, where those nearest to the top are annotations."""
    if any(voc.is_voc(file) for file in _nearest_top(files, ".xml")):
        return tuple(file for file in files if file.suffix == ".xml"), ()
    return (), ()


def _hugging_face_files(files: Sequence[LabelFile]) -> _Choice:
    """The metadata files; of several in one folder the first by name."""
    found = {file.folder: file for file in reversed(files) if hugging_face.is_metadata(file)}
    return tuple(found[folder] for folder in sorted(found)), ()


def _manifest_files(files: Sequence[LabelFile]) -> _Choice:
    """manifest.parquet or manifest.csv in the image folder."""
    found = [file for name in manifest.NAMES for file in files if file.name == name]
    return tuple(found[:1]), ()


_CHOICES: dict[str, Callable[[Sequence[LabelFile]], _Choice]] = {
    yolo.FORMAT: _yolo_files,
    coco.FORMAT: _coco_files,
    voc.FORMAT: _voc_files,
    hugging_face.FORMAT: _hugging_face_files,
    manifest.FORMAT: _manifest_files,
}


def _nearest_top(files: Sequence[LabelFile], suffix: str) -> list[LabelFile]:
    found = [file for file in files if file.suffix == suffix]
    return sorted(found, key=lambda file: (file.name.count("/"), file.name))[:_SNIFFED]


def _passed(chosen: Sequence[LabelFile], found: Sequence[LabelFile]) -> tuple[str, ...]:
    """A notice about files of the same format that are not read."""
    passed = sorted(file.name for file in found if file not in chosen)
    if not passed:
        return ()
    return (f"labels are read from {chosen[0].name}; passed over: {', '.join(passed[:5])}",)
