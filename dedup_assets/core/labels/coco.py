"""COCO JSON: instances with boxes. Whatever else an entry says is kept and written back as it was."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from dedup_assets.core.errors import LabelError
from dedup_assets.core.labels.files import ImageIndex, LabelFile, missing_images, split_named
from dedup_assets.core.labels.layout import Placed
from dedup_assets.core.labels.model import Annotation, Box, Category, Label, LabelSet

FORMAT = "coco"
_SNIFFED_BYTES = 65_536
_PLAIN = ("id", "image_id", "category_id", "bbox", "area")
_OWN = ("images", "annotations", "categories")


def is_coco(file: LabelFile) -> bool:
    """Whether a file looks like COCO JSON, by its beginning."""
    head = file.head(_SNIFFED_BYTES).lstrip()
    known = (b'"images"', b'"annotations"', b'"categories"')
    return head.startswith(b"{") and any(word in head for word in known) and b'"shapes"' not in head


def read(files: Sequence[LabelFile], index: ImageIndex) -> LabelSet:
    """The labels of one or several files, each image named by one of them. Raises LabelError for what is no COCO."""
    annotations: dict[str, Annotation] = {}
    categories: dict[str, Category] = {}
    header: dict[str, Any] = {}
    notices: tuple[str, ...] = ()
    for file in files:
        source, data = file.name, _load(file)
        names = {entry.get("id"): str(entry.get("name", "")) for entry in data["categories"]}
        for entry in data["categories"]:
            categories.setdefault(json.dumps([entry.get("id"), entry.get("name")]), _category(entry))
        labels = _labels(data["annotations"], names, {entry.get("id") for entry in data["images"]}, source)
        near = _near(source)
        lost = []
        for entry in data["images"]:
            written = str(entry.get("file_name", ""))
            image_id = index.find(written, source, near) if written else None
            if image_id is None:
                lost.append(written)
            elif image_id in annotations:
                raise LabelError(
                    f"'{image_id}' is named by {annotations[image_id].source} and by {source}; name one of the files "
                    "with --annotations"
                )
            else:
                size = (entry.get("width"), entry.get("height"))
                annotations[image_id] = Annotation(
                    image_id,
                    tuple(labels.get(entry.get("id"), ())),
                    source,
                    split_named(source),
                    (int(size[0]), int(size[1])) if all(isinstance(side, int) and side for side in size) else None,
                    {FORMAT: entry},
                )
        notices += missing_images(lost, source)
        for key, value in data.items():
            header.setdefault(key, value) if key not in _OWN else None
    return LabelSet(FORMAT, tuple(annotations.values()), tuple(categories.values()), {FORMAT: header}, notices)


def write(placed: Sequence[Placed], labels: LabelSet, folder: Path) -> None:
    """annotations/instances_SPLIT.json for each split, whose `file_name` starts at images/."""
    target = folder / "annotations"
    target.mkdir()
    categories, number_of = _written_categories(labels)
    header = dict(labels.header.get(FORMAT, {}))
    for split in sorted({image.split or "" for image in placed}):
        images: list[dict[str, Any]] = []
        entries: list[dict[str, Any]] = []
        image_ids, label_ids = _Numbers(), _Numbers()
        inside = [image for image in placed if (image.split or "") == split]
        for image in inside:  # first those that had a number, so that it stays theirs
            image_ids.take(image.annotation.payload.get(FORMAT, {}).get("id"))
            for label in image.annotation.labels:
                label_ids.take(label.payload.get(FORMAT, {}).get("id"))
        for image in inside:
            said = dict(image.annotation.payload.get(FORMAT, {}))
            number = image_ids.give(said.get("id"))
            size = {"width": image.size[0], "height": image.size[1]} if image.size else {}
            images.append(said | {"id": number, "file_name": image.name} | size)
            entries += [
                _entry(label, label_ids.give(label.payload.get(FORMAT, {}).get("id")), number, number_of)
                for label in image.annotation.labels
            ]
        data = {**header, "images": images, "annotations": entries, "categories": categories}
        text = json.dumps(data, ensure_ascii=False, indent=None, separators=(",", ":"))
        (target / f"instances_{split or 'all'}.json").write_text(text + "\n", encoding="utf-8")


class _Numbers:
    """Ids: each one that was there before stays with the first that bears it, others get the next free one."""

    def __init__(self) -> None:
        self._free: set[int | str] = set()
        self._given: set[int | str] = set()
        self._next = 1

    def take(self, number: object) -> None:
        if isinstance(number, int | str):
            self._free.add(number)

    def give(self, number: object) -> int | str:
        if isinstance(number, int | str) and number not in self._given:
            self._given.add(number)
            return number
        while self._next in self._free or self._next in self._given:
            self._next += 1
        self._given.add(self._next)
        return self._next


_CategoryNumbers = dict[tuple[object, str], int | str]


def _written_categories(labels: LabelSet) -> tuple[list[dict[str, Any]], _CategoryNumbers]:
    """The categories as they are written, and their ids by the id they came with (or None) and their name."""
    ids = _Numbers()
    said = [dict(category.payload.get(FORMAT, {})) for category in labels.categories]
    for entry in said:
        ids.take(entry.get("id"))
    written = [
        {"supercategory": "", **entry, "id": ids.give(entry.get("id")), "name": category.name}
        for entry, category in zip(said, labels.categories, strict=True)
    ]
    number_of: _CategoryNumbers = {}
    for before, after in zip(said, written, strict=True):
        number_of.setdefault((None, after["name"]), after["id"])
        number_of.setdefault((before.get("id"), after["name"]), after["id"])
    return written, number_of


def _entry(label: Label, number: int | str, image: int | str, number_of: _CategoryNumbers) -> dict[str, Any]:
    said = dict(label.payload.get(FORMAT, {}))
    box = label.box
    if not said and box is not None:
        said = {"bbox": [box.x, box.y, box.width, box.height], "area": box.width * box.height}
        said |= {"iscrowd": 0, "segmentation": []}
    category = number_of.get((said.get("category_id"), label.category), number_of[None, label.category])
    return {**said, "id": number, "image_id": image, "category_id": category}


def _load(file: LabelFile) -> dict[str, Any]:
    source = file.name
    try:
        data = json.loads(file.read())
    except ValueError as error:
        raise LabelError(f"cannot read {source} as JSON ({error}); mend it or name another") from error
    for key in _OWN:
        entries = data.get(key) if isinstance(data, dict) else None
        if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
            raise LabelError(f"{source} has no list '{key}', so it is no COCO file of instances; name another")
    return dict(data)


def _category(entry: dict[str, Any]) -> Category:
    return Category(str(entry.get("name", "")), {FORMAT: entry})


def _labels(
    entries: list[dict[str, Any]], names: dict[object, str], images: set[object], source: str
) -> dict[object, list[Label]]:
    labels: dict[object, list[Label]] = {}
    for entry in entries:
        place = f"{source}: annotation {entry.get('id', '?')}"
        if "category_id" not in entry:
            raise LabelError(f"{place} has no category_id; captions hold no boxes; name another file")
        if entry["category_id"] not in names:
            raise LabelError(f"{place} has category_id {entry['category_id']}, which 'categories' does not list")
        if entry.get("image_id") not in images:
            raise LabelError(f"{place} has image_id {entry.get('image_id')}, which 'images' does not list")
        box = entry.get("bbox")
        if box is not None and not (len(box) == 4 and all(isinstance(value, int | float) for value in box)):
            raise LabelError(f"{place} has the bbox {box}; it must be [x, y, width, height]")
        said = {key: value for key, value in entry.items() if key != "image_id"}
        label = Label(
            names[entry["category_id"]], Box(*map(float, box)) if box else None, {FORMAT: said}, _extras(said)
        )
        labels.setdefault(entry["image_id"], []).append(label)
    return labels


def said_of_image(said: dict[str, Any]) -> tuple[str, ...]:
    """The names of what is said of an image beyond its file and size."""
    return tuple(key for key in said if key not in ("id", "file_name", "width", "height"))


def _extras(said: dict[str, Any]) -> tuple[str, ...]:
    return tuple(key for key, value in said.items() if key not in _PLAIN and value not in (0, None, "", [], {}))


def _near(source: str) -> tuple[str, ...]:
    """The folders that images named by this file may lie in, likeliest first."""
    folder = source.rpartition("/")[0]
    stem = source.rpartition("/")[2].rpartition(".")[0]
    parent = folder.rpartition("/")[0]
    split = stem.rpartition("_")[2]
    bases = [base for base in (folder, parent) if base] + [""]
    found = [f"{base}/{inner}" if base else inner for base in bases for inner in (split, f"images/{split}", "images")]
    return tuple(dict.fromkeys([folder, *found]))
