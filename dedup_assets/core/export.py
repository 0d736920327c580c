"""Tables of a store as files: CSV, Parquet, JSON, or a plain list of images."""

import errno
import os
from pathlib import Path

import pandas as pd

from dedup_assets.core.errors import DedupError
from dedup_assets.core.project import remembered
from dedup_assets.core.steps.deduplicated_dataset import dataset_rows
from dedup_assets.core.storage import schema
from dedup_assets.core.storage.store import Store

TABLES = {"images": schema.IMAGES, "scores": schema.SCORES, "pairs": schema.PAIRS, "tags": schema.TAGS}
TABLES |= {"labels": schema.LABELS, "label_conflicts": schema.LABEL_CONFLICTS}
SUFFIXES = (".csv", ".parquet", ".json", ".txt")


def export_frame(store: Store, what: str) -> pd.DataFrame:
    """`kept` or `removed` images as the dataset lists them, or one of TABLES."""
    if what in TABLES:
        return store.read(TABLES[what])
    rows = dataset_rows(remembered(store))
    return rows.kept if what == "kept" else rows.removed


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
