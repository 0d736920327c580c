"""What the dataset that stands says of an image: a run that was stopped leaves it as it was before the tables."""

from collections.abc import Iterator

import pandas as pd

from dedup_assets.core.errors import DedupError
from dedup_assets.core.lineage.versions import Version, current_version, newest_first
from dedup_assets.core.storage.store import Store


def unlike_the_dataset(store: Store, image_id: str, file_hash: str | None) -> str | None:
    """A sentence where the dataset that stands and the tables differ about an image; None where they say the same.

    `file_hash`: what the image shows if it is kept as the tables say, else None.
    """
    label = current_version(store)
    if label is None:
        return None
    name, _, version = label.partition("/")
    row = _row(Version(name, version, store.datasets / name / version), image_id)
    if row is None:
        return None
    listed = None if row.empty else str(row["file_hash"].iloc[0])
    if listed == file_hash:
        return None
    what = (
        "is without it" if listed is None else "still holds it" if file_hash is None else "holds what it showed before"
    )
    return f"The dataset that stands, {label}, {what}: it was written before, and no run has written one since."


def last_held(store: Store, image_id: str) -> tuple[str, str] | None:
    """NAME/VERSION of the newest version that holds the image, and the file_hash there; None where none does."""
    return next(_held(store, image_id), None)


def _held(store: Store, image_id: str) -> Iterator[tuple[str, str]]:
    for version in newest_first(store):
        row = _row(version, image_id)
        if row is not None and len(row):
            yield version.label, str(row["file_hash"].iloc[0])


def _row(version: Version, image_id: str) -> pd.DataFrame | None:
    """What the manifest says of an image; None where it cannot be read, which doctor tells."""
    try:
        return version.row_of(image_id, left_out=False)
    except DedupError:
        return None
