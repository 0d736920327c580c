"""YOLO as Ultralytics reads it: data.yaml, images/, and labels/ with one text file for each image.

Lines of five columns are boxes; longer ones (polygons, oriented boxes, keypoints, confidences) are kept as they are
and written back so, with the box around them for everything that only knows boxes.
"""

import math
import posixpath
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from dedup_assets.core.errors import LabelError
from dedup_assets.core.labels.files import ImageIndex, LabelFile, named, read_all
from dedup_assets.core.labels.layout import Placed
from dedup_assets.core.labels.model import Annotation, Box, Category, Label, LabelSet
from dedup_assets.core.sources.base import Source
from dedup_assets.core.sources.folder import Folder

FORMAT = "yolo"
SPLITS = ("train", "val", "test")
_OWN = ("names", "nc", "path", *SPLITS)

_SNIFFED_BYTES = 4096

Sizes = Mapping[str, tuple[int, int]]


def is_yolo(file: LabelFile) -> bool:
    """Whether a file is a data.yaml: names of classes, and where the images of a split are."""
    try:
        said = yaml.safe_load(file.text())
    except (LabelError, ValueError, yaml.YAMLError):
        return False
    return isinstance(said, dict) and "names" in said and any(split in said for split in SPLITS)


def read(
    file: LabelFile,
    texts: Sequence[LabelFile],
    images: Source,
    index: ImageIndex,
    sizes: Sizes,
    threads: int | None = None,
) -> LabelSet:
    """The labels of the images in the splits of a data.yaml; `sizes` turns its shares of a side into pixels.

    `texts`: the text files that may be label files or lists of images. An image without a label file is not annotated;
    an empty file says that there is nothing in the image. An image in two splits counts in the first of train, val,
    test.
    """
    source, said = file.name, _load(file)
    names = _names(said["names"], source)
    keypoints = _keypoints(said, source)
    by_name = {text.name: text for text in texts}
    split_of, twice = _splits(file, said, images, index, by_name)
    label_file = {image_id: by_name.get(_label_name(image_id, images)) for image_id in split_of}
    wanted = [text for text in label_file.values() if text is not None]
    content = dict(zip([text.name for text in wanted], read_all(wanted, threads), strict=True))
    annotations = []
    for image_id in sorted(split_of):
        text = label_file[image_id]
        if text is None:
            annotations.append(Annotation(image_id, (), source, split_of[image_id], annotated=False))
        else:
            lines = text.decoded(content[text.name]).splitlines()
            labels = _labels(lines, text.name, names, keypoints, sizes.get(image_id, (0, 0)))
            annotations.append(Annotation(image_id, labels, text.name, split_of[image_id]))
    categories = tuple(Category(name, {FORMAT: {"index": place}}) for place, name in names.items())
    header = {key: value for key, value in said.items() if key not in _OWN}
    notices = [f"{source}: {twice:,} images are in two splits; the first of train, val, test counts"] if twice else []
    notices += _orphans(content.keys(), by_name)
    return LabelSet(FORMAT, tuple(annotations), categories, {FORMAT: header}, tuple(notices))


def write(placed: Sequence[Placed], labels: LabelSet, folder: Path) -> None:
    """data.yaml and labels/ beside images/; names are SPLIT/REST. An image nobody annotated gets no label file."""
    place_of: dict[tuple[object, str], int] = {}
    for place, category in enumerate(labels.categories):
        place_of.setdefault((None, category.name), place)
        place_of.setdefault((category.payload.get(FORMAT, {}).get("index"), category.name), place)
    for image in placed:
        if not image.annotation.annotated:
            continue
        target = folder / "labels" / Path(image.name).with_suffix(".txt")
        target.parent.mkdir(parents=True, exist_ok=True)
        lines = [_line(label, image, place_of) for label in image.annotation.labels]
        target.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    splits = sorted({image.name.partition("/")[0] for image in placed}, key=lambda split: (split not in SPLITS, split))
    said: dict[str, Any] = {**labels.header.get(FORMAT, {}), "path": "."}
    said |= {split: f"images/{split}" for split in splits}
    said["names"] = {place: category.name for place, category in enumerate(labels.categories)}
    text = yaml.safe_dump(said, sort_keys=False, allow_unicode=True)
    (folder / "data.yaml").write_text(text, encoding="utf-8")


