"""Image-folder: the folder of an image is its class, below a folder for its split if there are splits."""

from collections.abc import Iterable, Sequence

from dedup_assets.core.errors import LabelError
from dedup_assets.core.labels.layout import Placed, renamed
from dedup_assets.core.labels.model import Annotation, Category, Label, LabelSet
from dedup_assets.core.scoring.keepers import SPLIT_NAMES

FORMAT = "imagefolder"


def is_image_folder(image_ids: Iterable[str]) -> bool:
    """Whether the layout says so beyond doubt: every image at SPLIT/CLASS/..., in two classes or more."""
    classes = set()
    for image_id in image_ids:
        parts = image_id.split("/")
        if len(parts) < 3 or parts[0].lower() not in SPLIT_NAMES:
            return False
        classes.add(parts[1])
    return len(classes) > 1


def read(image_ids: Iterable[str]) -> LabelSet:
    """The class of each image: its first folder, the second where the first is a split's. One at the top has none."""
    annotations = []
    for image_id in sorted(image_ids):
        folders = image_id.split("/")[:-1]
        if folders and folders[0].lower() in SPLIT_NAMES:
            folders = folders[1:]
        if folders:
            annotations.append(Annotation(image_id, (Label(folders[0]),), "its folder"))
    if not annotations:
        raise LabelError("there is no folder of images named after a class; lay them out as CLASS/IMAGE")
    names = sorted({annotation.labels[0].category for annotation in annotations})
    return LabelSet(FORMAT, tuple(annotations), tuple(Category(name) for name in names))


def in_class_folders(placed: Sequence[Placed]) -> list[Placed]:
    """The images under SPLIT/CLASS/NAME. Raises LabelError for one without exactly one class."""
    names = []
    for image in placed:
        classes = {label.category for label in image.annotation.labels}
        if len(classes) != 1 or any(label.box for label in image.annotation.labels):
            boxes = sum(label.box is not None for label in image.annotation.labels)
            has = f"{boxes} boxes" if boxes else f"{len(classes)} classes"
            raise LabelError(
                f"'{image.image_id}' has {has}; an image-folder holds images of one class each. "
                "Choose another format, or a collection of images that have one"
            )
        (name,) = classes
        if "/" in name or name in ("", ".", ".."):
            raise LabelError(f"the class '{name}' cannot be the name of a folder; choose another format")
        names.append(_path(image, name))
    if len({name.lower() for name in names}) < len(names):
        names = [
            f"{folder}/{image.image_id.replace('/', '_')}"
            for image, name in zip(placed, names, strict=True)
            for folder in [name.rpartition("/")[0]]
        ]
    return renamed(placed, names)


def _path(image: Placed, name: str) -> str:
    """SPLIT/CLASS/REST, the class not said twice where the image lay in its folder already."""
    split = image.split or ""
    rest = image.name.removeprefix(f"{split}/" if split else "")
    folder = f"{split}/{name}" if split else name
    return f"{folder}/{rest.removeprefix(f'{name}/')}"
