"""Dataset versions: an immutable folder for each distinct result, whole or absent."""

import contextlib
import hashlib
import json
import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import pandas as pd

from dedup_assets.core.errors import SettingsError
from dedup_assets.core.placing import Scanned, check_unchanged, place_images, scanned
from dedup_assets.core.sources.base import Readable, Source
from dedup_assets.core.sources.folder import Folder
from dedup_assets.core.storage.atomic import point

LINKS = ("symlink", "hardlink")
PLACEMENTS = (*LINKS, "copy", "none")
MANIFEST_COLUMNS = (
    *("image_id", "file_hash", "pixel_hash", "size_bytes", "width", "height", "format", "split"),
    *("uniqueness", "label", "group_id", "tags", "label_count", "label_hash"),
)
REMOVED_COLUMNS = ("image_id", "keeper_id", "reason", "distance", "decided_by", "note", "file_hash")
CURRENT = "current"
_HELD = ("none", *LINKS, "copy")  # by how much of an image is left when its original is deleted, least first
_IMAGES, _SUMMARY, _ASIDE = "images", "summary.json", ".aside"
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
    """A written version. `created` is False when the same version stood there already.

    `placement`: how its images are there.
    """

    name: str
    version: str
    folder: Path
    kept: int
    removed: int
    created: bool
    placement: str


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
    and `write_more` writes what else belongs into the folder it is given. Columns `modified_ns` and
    `etag` of `manifest` are not written; they spare reading the images that are not copied.
    VERSION is made from both lists alone, so the same content has the same version. The folder is written under
    another name and renamed when whole. Images of a version that stands are placed anew where the recipe has them hold
    more than they do: a link never takes the place of a copy, whose original may be gone one day. So are links that
    lead to where the images were before.
    """
    images, manifest = scanned(manifest), manifest[list(MANIFEST_COLUMNS)]
    manifest_csv, removed_csv = _csv(manifest), _csv(removed)
    version = version_from(manifest_csv, removed_csv)
    folder = datasets / recipe.name / version
    folder.parent.mkdir(parents=True, exist_ok=True)
    put_back(folder.parent)
    for leftover in folder.parent.glob(f".{'[0-9a-f]' * _VERSION_DIGITS}.*"):  # of a run that was killed
        shutil.rmtree(leftover, ignore_errors=True)
    result = DatasetVersion(
        recipe.name, version, folder, len(manifest), len(removed), not folder.exists(), recipe.placement
    )
    if not result.created:
        placement = max(recipe.placement, _standing(folder), key=_HELD.index)
        if placement != _standing(folder) or leads_elsewhere(folder, source):
            place_anew(folder, placement, source.file, images, progress, str(source))
        return replace(result, placement=placement)
    with _building(folder) as building:
        if recipe.placement == "none":
            check_unchanged(source, images)
        else:
            place_images(recipe.placement, source.file, images, building / _IMAGES, progress)
        (building / "manifest.csv").write_bytes(manifest_csv)
        manifest.to_parquet(building / "manifest.parquet", index=False)
        (building / "removed.csv").write_bytes(removed_csv)
        removed.to_parquet(building / "removed.parquet", index=False)
        write_more(building)
        summary = {**asdict(recipe), "version": version, "kept": len(manifest), "removed": len(removed), **facts}
        _write_summary(building, summary)
        building.rename(folder)
    return result


def place_anew(
    folder: Path,
    placement: str,
    find: Callable[[str], Readable],
    images: Sequence[Scanned],
    progress: Callable[[str, int, int], None],
    root: str | None = None,
) -> None:
    """Place the images of a version that stands once more, and so say in its summary; all else in it stays.

    `root`: where they are, if that is another place than before.

    It is built beside and takes the place of the folder when whole. Raises as `place_images` does, and then the version
    is as it was.
    """
    with _building(folder) as building:
        place_images(placement, find, images, building / _IMAGES, progress)
        for path in folder.iterdir():
            if path.is_dir() and path.name != _IMAGES:
                shutil.copytree(path, building / path.name)
            elif path.is_file():
                shutil.copy2(path, building / path.name)
        moved = {"images": root} if root else {}
        _write_summary(building, {**(_summary(folder) or {}), "placement": placement, **moved})
        aside = folder.with_name(f".{folder.name}{_ASIDE}")
        folder.rename(aside)
        try:
            building.rename(folder)
        finally:
            put_back(folder.parent)


def leads_elsewhere(folder: Path, source: Source) -> bool:
    """Whether the images of a version are links to another place than `source`, such as where its folder was before."""
    if not isinstance(source, Folder):
        return False
    first = next(_placed(folder), None)
    if first is None or not first.is_symlink():
        return False
    return first.readlink() != source.file(first.relative_to(folder / _IMAGES).as_posix())


def lost_links(folder: Path) -> list[str]:
    """The images of a version that are links to where nothing is, sorted."""
    lost = (path for path in _placed(folder) if path.is_symlink() and not path.exists())
    return sorted(path.relative_to(folder / _IMAGES).as_posix() for path in lost)


def find_links_again(folder: Path, source: Source) -> int:
    """Let lost links of a version lead to the images of these names in `source`, where those are; how many do now."""
    if not isinstance(source, Folder):
        return 0
    again = 0
    for image_id in lost_links(folder):
        link, there = folder / _IMAGES / image_id, source.file(image_id)
        if there.exists():
            link.unlink()
            link.symlink_to(there)
            again += 1
    return again


def put_back(datasets: Path) -> list[Path]:
    """The versions of `datasets/NAME/` that a killed run had set aside for another in their place; they stand again."""
    back = []
    for aside in sorted(datasets.glob(f".*{_ASIDE}")):
        folder = datasets / aside.name[1 : -len(_ASIDE)]
        if folder.exists():  # the other one took its place
            shutil.rmtree(aside, ignore_errors=True)
        else:
            aside.rename(folder)
            back.append(folder)
    return back


def placement_of(folder: Path) -> str | None:
    """How the images of a version are there, as its summary says; None where that cannot be read."""
    said = (_summary(folder) or {}).get("placement")
    return str(said) if said in PLACEMENTS else None


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


def _csv(rows: pd.DataFrame) -> bytes:
    return rows.to_csv(index=False, lineterminator="\n").encode()


def _standing(folder: Path) -> str:
    """How images stand in the folder: as its summary says, or as the first of them shows where that says nothing."""
    if not (folder / _IMAGES).is_dir():
        return "none"
    said = placement_of(folder)
    if said not in (None, "none"):
        return str(said)
    first = next(_placed(folder), None)
    if first is None:
        return "none"
    return "symlink" if first.is_symlink() else "hardlink" if first.stat().st_nlink > 1 else "copy"


def _placed(folder: Path) -> Iterator[Path]:
    return (path for path in (folder / _IMAGES).rglob("*") if path.is_symlink() or path.is_file())


def _summary(folder: Path) -> dict[str, object] | None:
    try:
        return dict(json.loads((folder / _SUMMARY).read_bytes()))
    except (OSError, ValueError, TypeError):
        return None


def _write_summary(folder: Path, summary: dict[str, object]) -> None:
    (folder / _SUMMARY).write_text(json.dumps(summary, indent=2, default=str) + "\n", encoding="utf-8")


@contextlib.contextmanager
def _building(folder: Path) -> Iterator[Path]:
    """A folder beside it to build a version in, gone after the block unless it was renamed."""
    building = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
    try:
        building.chmod(0o755)
        yield building
    finally:
        shutil.rmtree(building, ignore_errors=True)
