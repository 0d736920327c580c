"""One dataset to clean: where its images are, where its store is, and how it is to be treated."""

import json
import math
import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TypedDict

from typing_extensions import Unpack

from dedup_assets.core.datasets import LINKS, DatasetRecipe
from dedup_assets.core.delivery import check_target
from dedup_assets.core.detection.base import DEFAULT_EMBEDDER
from dedup_assets.core.detection.embedders import check_name
from dedup_assets.core.detection.products import AUTO, DEVICES
from dedup_assets.core.engines.base import LOCAL, RAY, RaySettings, check_engine
from dedup_assets.core.errors import SettingsError, StoreError
from dedup_assets.core.images import MAX_PIXELS
from dedup_assets.core.paths import plain_path
from dedup_assets.core.scoring.keepers import KeeperPolicy
from dedup_assets.core.settings import (
    INPUT_FORMATS,
    LABEL_OVERLAP,
    LABEL_POLICIES,
    LEAKAGE_POLICIES,
    MAX_PIXELS_SETTING,
    one_of,
)
from dedup_assets.core.sources import source_of
from dedup_assets.core.sources.base import Source
from dedup_assets.core.sources.folder import Folder
from dedup_assets.core.storage.store import Store, default_store, version_of

_FACT = "project"
_URI_AS_PATH = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+:/")


class ProjectSettings(TypedDict, total=False):
    """What a user may set beside the two folders; `settings.py` holds the words for each."""

    embedder: str
    second_stage: bool
    keeper_order: Sequence[str]
    split_priority: Sequence[str]
    protect: Sequence[str]
    reference: Sequence[str]
    input_format: str
    annotations: str | Path | None
    labels: str
    label_overlap: float
    leakage: str
    decisions: str | Path | None
    dataset_name: str
    dataset_description: str
    dataset_target: str | Path | None
    placement: str | None
    max_pixels: int
    workers: int | None
    search_device: str
    engine: str
    ray_address: str | None
    ray_cpus: float
    ray_gpus: float
    ray_storage: str | None


@dataclass(frozen=True, slots=True)
class Project:
    """`decisions`: the reviewed file, `decisions.csv` in the store if not given. `workers`: threads that decode.

    `dataset_target`: where the cleaned dataset goes, an absolute path or a URI; the store if not given.
    `input_format`, `annotations`: what the labels are in. `labels`, `label_overlap`: what becomes of those of removed
    copies. `leakage`: whether pictures in two splits warn or block.
    """

    images: Source
    store: Store
    embedder: str = DEFAULT_EMBEDDER
    second_stage: bool = True
    keepers: KeeperPolicy = field(default_factory=KeeperPolicy)
    recipe: DatasetRecipe = field(default_factory=DatasetRecipe)
    decisions: Path | None = None
    input_format: str = INPUT_FORMATS[0]
    annotations: Path | None = None
    labels: str = LABEL_POLICIES[0]
    label_overlap: float = LABEL_OVERLAP.default
    leakage: str = LEAKAGE_POLICIES[0]
    max_pixels: int = MAX_PIXELS
    workers: int | None = None
    dataset_target: str | None = None
    search_device: str = AUTO
    engine: str = LOCAL
    ray: RaySettings = field(default_factory=RaySettings)

    def __post_init__(self) -> None:
        MAX_PIXELS_SETTING.check(self.max_pixels)
        check_name(self.embedder)
        check_engine(self.engine)
        one_of("search_device", self.search_device, DEVICES)
        one_of("input_format", self.input_format, INPUT_FORMATS)
        LABEL_OVERLAP.check(self.label_overlap)
        one_of("labels", self.labels, LABEL_POLICIES)
        one_of("leakage", self.leakage, LEAKAGE_POLICIES)
        if self.recipe.placement in LINKS and not isinstance(self.images, Folder):
            raise SettingsError(
                f"placement is '{self.recipe.placement}', but an image of '{self.images}' cannot be linked to; "
                "use copy or none"
            )
        if self.dataset_target is not None:
            check_target(self.dataset_target, self.images, self.recipe.placement)

    def remember(self) -> None:
        """Note the settings in the store, so that `remembered` finds them."""
        said = asdict(self) | {"images": str(self.images)}
        for name, path in (("decisions", self.decisions), ("annotations", self.annotations)):
            said[name] = str(path) if path else None
        del said["store"]
        self.store.set_fact(_FACT, json.dumps(said))

    @property
    def threads(self) -> int | None:
        """Threads of one process that reads and decodes: as asked, else as many as suit the place of the images.

        On Ray there are many processes; each takes what its CPUs allow.
        """
        if self.engine == RAY:
            return self.images.threads or math.ceil(self.ray.cpus)
        return self.workers or self.images.threads

    @property
    def exchange(self) -> str:
        """Where engines of many processes leave results on their way: a folder or URI for this store alone."""
        if self.ray.storage is None or self.engine != RAY:
            return str(self.store.folder / "exchange")
        return f"{self.ray.storage.rstrip('/')}/{version_of(str(self.store.folder))}"

    @property
    def decisions_file(self) -> Path:
        """The reviewed file."""
        return self.decisions or self.store.decisions_file


