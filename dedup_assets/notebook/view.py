"""A store as DataFrames."""

from pathlib import Path

import pandas as pd

from dedup_assets.core.errors import DedupError, StoreError
from dedup_assets.core.lineage.why import Explanation, explain
from dedup_assets.core.membership import among
from dedup_assets.core.storage import schema
from dedup_assets.core.storage.store import Store, default_store

_TABLES = {table.name: table for table in schema.TABLES}


class StoreView:
    """The tables of a store as DataFrames, read anew at every access. Nothing is ever written."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def __repr__(self) -> str:
        return f"StoreView({str(self.folder)!r}: {len(self.images):,} images, {len(self.removals):,} removed)"

    @property
    def folder(self) -> Path:
        """The folder of the store."""
        return self._store.folder

    @property
    def images(self) -> pd.DataFrame:
        """Every file found, readable or not: image_id, status, size_bytes, width, height, file_hash, ..."""
        return self.table("images")

    @property
    def scores(self) -> pd.DataFrame:
        """One row per readable image: image_id, uniqueness (0..1, 0 = duplicate), label, keeper_id, nearest_id, ..."""
        return self.table("scores")

    @property
    def pairs(self) -> pd.DataFrame:
        """The near pairs, each once: image_a, image_b, distance (0..1, 0 = same picture), agreement, ..."""
        return self.table("pairs")

    @property
    def groups(self) -> pd.DataFrame:
        """The images that have a duplicate or near duplicate, group by group, the image that leads it first."""
        scores = self.scores
        groups = scores[scores.groupby("group_id")["image_id"].transform("size") > 1]
        groups = groups.assign(follows=groups["image_id"] != groups["group_id"])
        groups = groups.sort_values(["group_id", "follows", "image_id"], ignore_index=True)
        return groups[["group_id", "image_id", "label", "uniqueness", "keeper_id", "nearest_id"]]

    @property
    def removals(self) -> pd.DataFrame:
        """The removals in force: image_id, keeper_id, reason, distance, decided_by, removed_at, ...

        `table("removals")` has those too that ended.
        """
        ever = self.table("removals")
        in_force = ever["restored_at"].isna() & ever["superseded_at"].isna()
        return ever[in_force & among(ever["image_id"], self.images["image_id"])].reset_index(drop=True)

    @property
    def tags(self) -> pd.DataFrame:
        """The collections: image_id, tag, reason, ..."""
        return self.table("tags")

    @property
    def labels(self) -> pd.DataFrame:
        """The labels that came with the images."""
        return self.table("labels")

    def table(self, name: str) -> pd.DataFrame:
        """A table of the store by its name. Raises DedupError naming the tables there are."""
        if name not in _TABLES:
            raise DedupError(f"a store has no table '{name}'; there are {', '.join(_TABLES)}")
        return self._store.read(_TABLES[name])

    def why(self, image: str) -> Explanation:
        """Why an image (its id, path or URI) is gone or still there; printed, it is sentences.

        Raises DedupError for an image that the store never saw.
        """
        return explain(self._store, image)


def open_store(folder: str | Path | None = None) -> StoreView:
    """The tables of a store; of $DEDUP_STORE, else ./dedup_store, if no folder is given.

    Raises StoreError where there is no store.
    """
    store = Store(folder) if folder is not None else default_store()
    if not store.exists():
        raise StoreError(f"there is no store at '{store.folder}'; run 'dedup-assets run IMAGES', or find_duplicates")
    return StoreView(store)
