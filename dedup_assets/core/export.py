"""Tables of a store as files: CSV, Parquet, JSON, or a plain list of images."""

import errno
import os
from pathlib import Path

import pandas as pd

from dedup_assets.core.errors import DedupError
from dedup_assets.core.lineage.run_links import ROLLBACK
from dedup_assets.core.lineage.versions import CURRENT, current_version, version_called
from dedup_assets.core.project import remembered
from dedup_assets.core.steps.deduplicated_dataset import dataset_rows
from dedup_assets.core.steps.record import DUPLICATES, dataset_is_behind
from dedup_assets.core.storage import schema
from dedup_assets.core.storage.store import Store

TABLES = {"images": schema.IMAGES, "scores": schema.SCORES, "pairs": schema.PAIRS, "tags": schema.TAGS}
TABLES |= {"labels": schema.LABELS, "label_conflicts": schema.LABEL_CONFLICTS}
SUFFIXES = (".csv", ".parquet", ".json", ".txt")


def export_frame(store: Store, what: str) -> pd.DataFrame:
    """`kept` or `removed` images of the dataset that stands, or one of TABLES; where no run has written a dataset yet,
    what the tables say that one would hold."""
    if what in TABLES:
        return store.read(TABLES[what])
    if _other_than_dataset(store):
        version = version_called(store, CURRENT)
        return version.manifest if what == "kept" else version.removed
    rows = dataset_rows(remembered(store))
    return rows.kept if what == "kept" else rows.removed


def which_dataset(store: Store) -> str | None:
    """A sentence where the dataset that stands is not what the tables say; None where they are of one run."""
    standing = current_version(store)
    if standing is None:
        return "no run has written a dataset yet; this is what the tables say that one would hold"
    return (said := _other_than_dataset(store)) and f"this is {standing}, the dataset that stands; {said}"


def _other_than_dataset(store: Store) -> str | None:
    """In what the tables are other than the dataset that stands, if they are."""
    records = store.steps()
    if dataset_is_behind(records):
        return "the tables are of a later run that stopped before it"
    if DUPLICATES in records and records[DUPLICATES].input_version == ROLLBACK:
        return "it was gone back to, and images that came since are not in it"
    return None


def write_export(frame: pd.DataFrame, path: Path) -> None:
    """Write the rows in the format that the suffix names; .txt holds the image ids alone, one a line.

    Raises DedupError for another suffix, and where the place cannot be written.
    """
    try:
        _write(frame, path)
    except OSError as error:
        raise DedupError(_why_not(path, error)) from error


def _write(frame: pd.DataFrame, path: Path) -> None:
    suffix = path.suffix.lower()
    if suffix == ".txt" and "image_id" in frame:
        path.write_text("".join(f"{image_id}\n" for image_id in frame["image_id"]), encoding="utf-8")
    elif suffix == ".csv":
        frame.to_csv(path, index=False)
    elif suffix == ".parquet":
        frame.to_parquet(path, index=False)
    elif suffix == ".json":
        frame.to_json(path, orient="records", indent=1, date_format="iso")
    else:
        raise DedupError(f"cannot write '{path.name}'; the name must end in {', '.join(SUFFIXES)}")


def _why_not(path: Path, error: OSError) -> str:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return f"the disk of '{path}' is full, and the file is not whole; free some space, then export again"
    if error.errno in (None, errno.ENOENT, errno.ENOTDIR) and not path.parent.is_dir():
        return f"cannot write '{path}': there is no folder '{path.parent}'; make it, or name another file with --output"
    what = os.strerror(error.errno) if error.errno else str(error).splitlines()[0]
    return f"cannot write '{path}' ({what}); make it writable, or name another file with --output"