def _line(label: Label, image: Placed, place_of: Mapping[tuple[object, str], int]) -> str:
    said = label.payload.get(FORMAT, {})
    place = place_of.get((said.get("index"), label.category), place_of[None, label.category])
    if said:
        return f"{place} {said['rest']}"
    if label.box is None or image.size is None:
        raise LabelError(f"'{image.image_id}' has a class and no box; YOLO labels are boxes. Choose imagefolder")
    box, (width, height) = label.box, image.size
    across, down = (box.x + box.width / 2) / width, (box.y + box.height / 2) / height
    shares = (across, down, box.width / width, box.height / height)
    return " ".join([str(place), *(f"{share:.10g}" for share in shares)])


def _load(file: LabelFile) -> dict[str, Any]:
    try:
        said = yaml.safe_load(file.text())
    except (ValueError, yaml.YAMLError) as error:
        raise LabelError(f"cannot read {file.name} as YAML ({' '.join(str(error).split())}); mend it") from error
    if not isinstance(said, dict) or "names" not in said or not any(split in said for split in SPLITS):
        raise LabelError(f"{file.name} is no data.yaml; it must hold 'names' and at least one of {', '.join(SPLITS)}")
    return said


def _names(said: object, source: str) -> dict[int, str]:
    if isinstance(said, list):
        return {place: str(name) for place, name in enumerate(said)}
    if isinstance(said, dict) and all(isinstance(place, int) for place in said):
        return {place: str(said[place]) for place in sorted(said)}
    raise LabelError(f"{source}: 'names' must be a list of class names, or numbers with names")


def _keypoints(said: Mapping[str, Any], source: str) -> int:
    """How many numbers the keypoints of one object take; 0 when there are none."""
    shape = said.get("kpt_shape")
    if shape is None:
        return 0
    if not (isinstance(shape, list) and len(shape) == 2 and all(isinstance(side, int) for side in shape)):
        raise LabelError(f"{source}: kpt_shape is {shape}; it must be [number of keypoints, 2 or 3]")
    return int(math.prod(shape))


def _splits(
    file: LabelFile, said: Mapping[str, Any], images: Source, index: ImageIndex, texts: Mapping[str, LabelFile]
) -> tuple[dict[str, str], int]:
    """image_id -> split, and how many images are in two."""
    stated = str(said.get("path") or ".")
    if posixpath.isabs(stated) and isinstance(images, Folder):
        stated = named(images, Path(stated))
    else:
        stated = posixpath.join(file.folder, stated)
    found: dict[str, str] = {}
    twice: set[str] = set()
    for split in SPLITS:
        entries = said.get(split) or []
        for entry in entries if isinstance(entries, list) else [entries]:
            for image_id in _images_of(str(entry), (stated, file.folder), images, index, texts):
                if found.setdefault(image_id, split) != split:
                    twice.add(image_id)
    if not found:
        raise LabelError(
            f"{file.name} names no image under '{images}' (its paths start at '{stated or '.'}'); correct them, "
            "or give the folder that holds the images"
        )
    return found, len(twice)


def _images_of(
    entry: str, bases: tuple[str, ...], images: Source, index: ImageIndex, texts: Mapping[str, LabelFile]
) -> list[str]:
    """The images of a split: those in the folder, or in the list, that the entry names; none where it is not there."""
    written = (entry, entry.removeprefix("../"))  # Roboflow writes ../train/images beside train/
    for place in dict.fromkeys(posixpath.normpath(posixpath.join(base, one)) for one in written for base in bases):
        if place in texts:
            listed = texts[place]
            names = [line.strip() for line in listed.text().splitlines() if line.strip()]
            found = [index.find(name, listed.name, (listed.folder,)) for name in names]
            return [image for image in found if image is not None]
        if place.startswith("../") and isinstance(images, Folder):  # it may come back: ../images/train
            place = named(images, images.root / place)
        if place == "." or place.rstrip("/").endswith(".."):
            return sorted(index.ids)
        inside = sorted(image for image in index.ids if image.startswith(f"{place}/"))
        if inside:
            return inside
    return []


