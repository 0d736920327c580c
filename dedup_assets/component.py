"""The plugin's face in a defs.yaml: one component instance for each dataset."""

import dagster as dg
from pydantic import ConfigDict, Field

from dedup_assets.assets import GROUP
from dedup_assets.build import build_dedup_defs
from dedup_assets.core.datasets import DatasetRecipe
from dedup_assets.core.detection.base import DEFAULT_EMBEDDER
from dedup_assets.core.detection.products import AUTO
from dedup_assets.core.engines.base import LOCAL, RaySettings
from dedup_assets.core.images import MAX_PIXELS
from dedup_assets.core.scoring.drift import DRIFT_BOUND
from dedup_assets.core.scoring.keepers import KeeperPolicy
from dedup_assets.core.settings import (
    ANNOTATIONS_HELP,
    AUTOMATION_HELP,
    BATCHES_HELP,
    CRON_HELP,
    DATASET_DESCRIPTION_HELP,
    DATASET_NAME_HELP,
    DATASET_TARGET_HELP,
    DECISIONS_HELP,
    DUPLICATE_THRESHOLD,
    EMBEDDER_HELP,
    ENGINE_HELP,
    IMAGES_HELP,
    INPUT_FORMAT_HELP,
    INPUT_FORMATS,
    KEEPER_ORDER_HELP,
    KEY_PREFIX_HELP,
    LABEL_OVERLAP,
    LABEL_POLICIES,
    LABELS_HELP,
    LEAKAGE_HELP,
    LEAKAGE_POLICIES,
    MAX_PIXELS_SETTING,
    NEAR_DUPLICATE_THRESHOLD,
    NO_BATCHES,
    NONE,
    PLACEMENT_HELP,
    PROTECT_HELP,
    RAY_ADDRESS_HELP,
    RAY_CPUS_HELP,
    RAY_GPUS_HELP,
    RAY_RESOURCE_HELP,
    RAY_STORAGE_HELP,
    REFERENCE_HELP,
    SEARCH_DEVICE_HELP,
    SECOND_STAGE_HELP,
    SPLIT_PRIORITY_HELP,
    STORE_HELP,
    TIMEZONE_HELP,
    WORKERS_HELP,
)
from dedup_assets.core.sources import is_uri


class DedupScaffolder(dg.Scaffolder):
    """Writes a defs.yaml with the attributes most people set."""

    def scaffold(self, request: "dg.ScaffoldRequest[dg.Model]") -> None:  # type: ignore[override]
        """Write defs.yaml into the folder asked for."""
        name = request.target_path.name
        attributes = {
            "images": "/path/to/your/images",
            "store": f"/path/to/stores/{name}",
            "key_prefix": [name],
            "owners": ["team:data"],
            "duplicate_threshold": DUPLICATE_THRESHOLD.default,
            "near_duplicate_threshold": NEAR_DUPLICATE_THRESHOLD.default,
            "automation": NONE,
        }
        dg.scaffold_component(request, attributes)


