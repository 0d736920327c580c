"""deduplicated_dataset: a new, immutable version of the dataset without the Duplicates collection."""

import json
from collections.abc import Collection
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import pandas as pd

from dedup_assets.core.datasets import (
    MANIFEST_COLUMNS,
    REMOVED_COLUMNS,
    DatasetVersion,
    make_current,
)
from dedup_assets.core.delivery import write_and_deliver
from dedup_assets.core.errors import LabelError
from dedup_assets.core.labels.conflicts import CURE, differences, told
from dedup_assets.core.labels.kept import kept_labels, label_columns, write_labels
from dedup_assets.core.labels.model import LabelSet
from dedup_assets.core.lineage.applied import file_as_applied
from dedup_assets.core.lineage.audit import Event, unversioned, with_event
from dedup_assets.core.membership import among
from dedup_assets.core.placing import UNKNOWN_TIME
from dedup_assets.core.project import Project
from dedup_assets.core.run import Run
from dedup_assets.core.settings import Thresholds
from dedup_assets.core.steps.inputs import check_collected, check_scored, readable
from dedup_assets.core.steps.record import (
    DEDUPLICATED_DATASET,
    DUPLICATES,
    EMBEDDINGS,
    UNIQUENESS_SCORES,
    StepSummary,
    dataset_input,
    done,
    finish,
)
from dedup_assets.core.storage import schema
from dedup_assets.core.storage.published import publish
from dedup_assets.core.storage.schema import Table

NOT_SELECTED = "not selected"


@dataclass(frozen=True, slots=True)
class DatasetSummary(StepSummary):
    """The dataset version that now stands. `delivered`: its place at the dataset target, if there is one."""

    name: str
    dataset_version: str
    folder: str
    kept: int
    removed: int
    created: bool
    delivered: str | None = None


@dataclass(frozen=True, slots=True)
class DatasetRows:
    """What a dataset version holds: `kept` with MANIFEST_COLUMNS and `removed` with REMOVED_COLUMNS, by image_id.

    `seen`: of each kept image, when its file was last changed as the scan found it, and its etag.
    """

    kept: pd.DataFrame
    removed: pd.DataFrame
    labels: LabelSet
    seen: pd.DataFrame

    @property
    def to_place(self) -> pd.DataFrame:
        """`kept` with `seen`, by which placing tells what changed since."""
        return self.kept.join(self.seen)


def write_dataset(project: Project, run: Run) -> DatasetSummary:
    """deduplicated_dataset: a new, immutable version of the dataset without the Duplicates collection."""
    store = project.store
    with store.exclusively(run.say):
        with store.reading():
            scored, embedded, collected = done(project, UNIQUENESS_SCORES, EMBEDDINGS, DUPLICATES)
            check_conflicts(project)
            before = store.step(DEDUPLICATED_DATASET)
            record, versions, applied = store.read_together(schema.REMOVALS, schema.DATASETS, schema.DECISIONS)
        rows = dataset_rows(project)
        check_collected(scored, collected)
        thresholds, embedder = json.loads(scored.settings)["thresholds"], json.loads(embedded.summary)["embedder"]
        facts = {"images": str(project.images), "thresholds": thresholds, "embedder": embedder}
        facts |= {"created_at": run.now.isoformat(timespec="seconds"), "run_id": run.run_id}
        decided = file_as_applied(project.decisions_file, applied)

        def write_more(folder: Path) -> None:
            write_labels(rows.labels, folder)
            if decided is not None:
                (folder / "decisions.csv").write_bytes(decided)

        with store.explained():
            written, delivered = write_and_deliver(
                project.recipe,
                store.datasets,
                project.dataset_target,
                project.images,
                rows.to_place,
                rows.removed,
                facts,
                run.progress,
                write_more,
            )
            make_current(written.folder)
        if written.placement != project.recipe.placement:
            run.say(
                f"the images of {written.name}/{written.version} stay placed as {written.placement}; to have them as "
                f"{project.recipe.placement}, delete '{delivered or written.folder}' and run again"
            )
        placed_anew = bool((_these(versions, written) & (versions["placement"] != written.placement)).any())
        summary = DatasetSummary(
            name=written.name,
            dataset_version=written.version,
            folder=str(written.folder),
            delivered=delivered,
            kept=written.kept,
            removed=written.removed,
            created=written.created,
            changed=written.created,
            version=f"{written.name}/{written.version}",
        )

        first_without = unversioned(record, rows.removed["image_id"])
        moved = before is None or json.loads(before.summary).get("delivered") != delivered
        other = before is None or before.output_version != summary.version
        happened = other or moved or placed_anew or bool(first_without.any())

        def tables() -> dict[Table, pd.DataFrame]:
            if not happened:
                return {}
            event = Event("run", run, summary.version, Thresholds(**thresholds), embedder)
            events = store.read(schema.EVENTS)
            return {
                schema.DATASETS: _with_version(versions, project, written, run),
                schema.REMOVALS: record.assign(
                    dataset_version=record["dataset_version"].astype(object).mask(first_without, summary.version)
                ),
                schema.EVENTS: with_event(events, event),
            }

        settings, went_in = asdict(project.recipe), dataset_input(store.steps())
        noted = happened or before is None or before.input_version != went_in
        summary = finish(project, DEDUPLICATED_DATASET, before, went_in, summary, settings, run, tables, always=noted)
        project.remember()
        publish(store, run)
        return replace(summary, changed=summary.changed or placed_anew)


