"""Hugging Face's `imagefolder`: images in folders named after splits, each with a metadata file beside them."""

import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from dedup_assets.core.errors import LabelError
from dedup_assets.core.labels.files import ImageIndex, LabelFile, missing_images, split_named
from dedup_assets.core.labels.layout import Placed
from dedup_assets.core.labels.model import Annotation, Box, Label, LabelSet

FORMAT = "huggingface"
NAMES = ("metadata.jsonl", "metadata.csv", "metadata.parquet")
_SNIFFED_BYTES = 4096
_TEXTS = pa.list_(pa.string())
_TYPES = {
    **{"file_name": pa.string(), "width": pa.int64(), "height": pa.int64(), "label": pa.string(), "labels": _TEXTS},
    "objects": pa.struct([("bbox", pa.list_(pa.list_(pa.float64()))), ("categories", _TEXTS), ("payloads", _TEXTS)]),
}
_OURS = ("file_name", "width", "height", "label", "labels", "objects")


def is_metadata(file: LabelFile) -> bool:
    """Whether a file is such metadata, by its name and what it names first."""
    if file.file_name not in NAMES:
        return False
    return file.suffix == ".parquet" or b"file_name" in file.head(_SNIFFED_BYTES).partition(b"\n")[0]


def read(files: Sequence[LabelFile], index: ImageIndex) -> LabelSet:
    """The labels in metadata files: `label` (or `labels`), and `objects` with `bbox` [x, y, width, height]."""
    annotations: dict[str, Annotation] = {}
    notices: tuple[str, ...] = ()
    for file in files:
        source, folder = file.name, file.folder
        lost = []
        for line, row in enumerate(_load(file), 1):
            place = f"{source} line {line}"
            written = str(row.get("file_name") or "")
            if not written:
                raise LabelError(f"{place} has no file_name")
            image_id = index.find(f"{folder}/{written}".lstrip("/"), place)
            if image_id is None:
                lost.append(written)
            else:
                annotations[image_id] = _annotation(image_id, row, source, place)
        notices += missing_images(lost, source)
    return LabelSet(FORMAT, tuple(annotations.values()), notices=notices)


def write(placed: Sequence[Placed], labels: LabelSet, folder: Path) -> None:
    """metadata.parquet in the folder of each split; names are SPLIT/REST, or REST for images without a split.

    Parquet, since `datasets` wants the same types in every split, in one without any box too.
    """
    splits = sorted({image.split or "" for image in placed})
    boxed = any(label.box for image in placed for label in image.annotation.labels)
    classed = max((_classes(image.annotation) for image in placed), key=len, default=[])
    for split in splits:
        inside = [image for image in placed if (image.split or "") == split]
        rows = [_row(image, split, boxed, len(classed)) for image in inside]
        (folder / split).mkdir(exist_ok=True)
        names = list(dict.fromkeys(name for row in rows for name in row))
        types = [(name, _TYPES.get(name) or pa.array([row.get(name) for row in rows]).type) for name in names]
        pq.write_table(pa.Table.from_pylist(rows, pa.schema(types)), folder / split / "metadata.parquet")


def _row(image: Placed, split: str, boxed: bool, classed: int) -> dict[str, Any]:
    """The same columns for every image, as tables want them."""
    annotation = image.annotation
    row: dict[str, Any] = {**annotation.payload.get(FORMAT, {})}
    row["file_name"] = image.name.removeprefix(f"{split}/" if split else "")
    row |= dict(zip(("width", "height"), image.size or (None, None), strict=True))
    classes = _classes(annotation)
    if classed == 1:
        row["label"] = classes[0] if classes else None
    elif classed:
        row["labels"] = classes
    if boxed:
        boxes = [label for label in annotation.labels if label.box]
        row["objects"] = {
            "bbox": [[box.x, box.y, box.width, box.height] for label in boxes if (box := label.box)],
            "categories": [label.category for label in boxes],
            "payloads": [_payload(label) for label in boxes],
        }
    return row


def _payload(label: Label) -> str:
    return json.dumps([label.payload, label.extras], ensure_ascii=False) if label.payload else ""


def _classes(annotation: Annotation) -> list[str]:
    return [label.category for label in annotation.labels if label.box is None]


def _load(file: LabelFile) -> list[dict[str, Any]]:
    try:
        if file.suffix == ".jsonl":
            return [json.loads(line) for line in file.text().splitlines() if line.strip()]
        data = io.BytesIO(file.read())
        if file.suffix == ".parquet":
            return [dict(row) for row in pq.read_table(data).to_pylist()]
        frame = pd.read_csv(data, dtype=str, keep_default_na=False)
        return [{str(key): value for key, value in row.items()} for row in frame.to_dict("records")]
    except (OSError, ValueError) as error:
        if isinstance(error, LabelError):
            raise
        raise LabelError(f"cannot read {file.name} ({str(error).splitlines()[0]}); mend it") from error


def _annotation(image_id: str, row: dict[str, Any], source: str, place: str) -> Annotation:
    labels = [Label(str(name)) for name in (row.get("labels") or [row.get("label")]) if name not in (None, "")]
    objects = row.get("objects") or {}
    boxes, names = list(objects.get("bbox") or ()), list(objects.get("categories") or objects.get("category") or ())
    payloads = list(objects.get("payloads") or [""] * len(boxes))
    if not len(boxes) == len(names) == len(payloads) or any(len(box) != 4 for box in boxes):
        raise LabelError(f"{place}: 'objects' must hold as many categories as boxes [x, y, width, height]")
    for box, name, payload in zip(boxes, names, payloads, strict=True):
        said, extras = json.loads(payload) if payload else ({}, ())
        labels.append(Label(str(name), Box(*map(float, box)), said, tuple(extras)))
    others = {key: value for key, value in row.items() if key not in _OURS and value not in (None, "")}
    annotated = any(key in row for key in ("label", "labels", "objects"))
    split = split_named(source.rpartition("/")[0] + "/")
    payload = {FORMAT: others} if others else {}
    return Annotation(image_id, tuple(labels), source, split, None, payload, annotated)
