"""The whole examination, and what it leads to."""

import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path

import pandas as pd

from dedup_assets.core import steps
from dedup_assets.core.datasets import find_links_again, place_anew, placement_of, put_back, version_from
from dedup_assets.core.doctor.caches import check_caches, drop_broken, prune
from dedup_assets.core.doctor.files import (
    LISTS,
    check_datasets,
    check_decisions,
    check_images,
    check_published,
    check_stray,
    damage,
    stray_files,
)
from dedup_assets.core.doctor.finding import NOTE, OK, WRONG, Finding
from dedup_assets.core.doctor.tables import check_format, check_tables
from dedup_assets.core.errors import DedupError, StoreError
from dedup_assets.core.lineage.audit import Event, with_event
from dedup_assets.core.lineage.versions import current_version
from dedup_assets.core.placing import Scanned, holds, scanned
from dedup_assets.core.project import Project, remembered
from dedup_assets.core.run import Run
from dedup_assets.core.settings import Thresholds
from dedup_assets.core.sources.base import Readable
from dedup_assets.core.steps.record import EMBEDDINGS, NEIGHBOURS, RAW_IMAGES, thresholds_of
from dedup_assets.core.storage import schema
from dedup_assets.core.storage.published import PUBLISHED, current_set, load_parquet, publish
from dedup_assets.core.storage.store import Store


def examine(store: Store) -> list[Finding]:
    """Every check. A store whose database cannot be read is told so, and the rest of it is not judged."""
    try:
        project = remembered(store)
    except StoreError as error:
        there = current_set(store)
        remedy = f"--repair rebuilds it from the tables published in '{there}'" if there else ""
        return [Finding("database", WRONG, str(error), remedy), check_stray(store)]
    findings = [Finding("database", OK, f"opens: {store.database}"), check_format(store)]
    for check in (check_tables, check_datasets):
        findings += _safely(check.__name__, check(store))
    findings += _safely("caches", check_caches(project))
    return [*findings, check_published(store), check_decisions(project), check_images(project), check_stray(store)]


def repair(store: Store, run: Run) -> list[str]:
    """Rebuild what can be rebuilt, and run the chain where rows were wrong; what was done, in sentences.

    Raises StoreError for a store of a later release, which is left as it is.
    """
    with store.exclusively(run.say):
        before = examine(store)
        _refuse_later(before)
        wrong = {finding.check for finding in before if finding.state == WRONG}
        done = []
        if "database" in wrong:
            done.append(_database_from_published(store))
            wrong |= {"keys"}
        project = remembered(store)
        for name in sorted(path for path in store.datasets.glob("*") if path.is_dir()):
            done += [f"put the dataset version {name.name}/{back.name} back in its place" for back in put_back(name)]
        for path in stray_files(store):
            shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()
            done.append(f"removed the leftover '{path.relative_to(store.folder)}'")
        broken = drop_broken(project)
        if broken:
            done.append(f"removed {broken:,} cache files that could not be read")
        folder = current_set(store)
        if "published tables" in wrong and folder is not None:
            shutil.rmtree(folder)
            done.append("removed the published tables that could not be read")
        done += _mend_datasets(store, project)
        if wrong - {"decisions", "image folder"}:
            done += _compute_again(project, run, reread=bool(wrong & {"keys", "every_readable_image_has_one_score"}))
        publish(store, run)
        if done:
            _note(store, run, "repair", "; ".join(done))
    return done


def prune_store(store: Store, run: Run) -> int:
    """Remove vectors, sketches and comparisons of vanished contents; the bytes freed. Raises as `repair` does."""
    with store.exclusively(run.say):
        _refuse_later([check_format(store)])
        freed = prune(remembered(store))
        if freed:
            _note(store, run, "prune", f"{freed:,} bytes of vanished contents removed")
    return freed


def _database_from_published(store: Store) -> str:
    """A new database from the published tables; the old one is moved aside."""
    folder = current_set(store)
    if folder is None:
        raise StoreError(f"'{store.database}' cannot be read and nothing is published; bring it back from a copy")
    aside = store.database.with_name(f"{store.database.name}.broken")
    if store.exists():
        store.database.replace(aside)
    store.database.with_name(f"{store.database.name}.wal").unlink(missing_ok=True)
    store.create()
    load_parquet(store, {table: folder / f"{table.name}.parquet" for table in PUBLISHED})
    return f"rebuilt the database from '{folder}'" + (f"; the broken one is '{aside.name}'" if aside.exists() else "")


