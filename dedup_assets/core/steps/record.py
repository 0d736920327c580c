"""What a step leaves behind: its summary, and the note of what went in and what came out."""

import contextlib
import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any, TypeVar

import pandas as pd

from dedup_assets.core.engines.exchange import forget_results
from dedup_assets.core.errors import DedupError
from dedup_assets.core.project import Project
from dedup_assets.core.run import Run
from dedup_assets.core.settings import Thresholds
from dedup_assets.core.storage.schema import Table
from dedup_assets.core.storage.store import StepRecord, content_version, version_of

RAW_IMAGES, EMBEDDINGS, NEIGHBOURS = "raw_images", "embeddings", "neighbours"
UNIQUENESS_SCORES, DUPLICATES, DEDUPLICATED_DATASET = "uniqueness_scores", "duplicates", "deduplicated_dataset"
STEPS = (RAW_IMAGES, EMBEDDINGS, NEIGHBOURS, UNIQUENESS_SCORES, DUPLICATES, DEDUPLICATED_DATASET)

_STEP_VERSION = "1"  # raised when a step would give another result for the same input

Summary = TypeVar("Summary", bound="StepSummary")


@dataclass(frozen=True, slots=True)
class StepSummary:
    """`changed` is False when the step found nothing to do. `version` changes with the step's result."""

    changed: bool = field(default=True, kw_only=True)
    version: str = field(default="", kw_only=True)


def done(project: Project, *steps: str) -> tuple[StepRecord, ...]:
    """The notes of the last runs of these steps. Raises DedupError naming the first that has none."""
    records = project.store.steps()
    for step in steps:
        if step not in records:
            raise DedupError(f"'{step}' has not run yet for the store '{project.store.folder}'; materialise it first")
    return tuple(records[step] for step in steps)


def thresholds_of(records: Mapping[str, StepRecord]) -> Thresholds | None:
    """The thresholds that the scores were made with; None where there are no scores yet."""
    record = records.get(UNIQUENESS_SCORES)
    return Thresholds(**json.loads(record.settings)["thresholds"]) if record else None


def summary_of(records: Mapping[str, StepRecord], step: str) -> dict[str, Any]:
    """What a step noted of its last run; nothing where it has not run."""
    return dict(json.loads(records[step].summary)) if step in records else {}


def dataset_input(records: Mapping[str, StepRecord]) -> str:
    """Changes when the dataset has to be written again: with the images, the scores or the collection."""
    return version_of(*(records[step].output_version for step in (RAW_IMAGES, UNIQUENESS_SCORES, DUPLICATES)))


def dataset_is_behind(records: Mapping[str, StepRecord]) -> bool:
    """Whether the tables are of a later state than the dataset, which a run that was stopped did not write.

    Not known, and so not said, of a dataset that an older release wrote.
    """
    written = records.get(DEDUPLICATED_DATASET)
    if written is None or written.input_version in (written.output_version, "rollback"):
        return False
    return written.input_version != dataset_input(records)


def note(step: str, input_version: str, summary: StepSummary, settings: dict[str, Any], run: Run) -> StepRecord:
    """The note of a step that ran now."""
    return StepRecord(
        step, input_version, summary.version, json.dumps(settings), json.dumps(asdict(summary)), run.run_id, run.now
    )


def unless_done(
    project: Project,
    step: str,
    before: StepRecord | None,
    input_version: str,
    kind: type[Summary],
    settings: dict[str, Any],
    run: Run,
    compute: Callable[[], tuple[Summary, dict[Table, pd.DataFrame]]],
    idle: Mapping[str, object] | None = None,
) -> Summary:
    """The summary of the step: the last one when the same went in, else of computing and storing it now.

    `before`: its last run. `idle`: what the summary says of a run that has nothing to do instead of what it said then.
    """
    input_version = version_of(_STEP_VERSION, input_version)
    if before and before.input_version == input_version:
        with contextlib.suppress(TypeError):  # a summary of an older release, which said less
            return kind(**{**json.loads(before.summary), **(idle or {}), "changed": False})
    with project.store.explained():
        summary, frames = compute()
    version = version_of(*(content_version(table, frame) for table, frame in frames.items()))
    summary = replace(summary, version=version, changed=before is None or before.output_version != version)
    project.store.replace(frames, note(step, input_version, summary, settings, run))
    forget_results(project.exchange, step)
    return summary


def finish(
    project: Project,
    step: str,
    before: StepRecord | None,
    input_version: str,
    summary: Summary,
    settings: dict[str, Any],
    run: Run,
    frames: Callable[[], dict[Table, pd.DataFrame]],
    *,
    always: bool = False,
) -> Summary:
    """Note a step whose work lies in files, unless its last run `before` noted the very same; or `always`."""
    summary = replace(summary, changed=before is None or before.output_version != summary.version)
    if summary.changed or always:
        project.store.replace(frames(), note(step, input_version, summary, settings, run))
    forget_results(project.exchange, step)
    return summary
