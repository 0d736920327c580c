"""What came, went, changed or was renamed in the folder since the last scan."""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from dedup_assets.core.membership import among
from dedup_assets.core.project import Project
from dedup_assets.core.scanning import known_rows
from dedup_assets.core.sources.base import Listing
from dedup_assets.core.storage import schema
from dedup_assets.core.storage.store import Store


@dataclass(frozen=True, slots=True)
class FolderChanges:
    """Images by path, sorted. `renamed`: (old path, new path), of files that are in neither `new` nor `vanished`.

    `unreadable`: those of `new` and `changed` that cannot be used; empty where no file was opened.
    """

    new: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()
    vanished: tuple[str, ...] = ()
    renamed: tuple[tuple[str, str], ...] = ()
    unreadable: tuple[str, ...] = ()

    @property
    def any(self) -> bool:
        """Whether anything differs."""
        return bool(self.new or self.changed or self.vanished or self.renamed)


def since_last_scan(project: Project, reading: Store) -> tuple[FolderChanges, int]:
    """The changes by listing alone, and how many files have to be read. A rename is one file gone and one come.

    Raises NoImagesError when the folder cannot be listed.
    """
    return compared(project.images.listing(), reading.read(schema.IMAGES), project.max_pixels)


def compared(listing: Listing, images: pd.DataFrame, max_pixels: int) -> tuple[FolderChanges, int]:
    """The listing against the rows of the last scan: the changes, and how many files have to be read."""
    images = images.drop_duplicates("image_id")
    rows = known_rows(listing, images, max_pixels)
    stamp = ["size_bytes", "modified_ns", "etag"]
    before = images.set_index("image_id")[stamp]
    there = among(rows["image_id"], before.index)
    old = before.reindex(rows.loc[there, "image_id"])
    same = np.all(rows.loc[there, stamp].fillna("").to_numpy() == old.fillna("").to_numpy(), axis=1)
    changes = FolderChanges(
        new=_sorted(rows.loc[~there, "image_id"]),
        changed=_sorted(rows.loc[there, "image_id"][~same]),
        vanished=_sorted(images.loc[~among(images["image_id"], rows["image_id"]), "image_id"]),
    )
    return changes, int(rows["status"].isna().sum())


def between(before: pd.DataFrame, after: pd.DataFrame) -> FolderChanges:
    """The changes between two states of the images table, by content: a file touched but equal did not change."""
    come = after[~among(after["image_id"], before["image_id"])]
    gone = before[~among(before["image_id"], after["image_id"])]
    renamed = _renames(gone, come)
    both = before[["image_id", "file_hash", "status"]].merge(
        after[["image_id", "file_hash", "status"]], on="image_id", suffixes=("_before", "")
    )
    same = (both["file_hash_before"].fillna("") == both["file_hash"].fillna("")) & (
        both["status_before"] == both["status"]
    )
    changed = both.loc[~same, "image_id"]
    bad = after.loc[(after["status"] != "ok"), "image_id"]
    return FolderChanges(
        new=_sorted(come.loc[~among(come["image_id"], [new for _, new in renamed]), "image_id"]),
        changed=_sorted(changed),
        vanished=_sorted(gone.loc[~among(gone["image_id"], [old for old, _ in renamed]), "image_id"]),
        renamed=renamed,
        unreadable=_sorted(bad[among(bad, come["image_id"]) | among(bad, changed)]),
    )


def _renames(gone: pd.DataFrame, come: pd.DataFrame) -> tuple[tuple[str, str], ...]:
    """Paths that went and came with the same bytes, paired in order of path."""
    pairs: list[tuple[str, str]] = []
    places = {str(hash_): sorted(part) for hash_, part in come.groupby("file_hash")["image_id"]}
    for image_id, file_hash in gone.sort_values("image_id")[["image_id", "file_hash"]].itertuples(index=False):
        if places.get(file_hash):
            pairs.append((image_id, places[file_hash].pop(0)))
    return tuple(pairs)


def _sorted(ids: "pd.Series[str]") -> tuple[str, ...]:
    return tuple(sorted(ids.astype(str)))
