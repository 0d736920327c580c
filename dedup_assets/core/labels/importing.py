"""The labels of an image folder into the store, read anew only where something changed."""

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pandas as pd

from dedup_assets.core.labels.model import LabelFrames, LabelSet, frames_of, label_set_of
from dedup_assets.core.labels.reading import FOLDER, LabelSource, find_labels, images_named, read_labels
from dedup_assets.core.sources.base import Listing
from dedup_assets.core.storage import schema
from dedup_assets.core.storage.schema import Table
from dedup_assets.core.storage.store import Store, content_version, version_of

if TYPE_CHECKING:
    from dedup_assets.core.project import Project

_FACT = "labels"


@dataclass(frozen=True)
class StoredLabels:
    """Labels as rows, with what the tables cannot hold. `read_from`: changes when they have to be read anew."""

    frames: LabelFrames
    format: str
    header: dict[str, Any]
    notices: tuple[str, ...]
    read_from: str

    @property
    def tables(self) -> dict[Table, pd.DataFrame]:
        """The rows by the table they belong to."""
        frames = self.frames
        return {
            schema.ANNOTATIONS: frames.annotations,
            schema.LABELS: frames.labels,
            schema.CATEGORIES: frames.categories,
        }

    @property
    def version(self) -> str:
        """Changes when a label does."""
        contents = [content_version(table, frame) for table, frame in self.tables.items()]
        return version_of(self.format, self.header, contents)

    @property
    def facts(self) -> dict[str, str]:
        """What the tables cannot hold, as facts about the store."""
        said = {"format": self.format, "header": self.header, "notices": self.notices, "read_from": self.read_from}
        return {_FACT: json.dumps(said, default=str)}


class ImportedLabels:
    """Where the labels of a folder are, which images they leave, and reading them.

    `input_version`: as the function of that name says.
    """

    def __init__(self, project: "Project", listing: Listing) -> None:
        self._store, self._threads = project.store, project.threads
        self.source = _source(project, listing)
        self.input_version = _version_with(listing, self.source)
        self._named = images_named(self.source, [file.image_id for file in listing.files])

    def counted(self, listing: Listing) -> Listing:
        """The listing without images that a manifest leaves out."""
        return listing if self._named is None else listing.only(self._named)

    def read(self, rows: pd.DataFrame, listing_version: str) -> StoredLabels:
        """The labels of the images in `rows`, which have `width` and `height` where they could be read."""
        read_from = version_of(self.source.version, listing_version, rows["status"].tolist())
        before = stored_labels(self._store)
        if before is not None and before.read_from == read_from:
            return before
        width, height = (rows[side].fillna(0).astype(int).tolist() for side in ("width", "height"))
        sizes = dict(zip(rows["image_id"].tolist(), zip(width, height, strict=True), strict=True))
        found = read_labels(self.source, sizes, self._threads)
        notices = (*self.source.notices, *found.notices)
        return StoredLabels(frames_of(found), found.format, dict(found.header), notices, read_from)


def stored_labels(store: Store) -> StoredLabels | None:
    """The labels that the store holds; None before the first scan that looked for any."""
    with store.reading():
        said = store.fact(_FACT)
        if said is None:
            return None
        tables = store.read_together(schema.ANNOTATIONS, schema.LABELS, schema.CATEGORIES)
    facts = json.loads(said)
    return StoredLabels(
        LabelFrames(*tables), facts["format"], facts["header"], tuple(facts["notices"]), facts["read_from"]
    )


def label_set(store: Store) -> LabelSet:
    """The labels that the store holds, as a label set; an empty one where it holds none."""
    return label_set_in(stored_labels(store))


def label_set_in(stored: StoredLabels | None) -> LabelSet:
    """The same of labels that were read."""
    return LabelSet(FOLDER) if stored is None else label_set_of(stored.frames, stored.format, stored.header)


def input_version(project: "Project", listing: Listing) -> str:
    """Changes when an image or an annotation file comes, goes or changes; opens files only to tell the format."""
    return _version_with(listing, _source(project, listing))


def _source(project: "Project", listing: Listing) -> LabelSource:
    image_ids = [file.image_id for file in listing.files]
    return find_labels(project.images, project.input_format, project.annotations, image_ids)


def _version_with(listing: Listing, source: LabelSource) -> str:
    return listing.version if source.format == FOLDER else version_of(listing.version, source.version)