def _label_name(image_id: str, images: Source) -> str:
    """labels/ in place of the last images/, .txt in place of the suffix; the folder itself may be that images/."""
    stem = image_id.removesuffix(posixpath.splitext(image_id)[1])
    before, folder, after = f"/{stem}".rpartition("/images/")
    if folder:
        return f"{before}/labels/{after}.txt".lstrip("/")
    if str(images).rstrip("/").endswith("/images"):
        return f"../labels/{stem}.txt"
    return f"{stem}.txt"


def _labels(
    lines: Sequence[str], source: str, names: Mapping[int, str], keypoints: int, size: tuple[int, int]
) -> tuple[Label, ...]:
    """The labels in a file; none where the image has no size because it cannot be read."""
    if not all(size):
        return ()
    return tuple(
        _label(line.split(), f"{source} line {number}", names, keypoints, size)
        for number, line in enumerate(lines, 1)
        if line.strip()
    )


def _label(cells: list[str], place: str, names: Mapping[int, str], keypoints: int, size: tuple[int, int]) -> Label:
    try:
        values = [float(cell) for cell in cells]
    except ValueError:
        values = []
    if len(values) < 5 or not all(map(math.isfinite, values)):
        raise LabelError(f"{place} is '{' '.join(cells)[:60]}'; it must be a class number and at least four shares")
    index = int(values[0])
    if index != values[0] or index not in names:
        raise LabelError(f"{place} has the class {cells[0]}; data.yaml names {len(names)} classes")
    rest = values[1:]
    extra = _extra(len(rest), keypoints)
    if extra is None:
        raise LabelError(f"{place} has {len(cells)} columns; a box has 5, a polygon an odd number from 7 on")
    if extra in ("polygon", "oriented box"):
        across, down = rest[0::2], rest[1::2]
        left, top, wide, high = min(across), min(down), max(across) - min(across), max(down) - min(down)
    else:
        wide, high = rest[2], rest[3]
        left, top = rest[0] - wide / 2, rest[1] - high / 2
    width, height = size
    payload = {FORMAT: {"index": index, "rest": " ".join(cells[1:])}}
    box = Box(left * width, top * height, wide * width, high * height)
    return Label(names[index], box, payload, (extra,) if extra else ())


def _extra(columns: int, keypoints: int) -> str | None:
    """What stands in a line beyond its class, by the number of its columns; None where it makes no sense."""
    if columns == 4:
        return ""
    if keypoints:
        return "keypoints" if columns == 4 + keypoints else None
    if columns == 5:
        return "confidence"
    if columns == 8:
        return "oriented box"  # or a polygon of four corners: either way its corners are kept
    return "polygon" if columns >= 6 and columns % 2 == 0 else None


def _orphans(used: Collection[str], texts: Mapping[str, LabelFile]) -> list[str]:
    """A sentence about label files beside those used that belong to no image."""
    folders = {name.rpartition("/")[0] for name in used}
    lost = sorted(name for name, file in texts.items() if file.folder in folders and name not in used)
    lost = [name for name in lost if _is_label_file(texts[name])]
    if not lost:
        return []
    are = "label files have" if len(lost) > 1 else "label file has"
    return [f"{len(lost):,} {are} no image, first '{lost[0]}'"]


def _is_label_file(file: LabelFile) -> bool:
    cells = file.head(_SNIFFED_BYTES).partition(b"\n")[0].split()
    return len(cells) >= 5 and cells[0].isdigit()
