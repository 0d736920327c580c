"""Vectors, sketches and comparisons: is everything there that the tables speak of, and what is of nobody any more."""

import json
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from dedup_assets.core.detection.comparing import comparison_key
from dedup_assets.core.doctor.finding import NOTE, OK, WRONG, Finding
from dedup_assets.core.project import Project
from dedup_assets.core.steps.record import EMBEDDINGS, dataset_is_behind
from dedup_assets.core.storage import schema
from dedup_assets.core.storage.arrays import ArrayShelf
from dedup_assets.core.storage.store import CACHES, Store


@dataclass(frozen=True, slots=True)
class Shelf:
    """One cache, the keys that the store still needs of it, and whether it has to have them all."""

    name: str
    array: ArrayShelf
    needed: frozenset[str]
    complete: bool


def shelves(project: Project) -> list[Shelf]:
    """The caches that the store uses now. Empty before anything was embedded."""
    store = project.store
    records = store.steps()
    record = records.get(EMBEDDINGS)
    if record is None:
        return []
    stopped = dataset_is_behind(records)  # before it embedded what its scan found, perhaps
    said = json.loads(record.summary)
    images = store.read(schema.IMAGES, "status = 'ok'")
    pairs = store.read(schema.CONTENT_PAIRS)
    ends = zip(pairs["content_a"], pairs["content_b"], strict=True)
    compared = frozenset(comparison_key(a, b, project.second_stage) for a, b in ends)
    vectors = store.vectors(said["embedder"], said["views"], said["dimension"])
    found = [
        Shelf("vectors", vectors, frozenset(images["content_id"]), complete=not stopped),
        Shelf("sketches", store.sketches, frozenset(images["file_hash"]), complete=False),
    ]
    folders = sorted((store.folder / "comparisons").glob(f"*-{said['embedder']}"))
    found += [Shelf("comparisons", store.comparisons(folder.name), compared, complete=False) for folder in folders]
    return found


def check_caches(project: Project) -> Iterator[Finding]:
    """Each cache; what nobody needs is told with its size."""
    orphans, idle = 0, 0
    for shelf in shelves(project):
        broken, keys = shelf.array.unreadable(), shelf.array.keys()
        missing = len(shelf.needed - keys) if shelf.complete else 0
        said = [f"{len(broken):,} files cannot be read, first '{broken[0]}'"] if broken else []
        said += [f"{missing:,} of {len(shelf.needed):,} are missing"] if missing else []
        state = WRONG if said else OK
        remedy = "--repair removes what is broken and computes it again" if said else ""
        yield Finding(
            shelf.name, state, "; ".join(said) or f"{len(shelf.needed & keys):,} in use, all readable", remedy
        )
        orphans += len(keys - shelf.needed)
        idle += round(_bytes_under(shelf.array.folder) * len(keys - shelf.needed) / max(len(keys), 1))
    other = unused_folders(project)
    idle += sum(_bytes_under(folder) for folder in other)
    if orphans or other:
        folders = f" and {len(other)} folders of other embedders" if other else ""
        sentence = f"{orphans:,} rows of vanished contents{folders}, about {idle / 1e6:,.1f} MB"
        yield Finding("orphans", NOTE, sentence, "--prune removes them")
    else:
        yield Finding("orphans", OK, "none")


def prune(project: Project) -> int:
    """Remove what no image of the last scan needs; the bytes freed. Needs the store to itself."""
    freed = sum(shelf.array.drop_all_but(shelf.needed) for shelf in shelves(project))
    for folder in unused_folders(project):
        freed += _bytes_under(folder)
        shutil.rmtree(folder)
    return freed


def drop_broken(project: Project) -> int:
    """Remove the files of shards that cannot be read; how many."""
    dropped = 0
    for shelf in shelves(project):
        for name in shelf.array.unreadable():
            (shelf.array.folder / name).unlink()
            dropped += 1
    return dropped


def unused_folders(project: Project) -> list[Path]:
    """Caches of embedders that the store no longer uses."""
    used = {shelf.array.folder for shelf in shelves(project)}
    if not used:
        return []
    store: Store = project.store
    return sorted(
        folder
        for cache in CACHES
        for folder in (store.folder / cache).glob("*")
        if folder.is_dir() and folder not in used
    )


def _bytes_under(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