def project_of(
    images: str | Path | Source, store: str | Path | None = None, **settings: Unpack[ProjectSettings]
) -> Project:
    """The project that a user's plain settings describe; paths may be relative or start with ~.

    `images` is a folder, or the URI of a bucket: s3://bucket/photos.
    """
    unknown = set(settings) - set(ProjectSettings.__annotations__)
    if unknown:
        raise TypeError(f"there are no settings {sorted(unknown)}; there are {sorted(ProjectSettings.__annotations__)}")
    if store is not None and _URI_AS_PATH.match(str(store)):
        raise SettingsError(f"the store is '{store}', but has to be a folder on this machine; name one with --store")
    source, target = source_of(images), settings.get("dataset_target")
    place = source_of(target) if target else None
    links = isinstance(source, Folder) and (place is None or isinstance(place, Folder))
    policy, recipe, decisions = KeeperPolicy(), DatasetRecipe(), settings.get("decisions")
    annotations = settings.get("annotations")
    return Project(
        images=source,
        store=Store(store) if store else default_store(),
        embedder=settings.get("embedder", DEFAULT_EMBEDDER),
        second_stage=settings.get("second_stage", True),
        keepers=KeeperPolicy(
            tuple(settings.get("keeper_order", policy.order)),
            tuple(settings.get("split_priority", ())),
            tuple(settings.get("protect", ())),
            tuple(settings.get("reference", ())),
        ),
        recipe=DatasetRecipe(
            settings.get("dataset_name", recipe.name),
            settings.get("dataset_description", recipe.description),
            settings.get("placement") or ("symlink" if links else "none"),
        ),
        decisions=plain_path(decisions) if decisions else None,
        input_format=settings.get("input_format", INPUT_FORMATS[0]),
        annotations=plain_path(annotations) if annotations else None,
        labels=settings.get("labels", LABEL_POLICIES[0]),
        label_overlap=settings.get("label_overlap", LABEL_OVERLAP.default),
        leakage=settings.get("leakage", LEAKAGE_POLICIES[0]),
        max_pixels=settings.get("max_pixels", MAX_PIXELS),
        workers=settings.get("workers"),
        dataset_target=str(place) if place else None,
        search_device=settings.get("search_device", AUTO),
        engine=settings.get("engine", LOCAL),
        ray=RaySettings(
            settings.get("ray_address"),
            settings.get("ray_cpus", RaySettings().cpus),
            settings.get("ray_gpus", RaySettings().gpus),
            _place(settings.get("ray_storage")),
        ),
    )


def _place(said: str | None) -> str | None:
    return str(source_of(said)) if said else None


def remembered(store: Store) -> Project:
    """The project that last wrote to the store. Raises StoreError when none has."""
    said = store.fact(_FACT)
    if said is None:
        raise StoreError(store.absence)
    values = json.loads(said)
    keepers, recipe, ray = values.pop("keepers"), values.pop("recipe"), values.pop("ray", {})
    images, decisions, annotations = (values.pop(name, None) for name in ("images", "decisions", "annotations"))
    return Project(
        images=source_of(images),
        store=store,
        keepers=KeeperPolicy(**{name: tuple(said) for name, said in keepers.items()}),
        recipe=DatasetRecipe(**recipe),
        decisions=Path(decisions) if decisions else None,
        annotations=Path(annotations) if annotations else None,
        ray=RaySettings(**ray),
        **values,
    )
