"""One dataset to clean: where its images are, where its store is, and how it is to be treated."""

import json
import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TypedDict

from typing_extensions import Unpack

from dedup_assets.core.datasets import LINKS, DatasetRecipe
from dedup_assets.core.delivery import check_target
from dedup_assets.core.detection.embedders import DEFAULT_EMBEDDER, check_name
from dedup_assets.core.engines.base import LOCAL, check_engine
from dedup_assets.core.errors import SettingsError, StoreError
from dedup_assets.core.images import MAX_PIXELS
from dedup_assets.core.keepers import KeeperPolicy
from dedup_assets.core.settings import MAX_PIXELS_SETTING
from dedup_assets.core.sources import source_of
from dedup_assets.core.sources.base import Source
from dedup_assets.core.sources.folder import Folder
from dedup_assets.core.store import Store, default_store

_FACT = "project"
_URI_AS_PATH = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+:/")


class ProjectSettings(TypedDict, total=False):
    """What a user may set beside the two folders; `settings.py` holds the words for each."""

    embedder: str
    second_stage: bool
    keeper_order: Sequence[str]
    split_priority: Sequence[str]
    decisions: str | Path | None
    dataset_name: str
    dataset_description: str
    dataset_target: str | Path | None
    placement: str | None
    max_pixels: int
    workers: int | None
    engine: str


@dataclass(frozen=True, slots=True)
class Project:
    """`decisions`: the reviewed file, `decisions.csv` in the store if not given. `workers`: threads that decode.

    `dataset_target`: where the cleaned dataset goes, an absolute path or a URI; the store if not given.
    """

    images: Source
    store: Store
    embedder: str = DEFAULT_EMBEDDER
    second_stage: bool = True
    keepers: KeeperPolicy = field(default_factory=KeeperPolicy)
    recipe: DatasetRecipe = field(default_factory=DatasetRecipe)
    decisions: Path | None = None
    max_pixels: int = MAX_PIXELS
    workers: int | None = None
    dataset_target: str | None = None
    engine: str = LOCAL

    def __post_init__(self) -> None:
        MAX_PIXELS_SETTING.check(self.max_pixels)
        check_name(self.embedder)
        check_engine(self.engine)
        if self.recipe.placement in LINKS and not isinstance(self.images, Folder):
            raise SettingsError(
                f"placement is '{self.recipe.placement}', but an image of '{self.images}' cannot be linked to; "
                "use copy or none"
            )
        if self.dataset_target is not None:
            check_target(self.dataset_target, self.images, self.recipe.placement)

    def remember(self) -> None:
        """Note the settings in the store, so that `remembered` finds them."""
        said = asdict(self) | {"images": str(self.images), "decisions": str(self.decisions) if self.decisions else None}
        del said["store"]
        self.store.set_fact(_FACT, json.dumps(said))

    @property
    def threads(self) -> int | None:
        """Threads that read and decode: as asked, else as many as suit the place of the images."""
        return self.workers or self.images.threads

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
    return Project(
        images=source,
        store=Store(store) if store else default_store(),
        embedder=settings.get("embedder", DEFAULT_EMBEDDER),
        second_stage=settings.get("second_stage", True),
        keepers=KeeperPolicy(
            tuple(settings.get("keeper_order", policy.order)), tuple(settings.get("split_priority", ()))
        ),
        recipe=DatasetRecipe(
            settings.get("dataset_name", recipe.name),
            settings.get("dataset_description", recipe.description),
            settings.get("placement") or ("symlink" if links else "none"),
        ),
        decisions=Path(decisions).expanduser().absolute() if decisions else None,
        max_pixels=settings.get("max_pixels", MAX_PIXELS),
        workers=settings.get("workers"),
        dataset_target=str(place) if place else None,
        engine=settings.get("engine", LOCAL),
    )


def remembered(store: Store) -> Project:
    """The project that last wrote to the store. Raises StoreError when none has."""
    said = store.fact(_FACT)
    if said is None:
        raise StoreError(f"there is no store at '{store.folder}'; run 'dedup-assets run IMAGES' first")
    values = json.loads(said)
    keepers, recipe = values.pop("keepers"), values.pop("recipe")
    images, decisions = source_of(values.pop("images")), values.pop("decisions")
    return Project(
        images=images,
        store=store,
        keepers=KeeperPolicy(tuple(keepers["order"]), tuple(keepers["split_priority"])),
        recipe=DatasetRecipe(**recipe),
        decisions=Path(decisions) if decisions else None,
        **values,
    )
