"""One call from a folder of images to Dagster definitions."""

import hashlib
import re
from collections.abc import Callable, Sequence
from pathlib import Path

import dagster as dg
from typing_extensions import Unpack

from dedup_assets.assets import GROUP, build_assets
from dedup_assets.automation import Automation, build_automation
from dedup_assets.batches import Batches
from dedup_assets.chain import Chain
from dedup_assets.checks import build_checks
from dedup_assets.core.errors import SettingsError
from dedup_assets.core.living.configured import configured
from dedup_assets.core.project import Project, ProjectSettings, project_of
from dedup_assets.core.run import Progress
from dedup_assets.core.scoring.drift import DRIFT_BOUND
from dedup_assets.core.settings import (
    BATCHES,
    DUPLICATE_THRESHOLD,
    NEAR_DUPLICATE_THRESHOLD,
    NO_BATCHES,
    NONE,
    Thresholds,
    one_of,
)
from dedup_assets.core.sources.base import Source
from dedup_assets.lease import LeaseKey, lease_of
from dedup_assets.planning import build_plan_job

JOB = "deduplicate"
_PART = re.compile(r"[A-Za-z0-9_.-]+")
_NO_NAME = re.compile(r"[.-]")  # what the key of an asset may hold, and the name of a job may not


def build_dedup_defs(
    images: str | Path | Source,
    store: str | Path | None = None,
    *,
    key_prefix: str | Sequence[str] = (),
    duplicate_threshold: float = DUPLICATE_THRESHOLD.default,
    near_duplicate_threshold: float = NEAR_DUPLICATE_THRESHOLD.default,
    group_name: str = GROUP,
    owners: Sequence[str] = (),
    automation: str | Automation = NONE,
    cron: str | None = None,
    timezone: str | None = None,
    drift_bound: float = DRIFT_BOUND.default,
    ray_resource: str | None = None,
    batches: str = NO_BATCHES,
    **settings: Unpack[ProjectSettings],
) -> dg.Definitions:
    """The assets, checks and jobs that deduplicate the images of one folder, or of one bucket behind a URI.

    `store` defaults to $DEDUP_STORE, else ./dedup_store; `decisions` to decisions.csv in it. With a `key_prefix`
    ("photos", "zoo/cats" or its parts) several of these live in one deployment, each with a store of its own. Runs of
    one store share one Dagster pool. `automation` is none, eager, or schedule with a `cron` (and its `timezone`): see
    `Automation`. It is none by default, so that loading a code location never starts work that nobody asked for. More
    than `drift_bound` duplicates among new images make a warning. `ray_resource` is the key of a dagster-ray resource
    that connects to the cluster which `engine="ray"` uses. `batches` is none, or folders: every top folder of the
    images is a partition of `embeddings`. `settings` are those of `ProjectSettings`. Raises SettingsError for
    settings out of range.
    """
    project = project_of(images, store, **settings)
    thresholds = Thresholds(duplicate_threshold, near_duplicate_threshold)
    if not isinstance(automation, Automation):
        automation = Automation(automation, cron, timezone)
    return defs_of(
        project,
        thresholds,
        key_prefix=_parts(key_prefix),
        group_name=group_name,
        owners=owners,
        automation=automation,
        drift_bound=DRIFT_BOUND.check(drift_bound),
        ray_resource=ray_resource,
        batches=one_of("batches", batches, BATCHES),
    )


def defs_of(
    project: Project,
    thresholds: Thresholds,
    *,
    key_prefix: Sequence[str] = (),
    group_name: str = GROUP,
    owners: Sequence[str] = (),
    automation: Automation | None = None,
    drift_bound: float = DRIFT_BOUND.default,
    ray_resource: str | None = None,
    batches: str = NO_BATCHES,
    on_progress: Progress | None = None,
    on_notice: Callable[[str], None] | None = None,
) -> dg.Definitions:
    """The assets, checks, jobs and automation of one project."""
    pool = "dedup_store_" + hashlib.sha256(str(project.store.folder).encode()).hexdigest()[:8]
    name = _NO_NAME.sub("_", "_".join([*key_prefix, JOB]))
    parts = None if batches == NO_BATCHES else Batches(project, dg.DynamicPartitionsDefinition(name=f"{name}_batches"))
    assets = build_assets(
        project,
        thresholds,
        key_prefix=key_prefix,
        group_name=group_name,
        owners=owners,
        pool=pool,
        resource_keys=(pool,),
        ray_resource=ray_resource,
        batches=parts.partitions if parts else None,
        on_progress=on_progress,
        on_notice=on_notice,
    )
    job = dg.define_asset_job(
        name,
        selection=dg.AssetSelection.assets(*(asset for asset in assets if isinstance(asset, dg.AssetsDefinition))),
        description=f"Find and remove the duplicates of {project.images}",
        executor_def=dg.in_process_executor,  # of this job alone: what else the code location holds has its own
    )
    about = project.store.folder, str(project.images)
    chain = Chain(project, name, [asset.key for asset in assets], configured(project, thresholds), parts)
    started_by = build_automation(chain, automation or Automation())
    return dg.Definitions(
        assets=assets,
        asset_checks=build_checks(project, thresholds, key_prefix=key_prefix, pool=pool, drift_bound=drift_bound),
        jobs=[job, build_plan_job(project, thresholds, f"{name}_plan")],
        sensors=[starter for starter in started_by if isinstance(starter, dg.SensorDefinition)],
        schedules=[starter for starter in started_by if isinstance(starter, dg.ScheduleDefinition)],
        resources={LeaseKey(pool, *about): lease_of(*about)},
    )


def _parts(key_prefix: str | Sequence[str]) -> tuple[str, ...]:
    """The parts of a prefix; text is one part, or several with slashes as Dagster shows keys, or none."""
    parts = tuple(key_prefix.split("/") if isinstance(key_prefix, str) and key_prefix else key_prefix)
    for part in parts:
        if not _PART.fullmatch(part):
            raise SettingsError(
                f"key_prefix '{'/'.join(parts)}' has a part '{part}'; parts are letters, digits, '_', '-' and '.'"
            )
    return parts
