"""Labels as this project holds them, whatever format they came in: images, their labels, the categories."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pandas as pd

from dedup_assets.core.storage import schema

Payload = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Box:
    """Pixels of the image as displayed: the upper left corner and the extent."""

    x: float
    y: float
    width: float
    height: float

    def overlap(self, other: "Box") -> float:
        """Intersection over union, 0..1; 1 only for the very same box."""
        if self == other:
            return 1.0
        across = min(self.x + self.width, other.x + other.width) - max(self.x, other.x)
        down = min(self.y + self.height, other.y + other.height) - max(self.y, other.y)
        shared = max(across, 0.0) * max(down, 0.0)
        both = self.width * self.height + other.width * other.height - shared
        return min(shared / both, 1.0) if both > 0 else 0.0


@dataclass(frozen=True, slots=True)
class Label:
    """One thing that somebody says of an image: its class, or a box around something of that class.

    `payload`: by format, all that the source says about it, written back untouched in that format. `extras`: the names
    of what is in there beyond class and box, which another format cannot hold.
    """

    category: str
    box: Box | None = None
    payload: Payload = field(default_factory=dict)
    extras: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Annotation:
    """What is said of one image. No labels: there is nothing in it, unless it is not `annotated` at all.

    `source`: the file that says so. `size`: (width, height) in pixels where the source states them.
    """

    image_id: str
    labels: tuple[Label, ...] = ()
    source: str = ""
    split: str | None = None
    size: tuple[int, int] | None = None
    payload: Payload = field(default_factory=dict)
    annotated: bool = True


@dataclass(frozen=True, slots=True)
class Category:
    """One class. Names need not be unique: some COCO files list a class twice under two ids."""

    name: str
    payload: Payload = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class LabelSet:
    """The labels of a dataset. `header`: by format, what the source says about the dataset as a whole.

    `notices`: sentences about what was found and could not be used.
    """

    format: str = "folder"
    annotations: tuple[Annotation, ...] = ()
    categories: tuple[Category, ...] = ()
    header: Payload = field(default_factory=dict)
    notices: tuple[str, ...] = ()

    @property
    def by_image(self) -> dict[str, Annotation]:
        """image_id -> its annotation."""
        return {annotation.image_id: annotation for annotation in self.annotations}

    def sorted(self) -> "LabelSet":
        """The same with annotations by image_id and every category that labels use."""
        known = {category.name for category in self.categories}
        used = {label.category for annotation in self.annotations for label in annotation.labels}
        return replace(
            self,
            annotations=tuple(sorted(self.annotations, key=lambda annotation: annotation.image_id)),
            categories=(*self.categories, *(Category(name) for name in sorted(used - known))),
        )


@dataclass(frozen=True)
class LabelFrames:
    """A label set as rows: the tables `annotations`, `labels` and `categories`."""

    annotations: pd.DataFrame
    labels: pd.DataFrame
    categories: pd.DataFrame


def frames_of(labels: LabelSet) -> LabelFrames:
    """The rows that hold a label set."""
    annotations = [
        {
            "image_id": annotation.image_id,
            "source": annotation.source,
            "split": annotation.split,
            "width": annotation.size[0] if annotation.size else None,
            "height": annotation.size[1] if annotation.size else None,
            "labels": len(annotation.labels) if annotation.annotated else None,
            "payload": _text(annotation.payload),
        }
        for annotation in labels.annotations
    ]
    rows = [
        {
            "image_id": annotation.image_id,
            "place": place,
            "category": label.category,
            **_corner(label.box),
            "extras": ",".join(label.extras) or None,
            "payload": _text(label.payload),
        }
        for annotation in labels.annotations
        for place, label in enumerate(annotation.labels)
    ]
    categories = [
        {"place": place, "name": category.name, "payload": _text(category.payload)}
        for place, category in enumerate(labels.categories)
    ]
    return LabelFrames(
        _frame(schema.ANNOTATIONS, annotations), _frame(schema.LABELS, rows), _frame(schema.CATEGORIES, categories)
    )


def label_set_of(frames: LabelFrames, format_: str, header: Payload) -> LabelSet:
    """The label set that rows hold."""
    labels: dict[str, list[Label]] = {}
    for row in frames.labels.sort_values(["image_id", "place"], kind="stable").itertuples(index=False):
        labels.setdefault(str(row.image_id), []).append(label_of(row))
    annotations = tuple(
        Annotation(
            str(row.image_id),
            tuple(labels.get(str(row.image_id), ())),
            str(row.source or ""),
            _str(row.split),
            _size(row),
            _payload(row.payload),
            _annotated(row),
        )
        for row in frames.annotations.itertuples(index=False)
    )
    categories = tuple(
        Category(str(row.name), _payload(row.payload))
        for row in frames.categories.sort_values("place", kind="stable").itertuples(index=False)
    )
    return LabelSet(format_, annotations, categories, header)


def label_of(row: Any) -> Label:  # noqa: ANN401 - a row of the labels table, as itertuples makes them
    """The label that a row of the labels table holds."""
    box = None if pd.isna(row.x) else Box(float(row.x), float(row.y), float(row.width), float(row.height))
    extras = tuple(str(row.extras).split(",")) if isinstance(row.extras, str) and row.extras else ()
    return Label(str(row.category), box, _payload(row.payload), extras)


def _size(row: Any) -> tuple[int, int] | None:  # noqa: ANN401 - a row of the annotations table
    return None if pd.isna(row.width) or pd.isna(row.height) else (int(row.width), int(row.height))


def _annotated(row: Any) -> bool:  # noqa: ANN401 - a row of the annotations table
    return not pd.isna(row.labels)


def counts(labels: Sequence[Annotation]) -> tuple[int, int]:
    """How many images carry labels, and how many labels there are."""
    return sum(bool(annotation.labels) for annotation in labels), sum(len(one.labels) for one in labels)


def _corner(box: Box | None) -> dict[str, float | None]:
    if box is None:
        return dict.fromkeys(("x", "y", "width", "height"))
    return {"x": box.x, "y": box.y, "width": box.width, "height": box.height}


def _frame(table: schema.Table, rows: Sequence[dict[str, Any]]) -> pd.DataFrame:
    if not rows:
        return table.empty()
    frame = pd.DataFrame(rows, columns=table.names)
    for column in table.columns:
        if column.type == "INTEGER":
            frame[column.name] = frame[column.name].astype("Int32")
        elif column.type == "DOUBLE":
            frame[column.name] = frame[column.name].astype(np.float64)
    return frame


def _text(payload: Payload) -> str | None:
    return json.dumps(payload, ensure_ascii=False) if payload else None


def _payload(text: object) -> Payload:
    return dict(json.loads(text)) if isinstance(text, str) and text else {}


def _str(value: object) -> str | None:
    return value if isinstance(value, str) else None
