"""One dataset to clean: where its images are, where its store is, and how it is to be treated."""

from dataclasses import dataclass, field
from pathlib import Path

from dedup_assets.core.datasets import DatasetRecipe
from dedup_assets.core.embedders import DEFAULT_EMBEDDER
from dedup_assets.core.images import MAX_PIXELS
from dedup_assets.core.keepers import KeeperPolicy
from dedup_assets.core.settings import MAX_PIXELS_SETTING
from dedup_assets.core.store import Store


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

    @property
    def decisions_file(self) -> Path:
        """The reviewed file."""
        return self.decisions or self.store.decisions_file
