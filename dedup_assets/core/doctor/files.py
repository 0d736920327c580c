"""What lies beside the database: dataset versions, published tables, the reviewed file, what killed runs left."""

from collections.abc import Iterator
from pathlib import Path

import pandas as pd

from dedup_assets.core.datasets import lost_links, placement_of, version_from
from dedup_assets.core.doctor.finding import NOTE, OK, WRONG, Finding
from dedup_assets.core.errors import DecisionError, NoImagesError, StoreError
from dedup_assets.core.living.folder_changes import since_last_scan
from dedup_assets.core.project import Project
from dedup_assets.core.steps.duplicates import bound_decisions
from dedup_assets.core.storage import schema
from dedup_assets.core.storage.published import PUBLISHED, PublishedStore, current_set
from dedup_assets.core.storage.store import Store

LISTS = ("manifest", "removed")
_STRAY = (
    *("*.partial", "dedup.duckdb.new*", "datasets/*/.*", "published/.*"),
    *("sketches/*.partial", "vectors/*/*.partial", "comparisons/*/*.partial"),
)


def check_datasets(store: Store) -> Iterator[Finding]:
    """Each dataset version: there, its lists those it is named after, its images placed."""
    rows = store.read(schema.DATASETS)
    for row in rows.to_dict("records"):
        folder = store.datasets / str(row["name"]) / str(row["version"])
        problem = damage(folder, str(row["placement"]), int(row["kept"]))
        name = f"dataset {row['name']}/{row['version']}"
        lost = [] if problem else lost_links(folder)
        if lost:
            said = f"{len(lost):,} of its {int(row['kept']):,} links lead nowhere, first '{lost[0]}'"
            yield Finding(name, NOTE, said, "--repair leads them to where the images of the last run are")
        elif problem is None:
            yield Finding(name, OK, f"whole, {int(row['kept']):,} images")
        else:
            yield Finding(name, WRONG, problem, "--repair rebuilds it from what is left of it, or from the tables")
    known = set(rows["name"] + "/" + rows["version"])
    for path in sorted(store.datasets.glob("*/*")):
        label = f"{path.parent.name}/{path.name}"
        if path.is_dir() and not path.is_symlink() and not path.name.startswith(".") and label not in known:
            yield Finding(f"dataset {label}", NOTE, f"'{path}' is in no table; nobody here wrote it")


def damage(folder: Path, placement: str, kept: int) -> str | None:
    """What is wrong with a dataset version; None when it is whole. Of copies the sizes are looked at, not the bytes.

    `placement` counts where the summary of the version does not tell it.
    """
    if not folder.is_dir():
        return "its folder is gone"
    lists = {name: folder / f"{name}.csv" for name in LISTS}
    missing = [path.name for path in lists.values() if not path.is_file()]
    if missing:
        return f"{' and '.join(missing)} of it {'is' if len(missing) == 1 else 'are'} gone"
    if version_from(lists["manifest"].read_bytes(), lists["removed"].read_bytes()) != folder.name:
        return "its lists are not those that it is named after"
    for name in LISTS:
        try:
            rows = len(pd.read_parquet(folder / f"{name}.parquet", columns=["image_id"]))
        except (OSError, ValueError):
            return f"{name}.parquet of it cannot be read"
        if name == "manifest" and rows != kept:
            return f"manifest.parquet of it has {rows:,} images, not {kept:,}"
    placement = placement_of(folder) or placement
    if placement == "none":
        return None
    placed = sum(1 for path in (folder / "images").rglob("*") if path.is_symlink() or path.is_file())
    if placed != kept:
        return f"{placed:,} of its {kept:,} images are placed"
    altered = _altered(folder) if placement == "copy" else []
    if altered:
        return f"{len(altered):,} of its {kept:,} copies have another size than their picture, first '{altered[0]}'"
    return None


def _altered(folder: Path) -> list[str]:
    rows = pd.read_parquet(folder / "manifest.parquet", columns=["image_id", "size_bytes"])
    return [
        image_id
        for image_id, size in rows.itertuples(index=False, name=None)
        if _size_bytes(folder / "images" / image_id) != size
    ]


def _size_bytes(path: Path) -> int | None:
    try:
        return path.stat().st_size
    except OSError:
        return None


def check_published(store: Store) -> Finding:
    """The set that readers are led to can be read and is of this store."""
    folder = current_set(store)
    again = "--repair publishes the tables again"
    if folder is None:
        return Finding("published tables", NOTE, "none yet", again)
    try:
        read = PublishedStore(store, folder).read_together(*PUBLISHED)
        for table, rows in zip(PUBLISHED, read, strict=True):
            if len(rows) != len(pd.read_parquet(folder / f"{table.name}.parquet")):
                return Finding("published tables", WRONG, f"{table.name}.parquet cannot be read whole", again)
    except (OSError, ValueError, StoreError) as error:
        return Finding("published tables", WRONG, f"cannot be read: {str(error).splitlines()[0]}", again)
    return Finding("published tables", OK, f"{len(PUBLISHED)} tables in {folder.name}")


def check_decisions(project: Project) -> Finding:
    """The reviewed file can be read and applied."""
    path = project.decisions_file
    try:
        bound = bound_decisions(project, project.store.read(schema.IMAGES))
    except DecisionError as error:
        return Finding("decisions", WRONG, str(error), f"mend '{path}' by hand")
    return Finding("decisions", OK, f"{len(bound):,} in {path}" if path.is_file() else "none written")


def check_images(project: Project) -> Finding:
    """The image folder against the last scan: not a fault of the store, but worth knowing."""
    try:
        files, _ = since_last_scan(project, project.store)
    except NoImagesError as error:
        return Finding("image folder", WRONG, str(error))
    if not files.any:
        return Finding("image folder", OK, "as at the last scan")
    said = [(len(files.new), "new"), (len(files.changed), "changed"), (len(files.vanished), "vanished")]
    words = ", ".join(f"{number:,} {word}" for number, word in said if number)
    return Finding("image folder", NOTE, f"since the last scan: {words}", "run, or 'dedup-assets plan' first")


def stray_files(store: Store) -> list[Path]:
    """What killed runs left lying, sorted."""
    return sorted(path for pattern in _STRAY for path in store.folder.glob(pattern))


def check_stray(store: Store) -> Finding:
    """Leftovers of killed runs."""
    found = stray_files(store)
    if not found:
        return Finding("leftovers", OK, "none")
    sentence = f"{len(found):,} of killed runs, first '{found[0].relative_to(store.folder)}'"
    return Finding("leftovers", WRONG, sentence, "--repair removes them")
