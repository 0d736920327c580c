"""A dataset version brought to where it is used: another folder, or a bucket."""

import json
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path

import pandas as pd

from dedup_assets.core.datasets import LINKS, DatasetRecipe, DatasetVersion, write_version
from dedup_assets.core.errors import DedupError, SettingsError
from dedup_assets.core.placing import Scanned, scanned, scanned_bytes
from dedup_assets.core.scanning import in_parallel
from dedup_assets.core.sources import source_of
from dedup_assets.core.sources.base import Source
from dedup_assets.core.sources.bucket import Bucket
from dedup_assets.core.sources.connection import read_if_there
from dedup_assets.core.sources.folder import Folder

_CHUNK = 256
_SUMMARY = "summary.json"

Progress = Callable[[str, int, int], None]


def check_target(target: str, images: Source, placement: str) -> None:
    """Raise SettingsError unless datasets of these images can be delivered to `target`."""
    place = source_of(target)
    if str(place) == str(images) or images.identify(str(place)) is not None:
        raise SettingsError(
            f"dataset_target '{target}' lies among the images of '{images}', where the next run would find its copies; "
            "give a place outside"
        )
    if placement in LINKS and not isinstance(place, Folder):
        raise SettingsError(f"placement is '{placement}', but '{target}' cannot hold links; use copy or none")


def write_and_deliver(
    recipe: DatasetRecipe,
    datasets: Path,
    target: str | None,
    source: Source,
    manifest: pd.DataFrame,
    removed: pd.DataFrame,
    facts: dict[str, object],
    progress: Progress,
    write_more: Callable[[Path], None],
) -> tuple[DatasetVersion, str | None]:
    """The version as `write_version` writes it and, where there is a `target`, its place there.

    With a target the images are placed there alone, and `placement` tells how; the store keeps the lists.
    """
    if target is None:
        return write_version(recipe, datasets, source, manifest, removed, facts, progress, write_more), None
    here = replace(recipe, placement="none")
    written = write_version(here, datasets, source, manifest, removed, facts, progress, write_more)
    place = source_of(target)
    if isinstance(place, Bucket):
        uploaded, placement = _upload(place, recipe, written, source, manifest, progress)
        return replace(written, placement=placement), uploaded
    there = write_version(recipe, Path(str(place)), source, manifest, removed, facts, progress, write_more)
    return replace(written, placement=there.placement), str(there.folder)


def _upload(
    bucket: Bucket,
    recipe: DatasetRecipe,
    written: DatasetVersion,
    source: Source,
    manifest: pd.DataFrame,
    progress: Progress,
) -> tuple[str, str]:
    """Write TARGET/NAME/VERSION/: images, then lists and labels, then the summary, without which it is not whole.

    An object store cannot rename a folder; but as the version names its content, a second attempt writes the same.
    Returns where it is and how its images are there.
    """
    base = f"{recipe.name}/{written.version}"
    place = bucket.place(base)
    try:
        standing = _standing(bucket, f"{base}/{_SUMMARY}")
        if standing is not None and recipe.placement in ("none", standing):
            return place, standing
        if recipe.placement == "copy":
            _copy_images(bucket, f"{base}/images", source, manifest, progress)
        for name in _lists(written.folder):
            bucket.write_bytes(f"{base}/{name}", (written.folder / name).read_bytes())
        summary = json.loads((written.folder / _SUMMARY).read_bytes()) | asdict(recipe)
        bucket.write_bytes(f"{base}/{_SUMMARY}", (json.dumps(summary, indent=2) + "\n").encode())
    except DedupError:
        raise
    except Exception as error:
        raise DedupError(
            f"cannot write the dataset to '{place}' ({str(error) or type(error).__name__}); it is not whole there, and "
            "has no summary.json; see to the connection and the rights, then run again"
        ) from error
    return place, recipe.placement


def _lists(version: Path) -> list[str]:
    """What the store keeps of a version beside its summary: lists, and labels in their format."""
    files = (str(file.relative_to(version)) for file in version.rglob("*") if file.is_file())
    return sorted(name for name in files if name != _SUMMARY)


def _standing(bucket: Bucket, summary: str) -> str | None:
    """How the images of a version that is whole are there."""
    known = read_if_there(bucket.uri, summary)
    return None if known is None else str(json.loads(known)["placement"])


def _copy_images(bucket: Bucket, folder: str, source: Source, manifest: pd.DataFrame, progress: Progress) -> None:
    def copy(image: Scanned) -> None:
        bucket.write_bytes(f"{folder}/{image.image_id}", scanned_bytes(source.file(image.image_id), image))

    rows = scanned(manifest)
    for start in range(0, len(rows), _CHUNK):
        part = rows[start : start + _CHUNK]
        list(in_parallel(copy, part, bucket.threads))
        progress("copying images to the dataset", start + len(part), len(rows))
