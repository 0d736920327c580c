"""One dataset to clean: where its images are, where its store is, and how it is to be treated."""

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path

from dedup_assets.core.datasets import DatasetRecipe
from dedup_assets.core.embedders import DEFAULT_EMBEDDER
from dedup_assets.core.images import MAX_PIXELS
from dedup_assets.core.keepers import KeeperPolicy
from dedup_assets.core.errors import StoreError
from dedup_assets.core.settings import MAX_PIXELS_SETTING
from dedup_assets.core.store import Store

_FACT = "project"


@dataclass(frozen=True, slots=True)
class Project:
    """`decisions`: the reviewed file, `decisions.csv` in the store if not given. `workers`: threads that decode."""

    images: Path
    store: Store
    embedder: str = DEFAULT_EMBEDDER
    second_stage: bool = True
    keepers: KeeperPolicy = field(default_factory=KeeperPolicy)
    recipe: DatasetRecipe = field(default_factory=DatasetRecipe)
    decisions: Path | None = None
    max_pixels: int = MAX_PIXELS
    workers: int | None = None

    def __post_init__(self) -> None:
        MAX_PIXELS_SETTING.check(self.max_pixels)

    def remember(self) -> None:
        """Note the settings in the store, so that `remembered` finds them."""
        said = asdict(self) | {"images": str(self.images), "decisions": str(self.decisions) if self.decisions else None}
        del said["store"]
        self.store.set_fact(_FACT, json.dumps(said))

    @property
    def decisions_file(self) -> Path:
        """The reviewed file."""
        return self.decisions or self.store.decisions_file


def remembered(store: Store) -> Project:
    """The project that last wrote to the store. Raises StoreError when none has."""
    said = store.fact(_FACT)
    if said is None:
        raise StoreError(f"there is no store at '{store.folder}'; run 'dedup-assets run IMAGES' first")
    values = json.loads(said)
    keepers, recipe = values.pop("keepers"), values.pop("recipe")
    images, decisions = Path(values.pop("images")), values.pop("decisions")
    return Project(
        images=images,
        store=store,
        keepers=KeeperPolicy(tuple(keepers["order"]), tuple(keepers["split_priority"])),
        recipe=DatasetRecipe(**recipe),
        decisions=Path(decisions) if decisions else None,
        **values,
    )
