"""What materialising now would change, told before anything is written."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

import pandas as pd

from dedup_assets.core import steps
from dedup_assets.core.datasets import version_of_lists
from dedup_assets.core.errors import DecisionError, DedupError, LabelError, NoImagesError, ProtectedError
from dedup_assets.core.lineage.audit import in_force, other_keeper_reason
from dedup_assets.core.lineage.grounds import why_back
from dedup_assets.core.lineage.versions import CURRENT, version_called
from dedup_assets.core.living.decisions_now import check_decisions, words_applied, words_of
from dedup_assets.core.living.folder_changes import FolderChanges, between, compared
from dedup_assets.core.living.scratch import scratch_of
from dedup_assets.core.membership import among
from dedup_assets.core.project import Project
from dedup_assets.core.run import Run
from dedup_assets.core.scoring.decisions import named, read_decisions
from dedup_assets.core.scoring.leakage import leakage
from dedup_assets.core.settings import Thresholds
from dedup_assets.core.steps.deduplicated_dataset import check_conflicts, dataset_rows
from dedup_assets.core.steps.record import dataset_is_behind, summary_of, thresholds_of
from dedup_assets.core.storage import schema
from dedup_assets.core.storage.published import for_reading
from dedup_assets.core.storage.store import Store


@dataclass(frozen=True, slots=True)
class Leaving:
    """An image that would be removed, and the ground."""

    image_id: str
    keeper_id: str | None
    reason: str
    distance: float | None
    decided_by: str
    new: bool


@dataclass(frozen=True, slots=True)
class Returning:
    """An image that would come back, and why."""

    image_id: str
    was_for: str | None
    why: str


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a run would leave. `other_ground`: images that stay removed, but on another ground or for another image.

    `dataset_version`: as NAME/VERSION, the very one that a run would write.
    """

    newly_removed: tuple[Leaving, ...]
    restored: tuple[Returning, ...]
    other_ground: int
    kept: int
    removed: int
    waiting_pairs: int
    dataset_version: str


@dataclass(frozen=True, slots=True)
class Plan:
    """What materialising now would change.

    `to_read`: files that have to be opened. `decisions`: lines of the reviewed file, of which `decisions_new` are not
    applied yet, `decisions_gone` were applied and are no longer written, and `decisions_without_image` (line and image)
    are about pictures that are no longer there. `kept_now`, `waiting_now`, `dataset_now`: as the last run left them.
    `outcome` is None where it was not asked for, or where the run would stop, which `problem` then explains.
    """

    images: str
    store: str
    files: FolderChanges
    to_read: int
    thresholds: Thresholds
    thresholds_now: Thresholds | None
    decisions: int
    decisions_new: int
    decisions_gone: int
    decisions_without_image: tuple[tuple[int, str], ...]
    kept_now: int | None
    waiting_now: int | None
    dataset_now: str | None
    outcome: Outcome | None
    problem: str | None

    @property
    def changes_nothing(self) -> bool:
        """Whether a run would leave the dataset and every decision as they are."""
        done = self.outcome is not None and self.outcome.dataset_version == self.dataset_now
        return done and not (self.decisions_new or self.decisions_gone or self.files.any)


def quick_plan(project: Project, thresholds: Thresholds | None = None) -> Plan:
    """The changes of the folder and of the reviewed file, without opening an image; no outcome.

    Decisions that a run would stop at are its `problem`, as far as they can be told without the pictures.
    """
    reading = for_reading(project.store)
    images = reading.read(schema.IMAGES)
    files, to_read = compared(project.images.listing(), images, project.max_pixels)
    plan = _without_outcome(project, reading, files, to_read, thresholds)
    try:
        plan = replace(plan, **decision_counts(project, reading))
        if plan.decisions_new or (plan.decisions and files.vanished):
            check_decisions(project, reading, images, files, to_read)
    except DecisionError as error:
        return replace(plan, problem=str(error))
    return plan


def full_plan(project: Project, run: Run, thresholds: Thresholds | None = None) -> Plan:
    """The same with the outcome, by running the chain on a scratch copy of the store.

    Reads and embeds what is new; the store is not written, and its database is open only while it is copied.
    """
    plan = quick_plan(project, thresholds)
    if plan.problem:
        return plan
    with scratch_of(project) as trial:
        before = {table: trial.store.read(table) for table in (schema.IMAGES, schema.REMOVALS)}
        try:
            scanned = steps.scan_images(trial, run)
            steps.embed_images(trial, run)
            steps.find_neighbours(trial, run)
            steps.score_uniqueness(trial, plan.thresholds, run)
            collected = steps.collect_duplicates(trial, run)
            check_conflicts(trial)
        except (DecisionError, NoImagesError, LabelError, ProtectedError) as error:
            return replace(plan, problem=str(error))
        if leak := _blocking_leak(trial):
            return replace(plan, problem=leak)
        after = {table: trial.store.read(table) for table in (schema.IMAGES, schema.REMOVALS)}
        rows = dataset_rows(trial)
        lost = trial.store.read(schema.DECISIONS, "applies_to = 0")
        scores = trial.store.read(schema.SCORES)
    outcome = Outcome(
        **_moved(_of_the_dataset(project.store) or before, after, scores),
        kept=len(rows.kept),
        removed=len(rows.removed),
        waiting_pairs=collected.waiting_pairs,
        dataset_version=f"{project.recipe.name}/{version_of_lists(rows.kept, rows.removed)}",
    )
    return replace(
        plan,
        files=between(before[schema.IMAGES], after[schema.IMAGES]),
        to_read=scanned.read,
        decisions_without_image=tuple((int(line), str(image)) for line, image in lost[["line", "image_id"]].to_numpy()),
        outcome=outcome,
    )


