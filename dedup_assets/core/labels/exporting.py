"""A dataset in the format of somebody's training code: images placed, labels written, what did not fit told."""

import json
import shutil
import tempfile
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from dedup_assets.core.errors import LabelError, SettingsError
from dedup_assets.core.labels import coco, hugging_face, image_folder, manifest, voc, yolo
from dedup_assets.core.labels.importing import label_set
from dedup_assets.core.labels.kept import read_written
from dedup_assets.core.labels.layout import Placed, distinct_stems, export_one, flat_names, renamed, short_names
from dedup_assets.core.labels.model import Annotation, LabelSet
from dedup_assets.core.lineage.versions import CURRENT, version_called
from dedup_assets.core.membership import among
from dedup_assets.core.paths import plain_path
from dedup_assets.core.placing import UNKNOWN_TIME, scanned
from dedup_assets.core.project import remembered
from dedup_assets.core.settings import EXPORT_FORMATS, EXPORT_PLACEMENTS, one_of
from dedup_assets.core.sources.base import Readable
from dedup_assets.core.sources.folder import path_of
from dedup_assets.core.storage import schema
from dedup_assets.core.storage.store import Store

REPORT = "dedup_export.json"
_SAID_OF_IMAGES: dict[str, Callable[[Any], tuple[str, ...]]] = {
    coco.FORMAT: coco.said_of_image,
    voc.FORMAT: voc.said_of_image,
    hugging_face.FORMAT: tuple,
}
_CARRY_ALL = (manifest.FORMAT, hugging_face.FORMAT)  # these keep what other formats say in a column of its own


@dataclass(frozen=True, slots=True)
class _Format:
    """How a format is written: `names` for the images, the folder they lie in, and the writer of the labels."""

    names: Callable[[Sequence[Placed]], list[Placed]]
    folder: str
    write: Callable[[Sequence[Placed], LabelSet, Path], None]


def _by_split(placed: Sequence[Placed]) -> list[Placed]:
    return renamed(placed, short_names([image.image_id for image in placed], [image.split for image in placed]))


def _for_yolo(placed: Sequence[Placed]) -> list[Placed]:
    ids, splits = [image.image_id for image in placed], [image.split for image in placed]
    return renamed(placed, distinct_stems(short_names(ids, splits, "train")))


def _flat(placed: Sequence[Placed]) -> list[Placed]:
    return renamed(placed, flat_names([image.image_id for image in placed]))


_FORMATS = {
    manifest.FORMAT: _Format(_by_split, "images", manifest.write),
    coco.FORMAT: _Format(_by_split, "images", coco.write),
    yolo.FORMAT: _Format(_for_yolo, "images", yolo.write),
    voc.FORMAT: _Format(_flat, f"{voc.FOLDER}/JPEGImages", voc.write),
    image_folder.FORMAT: _Format(
        lambda placed: image_folder.in_class_folders(_by_split(placed)), "", lambda placed, labels, folder: None
    ),
    hugging_face.FORMAT: _Format(_by_split, "", hugging_face.write),
}


@dataclass(frozen=True, slots=True)
class ExportReport:
    """What an export holds. `left_out`: what labels say that the format cannot hold, and how many say it;
    `left_out_of_images`: the same for what is said of images as a whole.

    `source`: the dataset version or collection it was made of.
    """

    format: str
    folder: str
    source: str
    image_count: int
    label_count: int
    annotated_count: int
    placement: str
    left_out: dict[str, int]
    left_out_of_images: dict[str, int]

    @property
    def sentences(self) -> list[str]:
        """The report in words."""
        lines = [f"{self.image_count:,} images and {self.label_count:,} labels of {self.source} in {self.folder}"]
        lines += [
            f"left out: '{name}' of {count:,} labels, which {self.format} cannot hold"
            for name, count in sorted(self.left_out.items())
        ]
        lines += [
            f"left out: '{name}' of {count:,} images, which {self.format} does not take from another format"
            for name, count in sorted(self.left_out_of_images.items())
        ]
        return lines


@dataclass(frozen=True)
class _Dataset:
    """What is exported: `images` with image_id, split, width, height and what tells a changed file, and where each
    file is."""

    source: str
    images: pd.DataFrame
    labels: LabelSet
    file: Callable[[str], Readable]


