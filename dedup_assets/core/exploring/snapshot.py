"""A store as one consistent picture in memory, for looking at it."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from dedup_assets.core.membership import among
from dedup_assets.core.project import Project, remembered
from dedup_assets.core.scoring.uniqueness import DUPLICATE_LABEL, NEAR_DUPLICATE_LABEL
from dedup_assets.core.settings import Thresholds
from dedup_assets.core.steps.record import NEIGHBOURS, RAW_IMAGES, UNIQUENESS_SCORES
from dedup_assets.core.storage import schema
from dedup_assets.core.storage.schema import Table
from dedup_assets.core.storage.store import StepRecord, Store, select, version_of

Rows = NDArray[np.int64]
Mask = NDArray[np.bool_]

_GALLERY_STEPS = (RAW_IMAGES, NEIGHBOURS, UNIQUENESS_SCORES)
_GALLERY_TABLES = (schema.IMAGES, schema.SCORES, schema.PAIRS)
_RECORD_TABLES = (schema.TAGS, schema.REMOVALS, schema.DECISIONS, schema.DATASETS, schema.EVENTS, schema.STEPS)


@dataclass(frozen=True, eq=False)
class Gallery:
    """The images with their scores and near pairs; everything below speaks of them by row number.

    `images`: the columns of images and scores, by image_id. `first`, `second`, `distance`, `agreement`: (p,) the
    stored pairs, nearest first. A row number of -1 stands for none.
    """

    version: str
    images: pd.DataFrame
    first: Rows
    second: Rows
    distance: NDArray[np.float64]
    agreement: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.images)

    @cached_property
    def ids(self) -> NDArray[np.object_]:
        """(n,) image_id."""
        return self.images["image_id"].to_numpy(dtype=object)

    @cached_property
    def row_of(self) -> dict[str, int]:
        """image_id -> row."""
        return {image_id: row for row, image_id in enumerate(self.ids.tolist())}

    @cached_property
    def row_of_hash(self) -> dict[str, int]:
        """file_hash of a readable image -> the first row that shows it."""
        readable = np.flatnonzero(self.readable)[::-1]
        return dict(
            zip(self.images["file_hash"].to_numpy(dtype=object)[readable].tolist(), readable.tolist(), strict=True)
        )

    def hashes_of(self, image_ids: Iterable[str]) -> dict[str, str]:
        """image_id -> file_hash, of those that are readable images here."""
        rows = {image: self.row_of[image] for image in image_ids if image in self.row_of}
        hashes = self.images["file_hash"]
        return {image: str(hashes.iloc[row]) for image, row in rows.items() if self.readable[row]}

    @cached_property
    def readable(self) -> Mask:
        """(n,) whether the file can be used."""
        return np.asarray(self.images["status"] == "ok")

    @cached_property
    def uniqueness(self) -> NDArray[np.float64]:
        """(n,) the score; NaN for a file that cannot be read."""
        return self.images["uniqueness"].to_numpy(np.float64)

    @cached_property
    def duplicate(self) -> Mask:
        """(n,) whether the image carries the label of a duplicate."""
        return np.asarray(self.images["label"] == DUPLICATE_LABEL)

    @cached_property
    def near(self) -> Mask:
        """(n,) whether the image carries the label of a near duplicate."""
        return np.asarray(self.images["label"] == NEAR_DUPLICATE_LABEL)

    @cached_property
    def keeper(self) -> Rows:
        """(n,) the image a duplicate belongs to."""
        return self._rows_of("keeper_id")

    @cached_property
    def nearest(self) -> Rows:
        """(n,) the nearest other image that is not a duplicate."""
        return self._rows_of("nearest_id")

    @cached_property
    def group(self) -> Rows:
        """(n,) the image that leads the group of duplicates and near duplicates."""
        return self._rows_of("group_id")

    @cached_property
    def content(self) -> Rows:
        """(n,) a number for each distinct content; unreadable files share -1."""
        return np.asarray(pd.factorize(self.images["content_id"])[0], np.int64)

    @cached_property
    def lowered(self) -> list[str]:
        """The paths in lower case, for searching."""
        return [image_id.lower() for image_id in self.ids.tolist()]

    @cached_property
    def folder(self) -> NDArray[np.object_]:
        """(n,) the folder of each path, '' at the top."""
        return np.array([image_id.rpartition("/")[0] for image_id in self.ids.tolist()], dtype=object)

    def _rows_of(self, column: str) -> Rows:
        return np.asarray(self.images[column].map(self.row_of).fillna(-1).to_numpy(np.int64))


@dataclass(frozen=True, eq=False)
class Snapshot:
    """The gallery with the records about it. `tags`: rows by collection name. `removals`: the whole audit record."""

    project: Project
    gallery: Gallery
    thresholds: Thresholds
    steps: Mapping[str, StepRecord]
    tags: Mapping[str, Rows]
    removals: pd.DataFrame
    applied: pd.DataFrame
    datasets: pd.DataFrame
    events: pd.DataFrame

    @cached_property
    def version(self) -> str:
        """16 hex digits that change when a run changes what the store holds."""
        return version_of(sorted((name, step.output_version) for name, step in self.steps.items()))

    @cached_property
    def in_force(self) -> pd.DataFrame:
        """The removals in force, of images that are still in the folder."""
        active = self.removals["restored_at"].isna() & self.removals["superseded_at"].isna()
        return self.removals[active & among(self.removals["image_id"], self.gallery.row_of.keys())]

    @cached_property
    def removed(self) -> Mask:
        """(n,) whether the image is removed at present."""
        mask = np.zeros(len(self.gallery), bool)
        mask[[self.gallery.row_of[image_id] for image_id in self.in_force["image_id"]]] = True
        return mask

    @cached_property
    def removed_for(self) -> dict[str, tuple[str | None, float | None]]:
        """image_id of each removed image -> the image it was removed for, and their distance."""
        rows = self.in_force[["image_id", "keeper_id", "distance"]].astype(object)
        rows = rows.where(rows.notna(), None)
        return {image: (keeper, distance) for image, keeper, distance in rows.itertuples(index=False, name=None)}

    @cached_property
    def pair_limit(self) -> float:
        """Pairs up to this distance are listed."""
        step = self.steps.get(NEIGHBOURS)
        return float(json.loads(step.summary)["limit"]) if step else 0.0

    @cached_property
    def tags_of(self) -> dict[int, list[str]]:
        """row -> the collections it is in, by name."""
        found: dict[int, list[str]] = {}
        for tag in sorted(self.tags):
            for row in self.tags[tag].tolist():
                found.setdefault(row, []).append(tag)
        return found


def load_snapshot(store: Store, before: Snapshot | None = None) -> Snapshot:
    """The store in one read; the gallery of `before` is used again where the steps it comes from gave the same."""
    project = remembered(store)
    with store.connect() as db:
        records = {table: select(db, table) for table in _RECORD_TABLES}
        steps = {row[0]: StepRecord(*row) for row in records[schema.STEPS].itertuples(index=False, name=None)}
        version = " ".join(steps[name].output_version for name in _GALLERY_STEPS if name in steps)
        reuse = before is not None and before.gallery.version == version
        frames = {} if reuse else {table: select(db, table) for table in _GALLERY_TABLES}
    gallery = before.gallery if before is not None and reuse else _gallery(version, frames)
    scored = steps.get(UNIQUENESS_SCORES)
    return Snapshot(
        project=project,
        gallery=gallery,
        thresholds=Thresholds(**json.loads(scored.settings)["thresholds"]) if scored else Thresholds(),
        steps=steps,
        tags=_tags(records[schema.TAGS], gallery),
        removals=records[schema.REMOVALS],
        applied=records[schema.DECISIONS],
        datasets=records[schema.DATASETS],
        events=records[schema.EVENTS],
    )


def _gallery(version: str, frames: Mapping[Table, pd.DataFrame]) -> Gallery:
    images = frames[schema.IMAGES].merge(frames[schema.SCORES], on="image_id", how="left")
    images = images.sort_values("image_id", ignore_index=True)
    pairs = frames[schema.PAIRS].sort_values(["distance", "image_a", "image_b"])
    place = pd.Series(np.arange(len(images)), index=images["image_id"])
    known = among(pairs["image_a"], place.index) & among(pairs["image_b"], place.index)
    pairs = pairs[known]
    return Gallery(
        version=version,
        images=images,
        first=pairs["image_a"].map(place).to_numpy(np.int64),
        second=pairs["image_b"].map(place).to_numpy(np.int64),
        distance=pairs["distance"].to_numpy(np.float64),
        agreement=pairs["agreement"].to_numpy(np.float64),
    )


def _tags(tags: pd.DataFrame, gallery: Gallery) -> dict[str, Rows]:
    rows = tags["image_id"].map(gallery.row_of)
    known = rows.notna()
    found = tags[known].assign(row=rows[known].astype(np.int64)).groupby("tag")["row"]
    return {str(tag): np.sort(part.to_numpy(np.int64)) for tag, part in found}
