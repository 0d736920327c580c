"""A manifest: CSV or Parquet with one row for each image, or for each label of an image."""

import io
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from dedup_assets.core.errors import LabelError
from dedup_assets.core.labels.files import ImageIndex, LabelFile, missing_images
from dedup_assets.core.labels.layout import Placed
from dedup_assets.core.labels.model import Annotation, Box, Label, LabelSet

FORMAT = "manifest"
NAMES = ("manifest.parquet", "manifest.csv")
PATHS = ("image_id", "path", "file_name", "filename", "file", "image", "image_path")
CLASSES = ("class", "class_name", "category", "label")
SPLITS = ("split", "set", "subset")
CORNERS = ("xmin", "ymin", "xmax", "ymax")
_PAYLOAD = "payload"
_OURS = (  # columns of a dataset version's own manifest, which say nothing about what an image shows
    *("file_hash", "pixel_hash", "size_bytes", "width", "height", "format", "uniqueness", "label", "group_id", "tags"),
)


def read(file: LabelFile, root: str, index: ImageIndex) -> LabelSet:
    """The images a manifest names, with split and labels where it has columns for them. No other image counts."""
    source, rows = file.name, _load(file)
    ours = "uniqueness" in rows.columns
    name = _column(rows, PATHS)
    if name is None:
        raise LabelError(f"{source} has no column of paths; name it one of {', '.join(PATHS)}")
    class_ = _column(rows, tuple(column for column in CLASSES if not (ours and column == "label")))
    split = _column(rows, SPLITS)
    boxed = all(corner in rows.columns for corner in CORNERS)
    if boxed and class_ is None:
        raise LabelError(f"{source} has boxes and no class; name that column one of {', '.join(CLASSES)}")
    known = {name, class_, split, _PAYLOAD, *(CORNERS if boxed else ()), *(_OURS if ours else ("width", "height"))}
    others = [column for column in rows.columns if column not in known]
    found: dict[str, list[Label]] = {}
    splits: dict[str, str | None] = {}
    lost: list[str] = []
    for line, row in enumerate(rows.to_dict("records"), 2):
        place = f"{source} line {line}"
        written = str(row[name]).strip()
        if not written:
            raise LabelError(f"{place} names no image; its column '{name}' is empty")
        image_id = index.find(_inside(written, root, place), place)
        if image_id is None:
            lost.append(written)
            continue
        said = str(row[split]).strip() or None if split else None
        if splits.setdefault(image_id, said) != said:
            raise LabelError(f"{place} puts '{image_id}' into '{said}', an earlier line into '{splits[image_id]}'")
        labels = found.setdefault(image_id, [])
        if class_ and str(row[class_]).strip():
            labels.append(_label(row, class_, boxed, others, place))
    if not found:
        raise LabelError(f"none of the {len(rows):,} images that {source} names is under '{root}'; correct its paths")
    annotations = tuple(
        Annotation(image_id, tuple(labels), source, splits[image_id], annotated=class_ is not None)
        for image_id, labels in found.items()
    )
    return LabelSet(FORMAT, annotations, notices=missing_images(sorted(set(lost)), source))


def write(placed: Sequence[Placed], labels: LabelSet, folder: Path) -> None:
    """manifest.csv and manifest.parquet beside images/: one row for each label, one for an image without."""
    rows = []
    for image in placed:
        size = dict(zip(("width", "height"), image.size or (None, None), strict=True))
        fixed = {"image_id": f"images/{image.name}", "split": image.split, **size}
        rows += [{**fixed, **_row(label)} for label in image.annotation.labels] or [fixed]
    columns = ["image_id", "split", "width", "height", "class", *CORNERS, _PAYLOAD]
    others = sorted({column for row in rows for column in row} - set(columns))
    frame = pd.DataFrame(rows, columns=[*columns[:-1], *others, _PAYLOAD])
    frame = frame.drop(columns=[name for name in (_PAYLOAD, *CORNERS) if frame[name].isna().all()])
    frame.to_csv(folder / "manifest.csv", index=False)
    frame.to_parquet(folder / "manifest.parquet", index=False)


def _row(label: Label) -> dict[str, Any]:
    row: dict[str, Any] = {"class": label.category, **label.payload.get(FORMAT, {})}
    if label.box:
        box = label.box
        row |= dict(zip(CORNERS, (box.x, box.y, box.x + box.width, box.y + box.height), strict=True))
    other = {key: value for key, value in label.payload.items() if key != FORMAT}
    return row | ({_PAYLOAD: json.dumps([other, label.extras], ensure_ascii=False)} if other else {})


def _load(file: LabelFile) -> pd.DataFrame:
    source, data = file.name, io.BytesIO(file.read())
    try:
        if file.suffix == ".parquet":
            rows = pd.read_parquet(data)
        else:
            rows = pd.read_csv(data, dtype=str, keep_default_na=False, encoding="utf-8-sig")
    except (OSError, ValueError) as error:  # pandas' and pyarrow's errors of reading are among these
        raise LabelError(f"cannot read {source} ({str(error).splitlines()[0]}); mend it or name another") from error
    rows.columns = [str(column).strip().lower() for column in rows.columns]
    repeated = [column for column in rows.columns if list(rows.columns).count(column) > 1]
    if repeated:
        raise LabelError(f"{source} has two columns '{repeated[0]}'; give one of them another name")
    return rows.astype(object).where(rows.notna(), "")


def _column(rows: pd.DataFrame, names: Sequence[str]) -> str | None:
    return next((name for name in names if name in rows.columns), None)


def _inside(written: str, root: str, place: str) -> str:
    """The path from the image folder on."""
    if not (written.startswith("/") or "://" in written or Path(written).is_absolute()):
        return written
    if not written.startswith(f"{root.rstrip('/')}/"):
        raise LabelError(f"{place}: '{written}' lies outside the image folder '{root}'; give a folder that holds all")
    return written[len(root.rstrip("/")) + 1 :]


def _label(row: Mapping[Any, Any], class_: str, boxed: bool, others: Sequence[str], place: str) -> Label:
    said = {column: row[column] for column in others if row[column] != ""}
    payload: dict[str, Any] = {FORMAT: said} if said else {}
    extras = tuple(said)
    if row.get(_PAYLOAD):
        try:
            other, more = json.loads(row[_PAYLOAD])
        except (TypeError, ValueError) as error:
            raise LabelError(f"{place}: the column '{_PAYLOAD}' does not hold what an export wrote there") from error
        payload, extras = payload | other, (*extras, *more)
    return Label(str(row[class_]).strip(), _box(row, place) if boxed else None, payload, extras)


def _box(row: Mapping[Any, Any], place: str) -> Box | None:
    corners = [row[corner] for corner in CORNERS]
    if all(corner == "" for corner in corners):
        return None
    try:
        left, top, right, bottom = (float(corner) for corner in corners)
    except (TypeError, ValueError) as error:
        raise LabelError(f"{place}: the box {corners} must be four numbers {', '.join(CORNERS)}") from error
    return Box(left, top, right - left, bottom - top)
