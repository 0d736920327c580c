"""Datasets that people make of images they selected, beside the one that the chain makes."""

from collections.abc import Collection
from dataclasses import asdict

import pandas as pd

from dedup_assets.core.datasets import DatasetRecipe, DatasetVersion
from dedup_assets.core.delivery import write_and_deliver
from dedup_assets.core.errors import SettingsError
from dedup_assets.core.labels.kept import write_labels
from dedup_assets.core.project import Project
from dedup_assets.core.run import now_utc
from dedup_assets.core.settings import Thresholds
from dedup_assets.core.steps.deduplicated_dataset import dataset_rows
from dedup_assets.core.storage import schema

BY_HAND = "explorer"


def write_selection(
    project: Project, thresholds: Thresholds, selected: Collection[str], name: str, description: str, said: str
) -> DatasetVersion:
    """Write `datasets/NAME/VERSION/` of these images and note it; `said` tells in words which they are.

    The same images under the same scores have the same version, whoever wrote it. Raises SettingsError for a name that
    cannot be a folder, or that the chain writes itself, and when nothing is selected.
    """
    if name == project.recipe.name:
        raise SettingsError(f"the dataset '{name}' is written by the chain; give this one another name")
    if not len(selected):
        raise SettingsError("no image would be in the dataset; choose others")
    recipe = DatasetRecipe(name, description, project.recipe.placement)
    rows = dataset_rows(project, selected)
    now = now_utc()
    facts: dict[str, object] = {"images": str(project.images), "thresholds": asdict(thresholds), "selected": said}
    facts |= {"created_at": now.isoformat(timespec="seconds"), "run_id": BY_HAND}
    store = project.store
    with store.explained():
        written, _ = write_and_deliver(
            recipe,
            store.datasets,
            project.dataset_target,
            project.images,
            rows.to_place,
            rows.removed,
            facts,
            lambda *_: None,
            lambda folder: write_labels(rows.labels, folder),
        )
    if written.created:
        row = {"name": name, "version": written.version, "description": description, "kept": written.kept}
        row |= {"removed": written.removed, "placement": written.placement, "run_id": BY_HAND, "created_at": now}
        store.append(schema.DATASETS, pd.DataFrame([row]))
    return written