def plan_as_json(plan: Plan) -> dict[str, Any]:
    """The plan as plain values, for scripts."""
    return asdict(plan) | {"changes_nothing": plan.changes_nothing}


def _blocking_leak(project: Project) -> str | None:
    """What the check no_picture_in_two_splits would stop a run with; None where it would pass, or only warn."""
    found = leakage(project.store).problem if project.leakage == "block" else None
    return f"{found}, or set leakage to 'warn'. The dataset was not written" if found else None


def _without_outcome(
    project: Project, reading: Store, files: FolderChanges, to_read: int, thresholds: Thresholds | None
) -> Plan:
    records = reading.steps()
    used = thresholds_of(records)
    dataset, collected = summary_of(records, "deduplicated_dataset"), summary_of(records, "duplicates")
    return Plan(
        images=str(project.images),
        store=str(project.store.folder),
        files=files,
        to_read=to_read,
        thresholds=thresholds or used or Thresholds(),
        thresholds_now=used,
        decisions=0,
        decisions_new=0,
        decisions_gone=0,
        decisions_without_image=(),
        kept_now=dataset.get("kept"),
        waiting_now=collected.get("waiting_pairs"),
        dataset_now=records["deduplicated_dataset"].output_version if dataset else None,
        outcome=None,
        problem=None,
    )


def decision_counts(project: Project, reading: Store) -> dict[str, Any]:
    """How the reviewed file differs from what was applied last: the fields `decisions` to `decisions_gone` of a plan.

    Raises DecisionError for a file that cannot be read.
    """
    said = read_decisions(project.decisions_file)
    applied = words_applied(reading)
    known = {name for image_id, _, other in applied for name in (image_id, other)}
    words = {words_of(named(line, known)) for line in said}
    return {"decisions": len(said), "decisions_new": len(words - applied), "decisions_gone": len(applied - words)}


def _of_the_dataset(store: Store) -> dict[schema.Table, pd.DataFrame] | None:
    """The images and the removals in force as the dataset that stands lists them, where the tables are of a later run.

    None where they are of the same, or that dataset is gone.
    """
    if not dataset_is_behind(store.steps()):
        return None
    try:
        version = version_called(store, CURRENT)
        manifest, removed = version.manifest, version.removed
    except DedupError:
        return None
    removed = removed.rename(columns={"file_hash": "content_hash"}).assign(restored_at=None, superseded_at=None)
    return {schema.IMAGES: pd.concat([manifest[["image_id"]], removed[["image_id"]]]), schema.REMOVALS: removed}


def _moved(
    before: Mapping[schema.Table, pd.DataFrame], after: Mapping[schema.Table, pd.DataFrame], scores: pd.DataFrame
) -> dict[str, Any]:
    """Who leaves and who comes back, by path."""
    old, new = (_removed_now(tables) for tables in (before, after))
    known = set(before[schema.IMAGES]["image_id"])
    leaving = [
        Leaving(
            image_id=str(image_id),
            keeper_id=_text(row["keeper_id"]),
            reason=str(row["reason"]),
            distance=None if pd.isna(row["distance"]) else float(row["distance"]),
            decided_by=str(row["decided_by"]),
            new=image_id not in known,
        )
        for image_id, row in new[~new.index.isin(old.index)].sort_index().to_dict("index").items()
    ]
    back = old[~old.index.isin(new.index) & old.index.isin(after[schema.IMAGES]["image_id"])].sort_index()
    returning = [
        Returning(str(image_id), _text(row["keeper_id"]), why_back(str(image_id), row, after[schema.IMAGES], scores))
        for image_id, row in back.to_dict("index").items()
    ]
    both = old.index.intersection(new.index)
    old, new, columns = old.loc[both], new.loc[both], ["keeper_id", "reason", "decided_by"]
    other = (old[columns].fillna("") != new[columns].fillna("")).any(axis=1)
    if "keeper_reason" in old:  # not among what a dataset lists
        other |= other_keeper_reason(old["keeper_reason"], new["keeper_reason"])
    return {"newly_removed": tuple(leaving), "restored": tuple(returning), "other_ground": int(other.sum())}


def _removed_now(tables: Mapping[schema.Table, pd.DataFrame]) -> pd.DataFrame:
    """The removals in force of images that are in the folder, by image_id."""
    record = tables[schema.REMOVALS]
    present = among(record["image_id"], tables[schema.IMAGES]["image_id"])
    return record[in_force(record) & present].set_index("image_id")


def _text(value: object) -> str | None:
    return None if value is None or pd.isna(value) else str(value)  # type: ignore[call-overload]
