"""Small labelled folders in every format, and reading them."""

import json

from PIL import Image

from dedup_assets.core.labels.files import ImageIndex
from dedup_assets.core.labels.reading import find_labels, images_named, read_labels
from dedup_assets.core.sources.folder import Folder
from dedup_assets_tests.pictures import photo, put

SIZE = (64, 48)
CROWD = {"size": [48, 64], "counts": "abc"}


def read(folder, wanted="auto", annotations=None):
    """The label set of a folder, as a scan would read it."""
    images = Folder(folder)
    ids = [file.image_id for file in images.listing().files]
    source = find_labels(images, wanted, annotations, ids)
    named = images_named(source, ids)
    sizes = {}
    for image_id in ids if named is None else named:
        with Image.open(folder / image_id) as image:
            sizes[image_id] = image.size
    return read_labels(source, sizes)


def boxes(labels):
    """image_id -> [(class, x, y, width, height)], rounded to a hundredth of a pixel, sorted."""
    return {
        annotation.image_id: sorted(
            (label.category, *(round(getattr(label.box, side), 2) for side in ("x", "y", "width", "height")))
            if label.box
            else (label.category,)
            for label in annotation.labels
        )
        for annotation in labels.annotations
    }


def put_all(folder, *names):
    """A different small picture under each name."""
    for seed, name in enumerate(names):
        put(photo(seed, SIZE), folder / name)
    return folder


def write(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text if isinstance(text, str) else json.dumps(text), encoding="utf-8")
    return path


def coco_folder(folder):
    """Two images of train and one of val; a polygon, keypoints, a crowd; class numbers with gaps; one image empty."""
    put_all(folder, "train2017/a.png", "train2017/b.png", "val2017/c.png")
    categories = [
        {"id": 3, "name": "cat", "supercategory": "animal"},
        {"id": 17, "name": "dog", "supercategory": "animal", "keypoints": ["nose"]},
    ]
    polygon = {"id": 900, "image_id": 5, "category_id": 3, "bbox": [1.5, 2, 20.25, 10], "area": 180.5, "iscrowd": 0}
    polygon["segmentation"] = [[1.5, 2, 21.75, 2, 21.75, 12]]
    points = {"id": 901, "image_id": 5, "category_id": 17, "bbox": [30, 20, 10, 12], "area": 120, "iscrowd": 0}
    points |= {"keypoints": [31, 21, 2], "num_keypoints": 1, "attributes": {"pose": "sitting"}}
    crowd = {"id": 1, "image_id": 8, "category_id": 3, "bbox": [0, 0, 64, 48], "area": 9, "iscrowd": 1}
    crowd["segmentation"] = CROWD
    train = {
        "info": {"year": 2024},
        "licenses": [{"id": 1, "name": "by"}],
        "images": [
            {"id": 5, "file_name": "a.png", "width": 64, "height": 48, "license": 1},
            {"id": 6, "file_name": "b.png", "width": 64, "height": 48},
        ],
        "annotations": [polygon, points],
        "categories": categories,
    }
    val = train | {"images": [{"id": 8, "file_name": "c.png", "width": 64, "height": 48}], "annotations": [crowd]}
    write(folder / "annotations" / "instances_train2017.json", train)
    write(folder / "annotations" / "instances_val2017.json", val)
    return folder


def yolo_folder(folder):
    """Splits train and val; a box, a polygon, an empty label file, and an image without any."""
    put_all(folder, "images/train/a.png", "images/train/b.png", "images/train/bare.png", "images/val/c.png")
    write(folder / "labels/train/a.txt", "0 0.5 0.5 0.25 0.5\n1 0.123456 0.2 0.1 0.100001\n")
    write(folder / "labels/train/b.txt", "1 0.1 0.1 0.5 0.1 0.5 0.6\n")
    write(folder / "labels/val/c.txt", "")
    said = "path: .\ntrain: images/train\nval: images/val\nnames:\n  0: cat\n  1: dog\nlicense: mine\n"
    write(folder / "data.yaml", said)
    return folder


def voc_folder(folder):
    """Two images in JPEGImages, with image sets; one object is difficult, one has parts."""
    put_all(folder, "JPEGImages/a.png", "JPEGImages/b.png")
    first = voc_object("cat", (5, 6, 25, 36)) + voc_object("dog", (1, 1, 9, 9), "<difficult>1</difficult>")
    write(folder / "Annotations/a.xml", voc_xml("a.png", first))
    part = "<part><name>head</name><bndbox><xmin>1</xmin></bndbox></part>"
    write(folder / "Annotations/b.xml", voc_xml("b.png", voc_object("cat", (2.5, 3, 10, 11), part)))
    write(folder / "ImageSets/Main/train.txt", "a\n")
    write(folder / "ImageSets/Main/val.txt", "b\n")
    return folder


def voc_object(name, corners, more=""):
    tags = zip(("xmin", "ymin", "xmax", "ymax"), corners, strict=True)
    box = "".join(f"<{tag}>{value}</{tag}>" for tag, value in tags)
    return f"<object><name>{name}</name><pose>Left</pose>{more}<bndbox>{box}</bndbox></object>"


def voc_xml(filename, objects, size=SIZE):
    width, height = size
    size_xml = f"<size><width>{width}</width><height>{height}</height><depth>3</depth></size>"
    owner = "<owner><name>me</name></owner>"
    return f'<annotation verified="yes"><filename>{filename}</filename>{owner}{size_xml}{objects}</annotation>'


def class_folder(folder):
    """Two splits with the same two classes."""
    return put_all(folder, "train/cat/1.png", "train/dog/2.png", "test/cat/1.png", "test/dog/4.png")


def manifest_folder(folder):
    """Two of three images named, one with two boxes, one with none; a column of the user's own."""
    put_all(folder, "x/a.png", "x/b.png", "x/c.png")
    lines = [
        "path,split,class,xmin,ymin,xmax,ymax,source",
        "x/a.png,train,cat,1,2,30,40,me",
        "x/a.png,train,dog,5,5,9,9,",
    ]
    write(folder / "manifest.csv", "\n".join([*lines, "x/b.png,val,,,,,,"]) + "\n")
    return folder


def index(*ids):
    return ImageIndex(ids)
