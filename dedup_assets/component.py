"""The plugin's face in a defs.yaml: one component instance for each dataset."""

from pathlib import Path
from typing import Annotated

import dagster as dg
from pydantic import ConfigDict, Field

from dedup_assets.assets import GROUP
from dedup_assets.attributes import bounded, number, said, word
from dedup_assets.build import build_dedup_defs
from dedup_assets.core.datasets import PLACEMENTS, DatasetRecipe
from dedup_assets.core.detection.base import DEFAULT_EMBEDDER
from dedup_assets.core.detection.products import AUTO, DEVICES
from dedup_assets.core.engines.base import ENGINES, LOCAL, RaySettings
from dedup_assets.core.errors import SettingsError
from dedup_assets.core.images import MAX_PIXELS
from dedup_assets.core.scoring.drift import DRIFT_BOUND
from dedup_assets.core.scoring.keepers import KeeperPolicy
from dedup_assets.core.settings import (
    ANNOTATIONS_HELP,
    AUTOMATION_HELP,
    AUTOMATIONS,
    BATCHES,
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

_Count = Annotated[int, Field(ge=1)]


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

    images: Annotated[str, Field(min_length=1), said(IMAGES_HELP)]
    store: Annotated[str | None, said(STORE_HELP)] = None
    key_prefix: Annotated[list[str] | str, said(KEY_PREFIX_HELP)] = Field(default_factory=list)
    duplicate_threshold: Annotated[float, bounded(DUPLICATE_THRESHOLD)] = DUPLICATE_THRESHOLD.default
    near_duplicate_threshold: Annotated[float, bounded(NEAR_DUPLICATE_THRESHOLD)] = NEAR_DUPLICATE_THRESHOLD.default
    embedder: Annotated[str, said(EMBEDDER_HELP)] = DEFAULT_EMBEDDER
    second_stage: Annotated[bool, said(SECOND_STAGE_HELP)] = True
    keeper_order: Annotated[list[str], said(KEEPER_ORDER_HELP)] = Field(default=list(KeeperPolicy().order))
    split_priority: Annotated[list[str], said(SPLIT_PRIORITY_HELP)] = Field(default_factory=list)
    protect: Annotated[list[str], said(PROTECT_HELP)] = Field(default_factory=list)
    reference: Annotated[list[str], said(REFERENCE_HELP)] = Field(default_factory=list)
    input_format: Annotated[str, word(INPUT_FORMAT_HELP, INPUT_FORMATS)] = INPUT_FORMATS[0]
    annotations: Annotated[str | None, said(ANNOTATIONS_HELP)] = None
    labels: Annotated[str, word(LABELS_HELP, LABEL_POLICIES)] = LABEL_POLICIES[0]
    label_overlap: Annotated[float, bounded(LABEL_OVERLAP)] = LABEL_OVERLAP.default
    leakage: Annotated[str, word(LEAKAGE_HELP, LEAKAGE_POLICIES)] = LEAKAGE_POLICIES[0]
    decisions: Annotated[str | None, said(DECISIONS_HELP)] = None
    dataset_name: Annotated[str, said(DATASET_NAME_HELP)] = DatasetRecipe().name
    dataset_description: Annotated[str, said(DATASET_DESCRIPTION_HELP)] = ""
    dataset_target: Annotated[str | None, said(DATASET_TARGET_HELP)] = None
    placement: Annotated[str | None, word(PLACEMENT_HELP, PLACEMENTS)] = None
    max_pixels: Annotated[int, bounded(MAX_PIXELS_SETTING)] = MAX_PIXELS
    workers: Annotated[_Count | None, said(WORKERS_HELP)] = None
    search_device: Annotated[str, word(SEARCH_DEVICE_HELP, DEVICES)] = AUTO
    engine: Annotated[str, word(ENGINE_HELP, ENGINES)] = LOCAL
    ray_address: Annotated[str | None, said(RAY_ADDRESS_HELP)] = None
    ray_cpus: Annotated[float, number(RAY_CPUS_HELP, Annotated[float, Field(gt=0)])] = RaySettings().cpus
    ray_gpus: Annotated[float, number(RAY_GPUS_HELP, Annotated[float, Field(ge=0)])] = RaySettings().gpus
    ray_storage: Annotated[str | None, said(RAY_STORAGE_HELP)] = None
    ray_resource: Annotated[str | None, said(RAY_RESOURCE_HELP)] = None
    automation: Annotated[str, word(AUTOMATION_HELP, AUTOMATIONS)] = NONE
    cron: Annotated[str | None, said(CRON_HELP)] = None
    timezone: Annotated[str | None, said(TIMEZONE_HELP)] = None
    batches: Annotated[str, word(BATCHES_HELP, BATCHES)] = NO_BATCHES
    drift_bound: Annotated[float, bounded(DRIFT_BOUND)] = DRIFT_BOUND.default
    group_name: Annotated[str, said("Asset group shown in the Dagster UI.")] = GROUP
    owners: Annotated[list[str], said("Owners of the assets: e-mail addresses or 'team:NAME'.")] = Field(
        default_factory=list
    )

    def build_defs(self, context: dg.ComponentLoadContext) -> dg.Definitions:
        """The definitions of this instance; relative paths start at the folder of its defs.yaml."""
        if self.store is None and "store" in self.model_fields_set:
            raise SettingsError(
                "store is given but empty; set the environment variable that it names, or leave it out for "
                "$DEDUP_STORE, else ./dedup_store"
            )

        def place(said: str | None) -> str | None:
            return str(context.path / Path(said).expanduser()) if said and not is_uri(said) else said

        return build_dedup_defs(
            images=place(self.images) or self.images,
            store=place(self.store),
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
            annotations=place(self.annotations),
            labels=self.labels,
            label_overlap=self.label_overlap,
            leakage=self.leakage,
            decisions=place(self.decisions),
            dataset_name=self.dataset_name,
            dataset_description=self.dataset_description,
            dataset_target=place(self.dataset_target),
            placement=self.placement,
            max_pixels=self.max_pixels,
            workers=self.workers,
            search_device=self.search_device,
            engine=self.engine,
            ray_address=self.ray_address,
            ray_cpus=self.ray_cpus,
            ray_gpus=self.ray_gpus,
            ray_storage=place(self.ray_storage),
            ray_resource=self.ray_resource,
            automation=self.automation,
            cron=self.cron,
            timezone=self.timezone,
            batches=self.batches,
            drift_bound=self.drift_bound,
            group_name=self.group_name,
            owners=self.owners,
        )
