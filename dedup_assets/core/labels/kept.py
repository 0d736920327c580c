"""The labels that go with a dataset: those of the images that stay, and what the policy adds to them."""

import hashlib
import json
from collections.abc import Collection
from dataclasses import replace
from pathlib import Path

import pandas as pd

from dedup_assets.core.labels.conflicts import with_added
from dedup_assets.core.labels.importing import label_set_in, stored_labels
from dedup_assets.core.labels.model import Annotation, LabelFrames, LabelSet, frames_of, label_set_of
from dedup_assets.core.storage import schema
from dedup_assets.core.storage.store import Store

FOLDER = "labels"
_TABLES = ("annotations", "labels", "categories")


def kept_labels(store: Store, image_ids: Collection[str]) -> LabelSet:
    """The labels of these images, with those of removed copies that the last run added to them."""
    with store.reading():
        stored, conflicts = stored_labels(store), store.read(schema.LABEL_CONFLICTS)
    found = label_set_in(stored)
    if not found.annotations:
        return found
    every = with_added(found.by_image, conflicts)
    return replace(found, annotations=tuple(every[image_id] for image_id in sorted(every.keys() & set(image_ids))))


def label_columns(image_ids: pd.Series, labels: LabelSet) -> pd.DataFrame:
    """(n, 2) for a manifest: how many labels each image has (empty: not annotated), and a hash of them."""
    annotations = labels.by_image
    found = [annotations.get(image_id) for image_id in image_ids]
    annotated = [one if one is not None and one.annotated else None for one in found]
    counts = pd.array([None if one is None else len(one.labels) for one in annotated], dtype="Int32")
    hashes = [None if one is None else _hash(one) for one in annotated]
    return pd.DataFrame({"label_count": counts, "label_hash": hashes}, index=image_ids.index)


def write_labels(labels: LabelSet, folder: Path) -> None:
    """Keep the labels in a folder of a dataset version; nothing is written where there are none."""
    if not labels.annotations:
        return
    frames, target = frames_of(labels), folder / FOLDER
    target.mkdir()
    for name in _TABLES:
        getattr(frames, name).to_parquet(target / f"{name}.parquet", index=False)
    said = {"format": labels.format, "header": labels.header}
    (target / "source.json").write_text(json.dumps(said, indent=1, default=str) + "\n", encoding="utf-8")


def read_written(folder: Path) -> LabelSet:
    """The labels kept in the folder of a dataset version."""
    source = folder / FOLDER / "source.json"
    if not source.is_file():
        return LabelSet()
    said = json.loads(source.read_text(encoding="utf-8"))
    frames = LabelFrames(*(pd.read_parquet(folder / FOLDER / f"{name}.parquet") for name in _TABLES))
    return label_set_of(frames, said["format"], said["header"])


def _hash(annotation: Annotation) -> str:
    boxes = [label.box for label in annotation.labels]
    said = [
        [label.category, [box.x, box.y, box.width, box.height] if box else None, label.payload]
        for label, box in zip(annotation.labels, boxes, strict=True)
    ]
    return hashlib.sha256(json.dumps(said, sort_keys=True, default=str).encode()).hexdigest()[:16]
