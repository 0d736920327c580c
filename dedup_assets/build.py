"""One call from a folder of images to Dagster definitions."""

import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path

import dagster as dg
from typing_extensions import Unpack

from dedup_assets.assets import GROUP, build_assets
from dedup_assets.checks import build_checks
from dedup_assets.core.project import Project, ProjectSettings, project_of
from dedup_assets.core.run import Progress
from dedup_assets.core.settings import DUPLICATE_THRESHOLD, NEAR_DUPLICATE_THRESHOLD, Thresholds
from dedup_assets.core.sources.base import Source
from dedup_assets.lease import lease_of

JOB = "deduplicate"


def build_dedup_defs(
    images: str | Path | Source,
    store: str | Path | None = None,
    *,
    key_prefix: str | Sequence[str] = (),
    duplicate_threshold: float = DUPLICATE_THRESHOLD.default,
    near_duplicate_threshold: float = NEAR_DUPLICATE_THRESHOLD.default,
    group_name: str = GROUP,
    owners: Sequence[str] = (),
    **settings: Unpack[ProjectSettings],
) -> dg.Definitions:
    """The assets, checks and job that deduplicate the images of one folder, or of one bucket behind a URI.

    `store` defaults to $DEDUP_STORE, else ./dedup_store; `decisions` to decisions.csv in it. With a `key_prefix`
    several of these live in one deployment, each with a store of its own. Runs of one store share one Dagster pool.
    `settings` are those of `ProjectSettings`. Raises SettingsError for settings out of range.
    """
    project = project_of(images, store, **settings)
    prefix = (key_prefix,) if isinstance(key_prefix, str) else tuple(key_prefix)
    thresholds = Thresholds(duplicate_threshold, near_duplicate_threshold)
    return defs_of(project, thresholds, key_prefix=prefix, group_name=group_name, owners=owners)


def defs_of(
    project: Project,
    thresholds: Thresholds,
    *,
    key_prefix: Sequence[str] = (),
    group_name: str = GROUP,
    owners: Sequence[str] = (),
    on_progress: Progress | None = None,
    on_notice: Callable[[str], None] | None = None,
) -> dg.Definitions:
    """The assets, checks and job of one project."""
    pool = "dedup_store_" + hashlib.sha256(str(project.store.folder).encode()).hexdigest()[:8]
    assets = build_assets(
        project,
        thresholds,
        key_prefix=key_prefix,
        group_name=group_name,
        owners=owners,
        pool=pool,
        resource_keys=(pool,),
        on_progress=on_progress,
        on_notice=on_notice,
    )
    job = dg.define_asset_job(
        "_".join([*key_prefix, JOB]),
        selection=dg.AssetSelection.assets(*(asset for asset in assets if isinstance(asset, dg.AssetsDefinition))),
        description=f"Find and remove the duplicates of {project.images}",
    )
    return dg.Definitions(
        assets=assets,
        asset_checks=build_checks(project, thresholds, key_prefix=key_prefix, pool=pool),
        jobs=[job],
        resources={pool: lease_of(project.store.folder)},
        executor=dg.in_process_executor,
    )
