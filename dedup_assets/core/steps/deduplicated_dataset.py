"""deduplicated_dataset: a new, immutable version of the dataset without the Duplicates collection."""

import json
from dataclasses import asdict, dataclass

import pandas as pd

from dedup_assets.core import schema
from dedup_assets.core.datasets import MANIFEST_COLUMNS, DatasetVersion, write_version
from dedup_assets.core.project import Project
from dedup_assets.core.run import Run
from dedup_assets.core.schema import Table
from dedup_assets.core.steps.inputs import readable
from dedup_assets.core.steps.record import (
    DEDUPLICATED_DATASET,
    DUPLICATES,
    EMBEDDINGS,
    UNIQUENESS_SCORES,
    StepSummary,
    done,
    finish,
)


@dataclass(frozen=True, slots=True)
class DatasetSummary(StepSummary):
    """The dataset version that now stands."""

    name: str
    dataset_version: str
    folder: str
    kept: int
    removed: int
    created: bool


def write_dataset(project: Project, run: Run) -> DatasetSummary:
    """deduplicated_dataset: a new, immutable version of the dataset without the Duplicates collection."""
    store = project.store
    with store.exclusively(run.say):
        done(project, DUPLICATES)
        manifest, removed = dataset_frames(project)
        scored = json.loads(done(project, UNIQUENESS_SCORES).settings)["thresholds"]
        embedder = json.loads(done(project, EMBEDDINGS).summary)["embedder"]
        facts = {"images": str(project.images), "thresholds": scored, "embedder": embedder}
        facts |= {"created_at": run.now.isoformat(timespec="seconds"), "run_id": run.run_id}
        with store.explained():
            written = write_version(
                project.recipe, store.datasets, project.images, manifest, removed, facts, run.progress
            )
        summary = DatasetSummary(
            name=written.name,
            dataset_version=written.version,
            folder=str(written.folder),
            kept=written.kept,
            removed=written.removed,
            created=written.created,
            changed=written.created,
            version=written.version,
        )

        def rows() -> dict[Table, pd.DataFrame]:
            return {schema.DATASETS: _with_version(store.read(schema.DATASETS), project, written, run)}

        return finish(project, DEDUPLICATED_DATASET, written.version, summary, asdict(project.recipe), run, rows)


def dataset_frames(project: Project) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The manifest of kept images and the list of removed ones, each sorted by image_id."""
    images = readable(project)
    scores = project.store.read(schema.SCORES)
    tags = project.store.read(schema.TAGS)
    active = project.store.read(schema.REMOVALS, "restored_at IS NULL AND superseded_at IS NULL")
    removed = images[["image_id", "file_hash"]].merge(active, on="image_id").sort_values("image_id", ignore_index=True)
    kept = images[~images["image_id"].isin(removed["image_id"])].merge(scores, on="image_id", how="left")
    by_image = tags.sort_values("tag").groupby("image_id")["tag"].agg(";".join)
    kept["tags"] = kept["image_id"].map(by_image).fillna("")
    columns = ["image_id", "keeper_id", "reason", "distance", "decided_by", "note", "file_hash"]
    return kept.sort_values("image_id", ignore_index=True)[list(MANIFEST_COLUMNS)], removed[columns]


def _with_version(rows: pd.DataFrame, project: Project, written: DatasetVersion, run: Run) -> pd.DataFrame:
    recipe = project.recipe
    if ((rows["name"] == recipe.name) & (rows["version"] == written.version)).any():
        return rows
    new = {"name": recipe.name, "version": written.version, "description": recipe.description, "kept": written.kept}
    new |= {"removed": written.removed, "placement": recipe.placement, "run_id": run.run_id, "created_at": run.now}
    return pd.concat([rows, pd.DataFrame([new])]) if len(rows) else pd.DataFrame([new])