def _compute_again(project: Project, run: Run, *, reread: bool) -> list[str]:
    """The chain, nothing that was noted taken for granted; every file opened again where it is to be `reread`.

    Where it stops on the way, the store still knows its thresholds and which dataset stands, and a run goes on.
    """
    store = project.store
    thresholds = thresholds_of(store.steps()) or Thresholds()
    standing = current_version(store)
    noted = store.read(schema.STEPS)
    left = noted[~noted["step"].isin([EMBEDDINGS, NEIGHBOURS])]
    frames = {schema.STEPS: left.assign(input_version=left["input_version"].where(left["step"] == RAW_IMAGES, ""))}
    if reread:
        images = store.read(schema.IMAGES).drop_duplicates("image_id")
        frames[schema.IMAGES] = images.assign(modified_ns=-1)  # as if every file had been touched
    store.replace(frames)
    steps.scan_images(project, run)
    steps.embed_images(project, run)
    steps.find_neighbours(project, run)
    steps.score_uniqueness(project, thresholds, run)
    steps.collect_duplicates(project, run)
    now = steps.write_dataset(project, run).version
    stays = f"the dataset is {now}, as before" if now == standing else f"the dataset is {now} now, it was {standing}"
    return [f"computed the tables again; {stays}"]


def _mend_datasets(store: Store, project: Project) -> list[str]:
    """Lists from their other format, images placed again; a version whose lists are lost is moved aside."""
    done = []
    for row in store.read(schema.DATASETS).to_dict("records"):
        folder = store.datasets / str(row["name"]) / str(row["version"])
        placement, kept = str(row["placement"]), int(row["kept"])
        if not folder.is_dir():
            continue
        label, again = f"{row['name']}/{row['version']}", find_links_again(folder, project.images)
        if again:
            done.append(f"led {again:,} links of the dataset version {label} to the images again")
        if damage(folder, placement, kept) is None:
            continue
        if not _lists_mended(folder):
            aside = folder.with_name(f"broken-{folder.name}")
            shutil.rmtree(aside, ignore_errors=True)
            folder.rename(aside)
            done.append(f"moved the dataset version {label} aside as '{aside.name}'")
            continue
        if damage(folder, placement, kept) is not None:
            done.append(_placed_again(project, folder, placement, label))
        else:
            done.append(f"mended the lists of the dataset version {label}")
    return done


def _placed_again(project: Project, folder: Path, placement: str, label: str) -> str:
    """Place the images from where they were scanned; what is still sound in the version itself serves as well."""
    placement = placement_of(folder) or placement
    images = scanned(pd.read_parquet(folder / "manifest.parquet"))
    by_id = {image.image_id: image for image in images}

    def find(image_id: str) -> Readable:
        here = folder / "images" / image_id
        return here if placement != "symlink" and _sound(here, by_id[image_id]) else project.images.file(image_id)

    try:
        place_anew(folder, placement, find, images, lambda *_: None)
    except DedupError as error:
        return f"could not place the images of the dataset version {label}: {error}"
    return f"placed the images of the dataset version {label} again"


def _sound(path: Path, image: Scanned) -> bool:
    try:
        return holds(path, image)
    except OSError:
        return False


def _lists_mended(folder: Path) -> bool:
    """Whether the lists are, or could be made, those that the version is named after."""
    csv = {name: _read(folder / f"{name}.csv") for name in LISTS}
    rows = {name: _parquet(folder / f"{name}.parquet") for name in LISTS}
    made = {
        name: None if frame is None else frame.to_csv(index=False, lineterminator="\n").encode()
        for name, frame in rows.items()
    }
    for manifest in (csv["manifest"], made["manifest"]):
        for removed in (csv["removed"], made["removed"]):
            if manifest is None or removed is None or version_from(manifest, removed) != folder.name:
                continue
            for name, text in zip(LISTS, (manifest, removed), strict=True):
                (folder / f"{name}.csv").write_bytes(text)
                if made[name] != text:
                    pd.read_csv(folder / f"{name}.csv").to_parquet(folder / f"{name}.parquet", index=False)
            return True
    return False


def _read(path: Path) -> bytes | None:
    return path.read_bytes() if path.is_file() else None


def _parquet(path: Path) -> pd.DataFrame | None:
    try:
        return pd.read_parquet(path)
    except (OSError, ValueError):
        return None


def _refuse_later(findings: Iterable[Finding]) -> None:
    for finding in findings:
        if finding.check == "store format" and finding.state == WRONG:
            raise StoreError(finding.sentence)


def _safely(name: str, findings: Iterator[Finding]) -> list[Finding]:
    try:
        return list(findings)
    except (DedupError, KeyError, ValueError) as error:
        return [Finding(name, WRONG, f"could not be checked: {error}")]


def _note(store: Store, run: Run, kind: str, words: str) -> None:
    used = thresholds_of(store.steps()) or Thresholds()
    event = Event(kind, run, current_version(store), used, "", None, words)
    store.replace({schema.EVENTS: with_event(store.read(schema.EVENTS), event)})
    publish(store, run)


__all__ = ["NOTE", "OK", "WRONG", "Finding", "examine", "prune_store", "repair"]
