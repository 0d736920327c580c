"""Dataset versions: an immutable folder for each distinct result, whole or absent."""

import contextlib
import hashlib
import json
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import pandas as pd

from dedup_assets.core.errors import SettingsError
from dedup_assets.core.placing import place_images, scanned
from dedup_assets.core.sources.base import Source
from dedup_assets.core.storage.atomic import point

LINKS = ("symlink", "hardlink")
PLACEMENTS = (*LINKS, "copy", "none")
MANIFEST_COLUMNS = (
    *("image_id", "file_hash", "pixel_hash", "size_bytes", "width", "height", "format", "split"),
    *("uniqueness", "label", "group_id", "tags", "label_count", "label_hash"),
)
REMOVED_COLUMNS = ("image_id", "keeper_id", "reason", "distance", "decided_by", "note", "file_hash")
CURRENT = "current"
_VERSION_DIGITS = 12
_LONGEST_NAME_BYTES = 200


@dataclass(frozen=True, slots=True)
class DatasetRecipe:
    """What the user says about the cleaned dataset."""

    name: str = "deduplicated"
    description: str = ""
    placement: str = "symlink"

    def __post_init__(self) -> None:
        if self.placement not in PLACEMENTS:
            raise SettingsError(f"placement is '{self.placement}'; it may be {', '.join(PLACEMENTS)}")
        one_part = self.name and self.name.isprintable() and Path(self.name).name == self.name and "\\" not in self.name
        if not one_part or self.name.startswith(".") or len(self.name.encode()) > _LONGEST_NAME_BYTES:
            raise SettingsError(f"dataset name '{self.name}' cannot be a folder name; use letters, digits, '-' and '_'")


@dataclass(frozen=True, slots=True)
class DatasetVersion:
    """A written version. `created` is False when the same version stood there already."""

    name: str
    version: str
    folder: Path
    kept: int
    removed: int
    created: bool


def write_version(
    recipe: DatasetRecipe,
    datasets: Path,
    source: Source,
    manifest: pd.DataFrame,
    removed: pd.DataFrame,
    facts: dict[str, object],
    progress: Callable[[str, int, int], None],
    write_more: Callable[[Path], None] = lambda folder: None,
) -> DatasetVersion:
    """Write `datasets/NAME/VERSION/`, or find that it stands there already.

    `manifest` has MANIFEST_COLUMNS, `removed` REMOVED_COLUMNS, both sorted by image_id; `facts` go into summary.json,
    and `write_more` writes what else belongs into the folder it is given. A column `modified_ns` of `manifest` is not
    written; it spares reading the images that are linked to.
    VERSION is made from both lists alone, so the same content has the same version. The folder is written under
    another name and renamed when whole.
    """
    images, manifest = scanned(manifest), manifest[list(MANIFEST_COLUMNS)]
    manifest_csv, removed_csv = _csv(manifest), _csv(removed)
    version = version_from(manifest_csv, removed_csv)
    folder = datasets / recipe.name / version
    result = DatasetVersion(recipe.name, version, folder, len(manifest), len(removed), not folder.exists())
    if not result.created and (recipe.placement == "none" or (folder / "images").is_dir()):
        return result
    folder.parent.mkdir(parents=True, exist_ok=True)
    for leftover in folder.parent.glob(f".{'[0-9a-f]' * _VERSION_DIGITS}.*"):  # of a run that was killed
        shutil.rmtree(leftover, ignore_errors=True)
    building = Path(tempfile.mkdtemp(prefix=f".{version}.", dir=folder.parent))
    try:
        building.chmod(0o755)
        place_images(recipe.placement, source.file, images, building / "images", progress)
        if result.created:
            (building / "manifest.csv").write_bytes(manifest_csv)
            manifest.to_parquet(building / "manifest.parquet", index=False)
            (building / "removed.csv").write_bytes(removed_csv)
            removed.to_parquet(building / "removed.parquet", index=False)
            write_more(building)
            summary = {**asdict(recipe), "version": version, "kept": len(manifest), "removed": len(removed), **facts}
            (building / "summary.json").write_text(json.dumps(summary, indent=2, default=str) + "\n", encoding="utf-8")
            building.rename(folder)
        else:
            (building / "images").rename(folder / "images")
    finally:
        shutil.rmtree(building, ignore_errors=True)
    return result


def version_of_lists(manifest: pd.DataFrame, removed: pd.DataFrame) -> str:
    """The version that these two lists would be written as."""
    return version_from(_csv(manifest), _csv(removed))


def version_from(manifest_csv: bytes, removed_csv: bytes) -> str:
    """The name of the version that has these two lists."""
    return hashlib.sha256(manifest_csv + b"\0" + removed_csv).hexdigest()[:_VERSION_DIGITS]


def make_current(folder: Path) -> None:
    """Let `datasets/NAME/current` lead to this version, where the file system has links."""
    with contextlib.suppress(OSError):
        point(folder.parent / CURRENT, folder.name)


def keep_decisions(decisions: Path, folder: Path) -> None:
    """Keep the reviewed file as it was when the version was first written, beside its lists."""
    kept = folder / "decisions.csv"
    if decisions.is_file() and not kept.exists():
        partial = kept.with_name(f".{kept.name}.partial")
        shutil.copyfile(decisions, partial)
        partial.replace(kept)


def _csv(rows: pd.DataFrame) -> bytes:
    return rows.to_csv(index=False, lineterminator="\n").encode()
