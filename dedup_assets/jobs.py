"""Running the Dagster job in this process: what the command line and the Explorer do."""

import os
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import dagster as dg

from dedup_assets.build import JOB, defs_of
from dedup_assets.chain import DECISIONS_CHANGED
from dedup_assets.core.errors import DedupError
from dedup_assets.core.project import Project
from dedup_assets.core.run import Progress
from dedup_assets.core.settings import DUPLICATE_THRESHOLD, NEAR_DUPLICATE_THRESHOLD, Thresholds
from dedup_assets.metadata import DIFFERENCES

APPLY_DECISIONS = DECISIONS_CHANGED


@dataclass(frozen=True, slots=True)
class FailedCheck:
    """An asset check that did not pass. `blocking` ones stopped the run."""

    name: str
    asset: str
    sentence: str
    blocking: bool


@dataclass(frozen=True, slots=True)
class JobResult:
    """A run that completed: its id, the assets in the order they were made, and the checks that did not pass.

    `decoded` counts the images that were new or changed; None when the folder was not read. `differs` counts the images
    of the dataset that differ from the version `before` it, by kind: nothing after a first version.
    """

    run_id: str
    materialised: tuple[str, ...]
    failed_checks: tuple[FailedCheck, ...]
    decoded: int | None
    before: str | None
    differs: dict[str, int]


def run_job(
    project: Project,
    thresholds: Thresholds,
    *,
    assets: Sequence[str] | None = None,
    on_progress: Progress | None = None,
    on_notice: Callable[[str], None] | None = None,
) -> JobResult:
    """Run the whole chain, or just `assets`, in this process; the run is kept when $DAGSTER_HOME is set.

    `on_notice` is given sentences worth reading while the job runs. Raises DedupError with one sentence when an asset
    or a blocking check fails, KeyboardInterrupt when the process is told to stop.
    """
    defs = defs_of(project, thresholds, on_progress=on_progress, on_notice=on_notice)
    job = defs.resolve_job_def(JOB)
    config: dict[str, object] = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}
    if assets is None or "uniqueness_scores" in assets:
        used = {
            DUPLICATE_THRESHOLD.name: thresholds.duplicate,
            NEAR_DUPLICATE_THRESHOLD.name: thresholds.near_duplicate,
        }
        config["ops"] = {"uniqueness_scores": {"config": used}}
    instance = dg.DagsterInstance.get() if os.environ.get("DAGSTER_HOME") else dg.DagsterInstance.ephemeral()
    run_id = str(uuid.uuid4())
    with instance, project.store.exclusively(on_notice, project.store.lease(run_id)):
        result = job.execute_in_process(
            run_config=config,
            instance=instance,
            raise_on_error=False,
            run_id=run_id,
            asset_selection=[dg.AssetKey(name) for name in assets] if assets is not None else None,
        )
    materialised = [event.materialization for event in result.get_asset_materialization_events()]
    checks = tuple(_failed_checks(result))
    if not result.success:
        if _was_interrupted(result):
            raise KeyboardInterrupt
        raise DedupError(_why(result, checks))
    made = tuple(one.asset_key.path[-1] for one in materialised)
    said: dict[str, Any] = {name: value.value for one in materialised for name, value in one.metadata.items()}
    differs = {kind: said.get(f"images_{kind}", 0) for kind in DIFFERENCES}
    return JobResult(
        result.run_id,
        made,
        checks,
        said.get("decoded_this_time"),
        said.get("version_before"),
        {kind: count for kind, count in differs.items() if count},
    )


def _failed_checks(result: dg.ExecuteInProcessResult) -> list[FailedCheck]:
    return [
        FailedCheck(
            check.check_name,
            check.asset_key.path[-1],
            check.description or "",
            check.severity == dg.AssetCheckSeverity.ERROR,
        )
        for check in result.get_asset_check_evaluations()
        if not check.passed
    ]


def _was_interrupted(result: dg.ExecuteInProcessResult) -> bool:
    errors = [event.step_failure_data.error for event in result.all_events if event.is_step_failure]
    return any(error and error.cls_name == dg.DagsterExecutionInterruptedError.__name__ for error in errors)


def _why(result: dg.ExecuteInProcessResult, checks: Sequence[FailedCheck]) -> str:
    """The sentence of the first failure: our own where we raised it, else what Python said."""
    for event in result.all_events:
        if event.is_step_failure:
            data = event.step_failure_data
            if data.user_failure_data and data.user_failure_data.description:
                return str(data.user_failure_data.description)
            blocking = [check for check in checks if check.blocking]
            if blocking:
                return (
                    f"check {blocking[0].name} of {blocking[0].asset} failed: {blocking[0].sentence}. The dataset was "
                    "not written; 'dedup-assets plan' tells what a run would do"
                )
            error = data.error
            while error is not None and error.cause is not None:
                error = error.cause
            return f"{event.step_key} failed: {error.message.strip() if error else 'unknown error'}"
    return "the run failed before its first step"
