"""Tables of a store as files: CSV, Parquet, JSON, or a plain list of images."""

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
    """Write the rows in the format that the suffix names; .txt holds the image ids alone, one a line."""
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