@dg.scaffold_with(DedupScaffolder)
class DedupComponent(dg.Component, dg.Model, dg.Resolvable):
    """Finds and removes the duplicate and near-duplicate images of one folder.

    Eight assets from the folder to the cleaned dataset, with their checks and a job. Give every instance a store and a
    key_prefix of its own.
    """

    model_config = ConfigDict(extra="forbid")

    images: str = Field(description=IMAGES_HELP)
    store: str | None = Field(default=None, description=STORE_HELP)
    key_prefix: list[str] = Field(default_factory=list, description=KEY_PREFIX_HELP)
    duplicate_threshold: float = Field(
        default=DUPLICATE_THRESHOLD.default,
        ge=DUPLICATE_THRESHOLD.minimum,
        le=DUPLICATE_THRESHOLD.maximum,
        description=DUPLICATE_THRESHOLD.help,
    )
    near_duplicate_threshold: float = Field(
        default=NEAR_DUPLICATE_THRESHOLD.default,
        ge=NEAR_DUPLICATE_THRESHOLD.minimum,
        le=NEAR_DUPLICATE_THRESHOLD.maximum,
        description=NEAR_DUPLICATE_THRESHOLD.help,
    )
    embedder: str = Field(default=DEFAULT_EMBEDDER, description=EMBEDDER_HELP)
    second_stage: bool = Field(default=True, description=SECOND_STAGE_HELP)
    keeper_order: list[str] = Field(default_factory=lambda: list(KeeperPolicy().order), description=KEEPER_ORDER_HELP)
    split_priority: list[str] = Field(default_factory=list, description=SPLIT_PRIORITY_HELP)
    protect: list[str] = Field(default_factory=list, description=PROTECT_HELP)
    reference: list[str] = Field(default_factory=list, description=REFERENCE_HELP)
    input_format: str = Field(default=INPUT_FORMATS[0], description=INPUT_FORMAT_HELP)
    annotations: str | None = Field(default=None, description=ANNOTATIONS_HELP)
    labels: str = Field(default=LABEL_POLICIES[0], description=LABELS_HELP)
    label_overlap: float = Field(
        default=LABEL_OVERLAP.default,
        ge=LABEL_OVERLAP.minimum,
        le=LABEL_OVERLAP.maximum,
        description=LABEL_OVERLAP.help,
    )
    leakage: str = Field(default=LEAKAGE_POLICIES[0], description=LEAKAGE_HELP)
    decisions: str | None = Field(default=None, description=DECISIONS_HELP)
    dataset_name: str = Field(default=DatasetRecipe().name, description=DATASET_NAME_HELP)
    dataset_description: str = Field(default="", description=DATASET_DESCRIPTION_HELP)
    dataset_target: str | None = Field(default=None, description=DATASET_TARGET_HELP)
    placement: str | None = Field(default=None, description=PLACEMENT_HELP)
    max_pixels: int = Field(default=MAX_PIXELS, ge=1, description=MAX_PIXELS_SETTING.help)
    workers: int | None = Field(default=None, ge=1, description=WORKERS_HELP)
    search_device: str = Field(default=AUTO, description=SEARCH_DEVICE_HELP)
    engine: str = Field(default=LOCAL, description=ENGINE_HELP)
    ray_address: str | None = Field(default=None, description=RAY_ADDRESS_HELP)
    ray_cpus: float = Field(default=RaySettings().cpus, gt=0, description=RAY_CPUS_HELP)
    ray_gpus: float = Field(default=RaySettings().gpus, ge=0, description=RAY_GPUS_HELP)
    ray_storage: str | None = Field(default=None, description=RAY_STORAGE_HELP)
    ray_resource: str | None = Field(default=None, description=RAY_RESOURCE_HELP)
    automation: str = Field(default=NONE, description=AUTOMATION_HELP)
    cron: str | None = Field(default=None, description=CRON_HELP)
    timezone: str | None = Field(default=None, description=TIMEZONE_HELP)
    batches: str = Field(default=NO_BATCHES, description=BATCHES_HELP)
    drift_bound: float = Field(
        default=DRIFT_BOUND.default, ge=DRIFT_BOUND.minimum, le=DRIFT_BOUND.maximum, description=DRIFT_BOUND.help
    )
    group_name: str = Field(default=GROUP, description="Asset group shown in the Dagster UI.")
    owners: list[str] = Field(
        default_factory=list, description="Owners of the assets: e-mail addresses or 'team:NAME'."
    )

    def build_defs(self, context: dg.ComponentLoadContext) -> dg.Definitions:
        """The definitions of this instance; relative paths start at the folder of its defs.yaml."""
        here, target, storage = context.path, self.dataset_target, self.ray_storage
        if target is not None and not is_uri(target):
            target = str(here / target)
        if storage is not None and not is_uri(storage):
            storage = str(here / storage)
        return build_dedup_defs(
            images=self.images if is_uri(self.images) else here / self.images,
            store=here / self.store if self.store else None,
            key_prefix=self.key_prefix,
            duplicate_threshold=self.duplicate_threshold,
            near_duplicate_threshold=self.near_duplicate_threshold,
            embedder=self.embedder,
            second_stage=self.second_stage,
            keeper_order=self.keeper_order,
            split_priority=self.split_priority,
            protect=self.protect,
            reference=self.reference,
            input_format=self.input_format,
            annotations=here / self.annotations if self.annotations else None,
            labels=self.labels,
            label_overlap=self.label_overlap,
            leakage=self.leakage,
            decisions=here / self.decisions if self.decisions else None,
            dataset_name=self.dataset_name,
            dataset_description=self.dataset_description,
            dataset_target=target,
            placement=self.placement,
            max_pixels=self.max_pixels,
            workers=self.workers,
            search_device=self.search_device,
            engine=self.engine,
            ray_address=self.ray_address,
            ray_cpus=self.ray_cpus,
            ray_gpus=self.ray_gpus,
            ray_storage=storage,
            ray_resource=self.ray_resource,
            automation=self.automation,
            cron=self.cron,
            timezone=self.timezone,
            batches=self.batches,
            drift_bound=self.drift_bound,
            group_name=self.group_name,
            owners=self.owners,
        )
