"""Pascal VOC: one XML file for each image. An object is kept as the file says it, element by element."""

import copy
import re
import xml.etree.ElementTree as ET
from collections.abc import Sequence
from pathlib import Path

from dedup_assets.core.errors import LabelError
from dedup_assets.core.labels.files import ImageIndex, LabelFile, missing_images, read_all
from dedup_assets.core.labels.layout import Placed
from dedup_assets.core.labels.model import Annotation, Box, Label, LabelSet

FORMAT = "voc"
FOLDER = "VOCdevkit/VOC2012"  # where torchvision looks
SPLITS = ("train", "val", "test")
_CORNERS = ("xmin", "ymin", "xmax", "ymax")
_PLAIN = {"name": None, "bndbox": None, "pose": "Unspecified", "truncated": "0", "difficult": "0", "occluded": "0"}
_SNIFFED_BYTES = 400
_MARK = re.compile(r"\s+-?[01]$")


def is_voc(file: LabelFile) -> bool:
    """Whether a file looks like a VOC annotation, by its beginning."""
    return b"<annotation" in file.head(_SNIFFED_BYTES)


def read(
    files: Sequence[LabelFile], texts: Sequence[LabelFile], index: ImageIndex, threads: int | None = None
) -> LabelSet:
    """The labels of the files, each about the image of the same stem, else the one that its <filename> names.

    `texts`: the text files beside them, of which ImageSets/Main/SPLIT.txt tell the splits. Other XML is passed over.
    """
    annotations: dict[str, Annotation] = {}
    lost: list[str] = []
    splits = _splits(texts)
    for file, data in zip(files, read_all(files, threads), strict=True):
        source = file.name
        try:
            tree = ET.fromstring(data)
        except ET.ParseError as error:
            raise LabelError(f"cannot read {source} as XML ({error}); mend it or move it away") from error
        if tree.tag != "annotation":
            continue
        written = (tree.findtext("filename") or "").strip()
        near = _near(source)
        image_id = index.with_stem(file.stem, source, near, written) or index.find(written, source, near)
        if image_id is None:
            lost.append(written or file.stem)
            continue
        if image_id in annotations:
            raise LabelError(f"'{image_id}' is named by {annotations[image_id].source} and by {source}; keep one")
        labels = tuple(_label(entry, f"{source}: object {place}") for place, entry in enumerate(tree.iter("object"), 1))
        for entry in tree.findall("object"):
            tree.remove(entry)
        payload = {FORMAT: ET.tostring(tree, encoding="unicode")}
        annotations[image_id] = Annotation(image_id, labels, source, splits.get(file.stem), _size(tree), payload)
    notices = missing_images(lost, files[0].folder or "the annotations") if files else ()
    return LabelSet(FORMAT, tuple(annotations.values()), notices=notices)


def write(placed: Sequence[Placed], labels: LabelSet, folder: Path) -> None:
    """Annotations/ and ImageSets/ beside JPEGImages/, in the folder that torchvision's VOCDetection opens.

    Every image gets a file, one that nobody annotated too: an image set lists no image without.
    """
    target = folder / FOLDER
    (target / "Annotations").mkdir(parents=True)
    (target / "ImageSets" / "Main").mkdir(parents=True)
    for image in placed:
        tree = _tree(image)
        for label in image.annotation.labels:
            tree.append(_object(label, image))
        ET.indent(tree, "\t")
        path = target / "Annotations" / f"{Path(image.name).stem}.xml"
        path.write_text(ET.tostring(tree, encoding="unicode") + "\n", encoding="utf-8")
    sets = {split: [image for image in placed if image.split == split] for split in SPLITS}
    sets |= {"trainval": [image for image in placed if image.split != "test"]}
    for split, images in sets.items():
        if images:
            lines = "".join(f"{Path(image.name).stem}\n" for image in images)
            (target / "ImageSets" / "Main" / f"{split}.txt").write_text(lines, encoding="utf-8")