def dataset_rows(project: Project, selected: Collection[str] | None = None) -> DatasetRows:
    """The images that are kept, those left out, and the labels of the first.

    Kept are the images that are not removed, or, where they are given, the `selected` ones; an image that is neither
    selected nor removed is left out as `not selected`.
    """
    with project.store.reading():
        images = readable(project)
        scores, tags = project.store.read_together(schema.SCORES, schema.TAGS)
        active = project.store.read(schema.REMOVALS, "restored_at IS NULL AND superseded_at IS NULL")
    check_scored(images, scores)
    stays = ~among(images["image_id"], active["image_id"] if selected is None else selected)
    stays = stays if selected is None else ~stays
    left_out = images.loc[~stays, ["image_id", "file_hash"]]
    removed = left_out.merge(active, on="image_id", how="left").sort_values("image_id", ignore_index=True)
    removed["reason"] = removed["reason"].astype(object).fillna(NOT_SELECTED)
    kept = images[stays].merge(scores, on="image_id", how="left")
    by_image = tags.sort_values("tag").groupby("image_id")["tag"].agg(";".join)
    kept = kept.drop(columns="label_count")
    labels = kept_labels(project.store, kept["image_id"])
    kept = kept.join(label_columns(kept["image_id"], labels))
    kept["tags"] = kept["image_id"].map(by_image).astype(object).fillna("")
    kept = kept.sort_values("image_id", ignore_index=True)
    seen = kept[["modified_ns", "etag"]].fillna({"modified_ns": UNKNOWN_TIME}).astype({"modified_ns": "int64"})
    seen["etag"] = seen["etag"].astype(object).where(seen["etag"].notna(), None)
    return DatasetRows(kept[list(MANIFEST_COLUMNS)], removed[list(REMOVED_COLUMNS)], labels, seen)


def check_conflicts(project: Project) -> None:
    """Raise LabelError where labels of duplicates differ and the policy is to stop."""
    if project.labels != "conflict":
        return
    found = differences(project.store.read(schema.LABEL_CONFLICTS))
    if len(found):
        raise LabelError(f"{told(found)}; {CURE}. The dataset was not written")


def _with_version(rows: pd.DataFrame, project: Project, written: DatasetVersion, run: Run) -> pd.DataFrame:
    recipe, this = project.recipe, _these(rows, written)
    if this.any():
        return rows.assign(placement=rows["placement"].mask(this, written.placement))
    new = {"name": recipe.name, "version": written.version, "description": recipe.description, "kept": written.kept}
    new |= {"removed": written.removed, "placement": written.placement, "run_id": run.run_id, "created_at": run.now}
    return pd.concat([rows, pd.DataFrame([new])]) if len(rows) else pd.DataFrame([new])


def _these(rows: pd.DataFrame, written: DatasetVersion) -> "pd.Series[bool]":
    return (rows["name"] == written.name) & (rows["version"] == written.version)