def export_dataset(
    store: Store,
    format_: str,
    folder: Path,
    *,
    placement: str = "symlink",
    version: str = CURRENT,
    collection: str | None = None,
    progress: Callable[[str, int, int], None] = lambda what, done, total: None,
) -> ExportReport:
    """Write the dataset that stands, another `version`, or the images of a `collection` into a new folder.

    `version`: as `version_called` takes it. The folder is written under another name and renamed when whole. Raises
    LabelError where the format cannot hold the images, SettingsError and DedupError for words that mean nothing.
    """
    one_of("format", format_, EXPORT_FORMATS)
    one_of("placement", placement, EXPORT_PLACEMENTS)
    folder = plain_path(folder)
    _check_target(store, folder)
    dataset = _collection(store, collection) if collection else _version(store, version)
    if dataset.images.empty:
        raise LabelError(f"{dataset.source} holds no images; there is nothing to export")
    how, labels = _FORMATS[format_], dataset.labels.sorted()
    placed = how.names(_placed(dataset))
    seen = {image.image_id: image for image in scanned(dataset.images)}
    folder.parent.mkdir(parents=True, exist_ok=True)
    building = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", suffix=".partial", dir=folder.parent))
    try:
        building.chmod(0o755)
        for done, image in enumerate(placed, 1):
            target = building / how.folder / image.name
            export_one(placement, dataset.file(image.image_id), seen[image.image_id], target)
            if done % 1000 == 0 or done == len(placed):
                progress("placing images", done, len(placed))
        how.write(placed, labels, building)
        report = _report(format_, folder, dataset.source, placed, placement)
        (building / REPORT).write_text(json.dumps(asdict(report), indent=1) + "\n", encoding="utf-8")
        if folder.is_dir():
            folder.rmdir()
        building.rename(folder)
    finally:
        shutil.rmtree(building, ignore_errors=True)
    return report


def _check_target(store: Store, folder: Path) -> None:
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise LabelError(f"'{folder}' exists and is not an empty folder; name a new one with --output")
    for name, place in (("image folder", remembered(store).images.place("")), ("store", store.folder)):
        if folder.is_relative_to(place):
            raise LabelError(f"'{folder}' lies inside the {name}; name a folder elsewhere with --output")


def _version(store: Store, wanted: str) -> _Dataset:
    version = version_called(store, wanted)
    images = _with_times(version.manifest, store)
    inside, root = version.folder / "images", remembered(store).images

    def find(image_id: str) -> Readable:
        return path_of(inside, image_id) if inside.is_dir() else root.file(image_id)

    return _Dataset(f"dataset {version.label}", images, read_written(version.folder), find)


def _with_times(images: pd.DataFrame, store: Store) -> pd.DataFrame:
    """`images` with when each file was last changed, where the last scan found the same bytes in it."""
    known = store.read(schema.IMAGES, columns=("image_id", "file_hash", "modified_ns"))
    times = images[["image_id", "file_hash"]].merge(known, on=["image_id", "file_hash"], how="left")["modified_ns"]
    return images.assign(modified_ns=times.fillna(UNKNOWN_TIME).astype("int64"))


def _collection(store: Store, name: str) -> _Dataset:
    tags = store.read(schema.TAGS)
    members = tags.loc[tags["tag"] == name, "image_id"]
    if members.empty:
        known = ", ".join(f"'{tag}'" for tag in sorted(tags["tag"].unique())) or "none"
        raise SettingsError(f"there is no collection '{name}'; there are {known}")
    images = store.read(schema.IMAGES, "status = 'ok'")
    images = images[among(images["image_id"], members)].sort_values("image_id", ignore_index=True)
    root = remembered(store).images
    return _Dataset(f"collection '{name}'", images, label_set(store), root.file)


def _placed(dataset: _Dataset) -> list[Placed]:
    annotations = dataset.labels.by_image
    columns = dataset.images[["image_id", "split", "width", "height"]]
    return [
        Placed(
            image_id,
            image_id,
            split if isinstance(split, str) else None,
            None if pd.isna(width) else (int(width), int(height)),
            annotations.get(image_id, Annotation(image_id, annotated=False)),
        )
        for image_id, split, width, height in columns.itertuples(index=False, name=None)
    ]


def _report(format_: str, folder: Path, source: str, placed: Sequence[Placed], placement: str) -> ExportReport:
    labels = [label for image in placed for label in image.annotation.labels]
    lost = Counter(
        extra
        for label in labels
        if format_ not in _CARRY_ALL and format_ not in label.payload
        for extra in label.extras
    )
    lost_of_images = Counter(
        name
        for image in placed
        for source, said in image.annotation.payload.items()
        if source != format_
        for name in _SAID_OF_IMAGES[source](said)
    )
    return ExportReport(
        format=format_,
        folder=str(folder),
        source=source,
        image_count=len(placed),
        label_count=len(labels),
        annotated_count=sum(image.annotation.annotated for image in placed),
        placement=placement,
        left_out=dict(sorted(lost.items())),
        left_out_of_images=dict(sorted(lost_of_images.items())),
    )