def _label(entry: ET.Element, place: str) -> Label:
    name, box = (entry.findtext("name") or "").strip(), entry.find("bndbox")
    if not name or box is None:
        raise LabelError(f"{place} has no {'name' if not name else 'bndbox'}; every object needs both")
    try:
        left, top, right, bottom = (float(box.findtext(corner) or "") for corner in _CORNERS)
    except ValueError as error:
        raise LabelError(f"{place} has a bndbox without four numbers {', '.join(_CORNERS)}") from error
    entry.tail = None
    payload = {FORMAT: ET.tostring(entry, encoding="unicode")}
    return Label(name, Box(left, top, right - left, bottom - top), payload, _extras(entry))


def said_of_image(said: str) -> tuple[str, ...]:
    """The names of what is said of an image beyond its file and size."""
    plain = ("folder", "filename", "path", "size", "object")
    told = [inner for inner in ET.fromstring(said) if (inner.tag, (inner.text or "").strip()) != ("segmented", "0")]
    return tuple(dict.fromkeys(inner.tag for inner in told if inner.tag not in plain))


def _extras(entry: ET.Element) -> tuple[str, ...]:
    """The elements that say more than class and box."""
    return tuple(
        dict.fromkeys(
            inner.tag
            for inner in entry
            if inner.tag not in _PLAIN
            or (_PLAIN[inner.tag] is not None and (inner.text or "").strip() not in ("", _PLAIN[inner.tag]))
        )
    )


def _size(tree: ET.Element) -> tuple[int, int] | None:
    try:
        size = int(float(tree.findtext("size/width") or 0)), int(float(tree.findtext("size/height") or 0))
    except ValueError:
        return None
    return size if all(size) else None


def _splits(texts: Sequence[LabelFile]) -> dict[str, str]:
    """stem -> split, from ImageSets/Main; of several splits the first of train, val, test."""
    named: dict[str, str] = {}
    marked: dict[str, str] = {}  # as in the lists of one class, where 1, 0 or -1 follows
    for split in SPLITS:
        for file in texts:
            if file.name.endswith(f"ImageSets/Main/{split}.txt"):
                for line in file.text().splitlines():
                    named.setdefault(line.strip(), split)
                    marked.setdefault(_MARK.sub("", line.strip()), split)
    return marked | named


def _near(source: str) -> tuple[str, ...]:
    """The folders in which the image of an annotation file may lie, likeliest first."""
    folder = source.rpartition("/")[0]
    parent = folder.rpartition("/")[0]
    beside = [f"{parent}/{name}" if parent else name for name in ("JPEGImages", "images", "Images")]
    return tuple(dict.fromkeys([folder, *beside, parent]))


def _tree(image: Placed) -> ET.Element:
    said = image.annotation.payload.get(FORMAT)
    tree = copy.deepcopy(ET.fromstring(said)) if said else ET.Element("annotation")
    _set(tree, "folder", "JPEGImages")
    _set(tree, "filename", image.name)
    if tree.find("size") is None and image.size:
        size = ET.SubElement(tree, "size")
        for tag, value in zip(("width", "height", "depth"), (*image.size, 3), strict=True):
            ET.SubElement(size, tag).text = str(value)
    if tree.find("segmented") is None:
        ET.SubElement(tree, "segmented").text = "0"
    return tree


def _object(label: Label, image: Placed) -> ET.Element:
    said = label.payload.get(FORMAT)
    if said:
        return ET.fromstring(said)
    if label.box is None:
        raise LabelError(f"'{image.image_id}' has a class and no box; VOC objects are boxes. Choose imagefolder")
    entry = ET.Element("object")
    for tag, text in (("name", label.category), ("pose", "Unspecified"), ("truncated", "0"), ("difficult", "0")):
        ET.SubElement(entry, tag).text = text
    box = label.box
    corners = ET.SubElement(entry, "bndbox")
    for tag, value in zip(_CORNERS, (box.x, box.y, box.x + box.width, box.y + box.height), strict=True):
        ET.SubElement(corners, tag).text = f"{value:.10g}"
    return entry


def _set(tree: ET.Element, tag: str, text: str) -> None:
    found = tree.find(tag)
    (ET.SubElement(tree, tag) if found is None else found).text = text
