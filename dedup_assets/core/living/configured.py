"""What a chain is configured to do, step by step: a changed setting changes its step and those below, no others."""

from collections.abc import Mapping
from dataclasses import asdict

from dedup_assets.core.project import Project
from dedup_assets.core.settings import Thresholds
from dedup_assets.core.steps.record import (
    DEDUPLICATED_DATASET,
    DUPLICATES,
    EMBEDDINGS,
    NEIGHBOURS,
    RAW_IMAGES,
    STEPS,
    UNIQUENESS_SCORES,
)
from dedup_assets.core.storage.store import version_of


def configured(project: Project, thresholds: Thresholds) -> dict[str, str]:
    """For each step a version of the settings that its result hangs on, beside what the step before hands it.

    What only says how the work is done (engine, workers) is not among them.
    """
    settings: dict[str, object] = {
        RAW_IMAGES: [str(project.images), project.max_pixels, project.input_format, project.annotations],
        EMBEDDINGS: project.embedder,
        NEIGHBOURS: [project.second_stage, asdict(project.keepers)],
        UNIQUENESS_SCORES: asdict(thresholds),
        DUPLICATES: [project.labels, project.label_overlap, project.leakage],
        DEDUPLICATED_DATASET: [asdict(project.recipe), project.dataset_target],
    }
    return {step: version_of(settings[step]) for step in STEPS}


def steps_below(now: Mapping[str, str], before: Mapping[str, str]) -> tuple[str, ...]:
    """The first step whose settings are others than before, and all steps after it."""
    first = next((place for place, step in enumerate(STEPS) if now[step] != before.get(step)), len(STEPS))
    return STEPS[first:]


def version_of_settings(settings: Mapping[str, str]) -> str:
    """One version for the settings of all steps; '' unless all are known."""
    return version_of([settings[step] for step in STEPS]) if set(STEPS) <= set(settings) else ""
