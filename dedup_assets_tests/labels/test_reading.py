"""Reading labels: what each format says arrives whole, and what is wrong in a file is told in one sentence."""

import json

import pandas as pd
import pytest

from dedup_assets.core.errors import LabelError, SettingsError
from dedup_assets.core.labels.importing import input_version
from dedup_assets.core.labels.model import frames_of, label_set_of
from dedup_assets.core.project import project_of
from dedup_assets_tests.chain import chain_in
from dedup_assets_tests.labels.support import (
    boxes,
    class_folder,
    coco_folder,
    index,
    manifest_folder,
    put_all,
    read,
    voc_folder,
    voc_object,
    voc_xml,
    write,
    yolo_folder,
)

MAKERS = {
    "coco": coco_folder,
    "yolo": yolo_folder,
    "voc": voc_folder,
    "imagefolder": class_folder,
    "manifest": manifest_folder,
}


@pytest.mark.parametrize("name", MAKERS)
def test_the_format_is_told_by_the_layout(name, tmp_path):
    assert read(MAKERS[name](tmp_path)).format == name


@pytest.mark.parametrize("name", MAKERS)
def test_rows_hold_everything_a_label_set_says(name, tmp_path):
    labels = read(MAKERS[name](tmp_path))
    again = label_set_of(frames_of(labels), labels.format, labels.header)
    assert again.annotations == labels.annotations
    assert again.categories == labels.categories


def test_a_plain_folder_has_no_labels(tmp_path):
    put_all(tmp_path, "2024/a.png", "train/b.png")
    write(tmp_path / "notes.json", '{"what": "no labels"}')
    write(tmp_path / "pairs.csv", "path_a,path_b\n")
    labels = read(tmp_path)
    assert (labels.format, labels.annotations) == ("folder", ())


def test_voc_image_sets_name_images_with_spaces_and_ones_that_a_mark_follows(tmp_path):
    for name in ("my cat", "photo", "photo 1", "marked"):
        put_all(tmp_path, f"JPEGImages/{name}.png")
        write(tmp_path / f"Annotations/{name}.xml", voc_xml(f"{name}.png", ""))
    write(tmp_path / "ImageSets/Main/train.txt", "my cat\nphoto 1\n")
    write(tmp_path / "ImageSets/Main/val.txt", "photo\nmarked -1\n")
    splits = {one.image_id: one.split for one in read(tmp_path).annotations}
    assert splits == {
        "JPEGImages/my cat.png": "train",
        "JPEGImages/photo 1.png": "train",
        "JPEGImages/photo.png": "val",
        "JPEGImages/marked.png": "val",
    }


def test_coco_boxes_splits_and_empty_images(tmp_path):
    labels = read(coco_folder(tmp_path))
    assert boxes(labels) == {
        "train2017/a.png": [("cat", 1.5, 2, 20.25, 10), ("dog", 30, 20, 10, 12)],
        "train2017/b.png": [],
        "val2017/c.png": [("cat", 0, 0, 64, 48)],
    }
    assert [annotation.split for annotation in labels.annotations] == ["train", "train", "val"]
    extras = [label.extras for annotation in labels.annotations for label in annotation.labels]
    assert extras == [("segmentation",), ("keypoints", "num_keypoints", "attributes"), ("iscrowd", "segmentation")]


def test_coco_files_of_captions_beside_instances_are_passed_over_and_named(tmp_path):
    folder = coco_folder(tmp_path)
    captions = {"images": [], "annotations": [{"id": 1, "image_id": 5, "caption": "a cat"}], "categories": []}
    write(folder / "annotations" / "captions_val2017.json", captions)
    assert len(read(folder).annotations) == 3
    with pytest.raises(LabelError, match=r"captions_val2017\.json: annotation 1 has no category_id; captions hold no"):
        read(folder, annotations=folder / "annotations" / "captions_val2017.json")


def broken_coco(folder, **changes):
    put_all(folder, "a.png")
    good = {
        "images": [{"id": 1, "file_name": "a.png"}],
        "annotations": [{"id": 7, "image_id": 1, "category_id": 1, "bbox": [1, 2, 3, 4]}],
        "categories": [{"id": 1, "name": "cat"}],
    }
    write(folder / "labels.json", good | changes)
    return folder


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"categories": []}, "annotation 7 has category_id 1, which 'categories' does not list"),
        ({"images": []}, "annotation 7 has image_id 1, which 'images' does not list"),
        ({"annotations": {"id": 7}}, "has no list 'annotations'"),
        (
            {"annotations": [{"id": 7, "image_id": 1, "category_id": 1, "bbox": [1, 2, 3]}]},
            r"has the bbox \[1, 2, 3\]; it must be \[x, y, width, height\]",
        ),
    ],
)
def test_what_is_wrong_in_a_coco_file_is_told(changes, sentence, tmp_path):
    with pytest.raises(LabelError, match=sentence):
        read(broken_coco(tmp_path, **changes))


def test_an_image_that_two_coco_files_name_is_refused(tmp_path):
    broken_coco(tmp_path)
    write(tmp_path / "more.json", json.loads((tmp_path / "labels.json").read_text()))
    with pytest.raises(LabelError, match=r"'a\.png' is named by labels\.json and by more\.json"):
        read(tmp_path)


def test_images_that_annotations_name_and_nobody_has_are_counted(tmp_path):
    folder = broken_coco(tmp_path, images=[{"id": 1, "file_name": "a.png"}, {"id": 2, "file_name": "gone.png"}])
    (notice,) = read(folder).notices
    assert notice == "labels.json: 1 image is named that the image folder does not hold, first 'gone.png'"


def test_yolo_boxes_polygons_and_images_nobody_annotated(tmp_path):
    labels = read(yolo_folder(tmp_path))
    assert boxes(labels) == {
        "images/train/a.png": [("cat", 24, 12, 16, 24), ("dog", 4.7, 7.2, 6.4, 4.8)],
        "images/train/b.png": [("dog", 6.4, 4.8, 25.6, 24)],
        "images/train/bare.png": [],
        "images/val/c.png": [],
    }
    assert [annotation.annotated for annotation in labels.annotations] == [True, True, False, True]
    assert labels.by_image["images/train/b.png"].labels[0].extras == ("polygon",)
    assert labels.header["yolo"] == {"license": "mine"}


@pytest.mark.parametrize("place", ["images", "."])
def test_yolo_is_found_from_the_folder_of_images_and_from_above(place, tmp_path):
    folder = yolo_folder(tmp_path / "set")
    labels = read(folder / place, annotations=folder / "data.yaml")
    assert sum(len(annotation.labels) for annotation in labels.annotations) == 3


def test_yolo_splits_may_be_lists_of_files_and_paths_as_roboflow_writes_them(tmp_path):
    put_all(tmp_path, "train/images/a.png", "valid/images/b.png")
    write(tmp_path / "train/labels/a.txt", "0 0.5 0.5 1 1\n")
    write(tmp_path / "val.txt", "./valid/images/b.png\n")
    write(tmp_path / "data.yaml", "train: ../train/images\nval: val.txt\nnc: 1\nnames: [cat]\n")
    labels = read(tmp_path)
    assert {one.image_id: one.split for one in labels.annotations} == {
        "train/images/a.png": "train",
        "valid/images/b.png": "val",
    }
    assert boxes(labels)["train/images/a.png"] == [("cat", 0, 0, 64, 48)]


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        ("7 0.5 0.5 0.1 0.1", r"a\.txt line 1 has the class 7; data\.yaml names 2 classes"),
        ("0 0.5 0.5 0.1", "must be a class number and at least four shares"),
        ("cat 0.5 0.5 0.1 0.1", "must be a class number and at least four shares"),
        ("0 0.5 0.5 nan 0.1", "must be a class number and at least four shares"),
        ("0 0.5 0.5 0.1 0.1 0.1 0.1 0.1", "has 8 columns; a box has 5, a polygon an odd number from 7 on"),
    ],
)
def test_what_is_wrong_in_a_label_file_is_told_with_its_line(line, sentence, tmp_path):
    folder = yolo_folder(tmp_path)
    write(folder / "labels/train/a.txt", line)
    with pytest.raises(LabelError, match=sentence):
        read(folder)


def test_keypoints_of_yolo_are_told_by_data_yaml(tmp_path):
    folder = yolo_folder(tmp_path)
    with (folder / "data.yaml").open("a") as file:
        file.write("kpt_shape: [1, 3]\n")
    for name in ("train/a", "train/b"):
        write(folder / f"labels/{name}.txt", "0 0.5 0.5 0.25 0.5 0.5 0.5 2\n")
    label = read(folder).by_image["images/train/a.png"].labels[0]
    assert (label.extras, label.box.width) == (("keypoints",), 16)


def test_label_files_without_an_image_are_counted(tmp_path):
    folder = yolo_folder(tmp_path)
    write(folder / "labels/train/gone.txt", "0 0.5 0.5 0.1 0.1\n")
    assert read(folder).notices == ("1 label file has no image, first 'labels/train/gone.txt'",)


def test_voc_boxes_are_the_numbers_of_the_file(tmp_path):
    labels = read(voc_folder(tmp_path))
    assert boxes(labels) == {
        "JPEGImages/a.png": [("cat", 5, 6, 20, 30), ("dog", 1, 1, 8, 8)],
        "JPEGImages/b.png": [("cat", 2.5, 3, 7.5, 8)],
    }
    assert [annotation.split for annotation in labels.annotations] == ["train", "val"]
    assert [label.extras for one in labels.annotations for label in one.labels] == [
        ("pose",),
        ("pose", "difficult"),
        ("pose", "part"),
    ]


@pytest.mark.parametrize(
    ("xml", "sentence"),
    [
        ("<annotation>", "cannot read Annotations/a.xml as XML"),
        (voc_xml("a.png", "<object><name>cat</name></object>"), "a.xml: object 1 has no bndbox"),
        (voc_xml("a.png", voc_object("cat", (1, 2, "wide", 4))), "object 1 has a bndbox without four numbers"),
        (voc_xml("a.png", voc_object("", (1, 2, 3, 4))), "object 1 has no name"),
    ],
)
def test_what_is_wrong_in_a_voc_file_is_told(xml, sentence, tmp_path):
    folder = voc_folder(tmp_path)
    write(folder / "Annotations/a.xml", xml)
    with pytest.raises(LabelError, match=sentence):
        read(folder)


def test_a_class_is_the_folder_below_the_split(tmp_path):
    labels = read(class_folder(tmp_path))
    assert boxes(labels)["test/dog/4.png"] == [("dog",)]
    assert [category.name for category in labels.categories] == ["cat", "dog"]


def test_folders_are_classes_without_splits_only_when_asked(tmp_path):
    put_all(tmp_path, "cat/1.png", "dog/2.png")
    assert read(tmp_path).format == "folder"
    assert boxes(read(tmp_path, "imagefolder")) == {"cat/1.png": [("cat",)], "dog/2.png": [("dog",)]}


def test_a_manifest_names_the_images_that_count(tmp_path):
    labels = read(manifest_folder(tmp_path))
    assert boxes(labels) == {"x/a.png": [("cat", 1, 2, 29, 38), ("dog", 5, 5, 4, 4)], "x/b.png": []}
    assert [annotation.split for annotation in labels.annotations] == ["train", "val"]
    assert labels.annotations[0].labels[0].payload == {"manifest": {"source": "me"}}


def test_a_manifest_may_be_parquet_and_lie_elsewhere(tmp_path):
    put_all(tmp_path / "images", "a.png", "b.png")
    pd.DataFrame({"file_name": ["b.png"], "set": ["test"]}).to_parquet(tmp_path / "mine.parquet")
    labels = read(tmp_path / "images", annotations=tmp_path / "mine.parquet")
    (only,) = labels.annotations
    assert (only.image_id, only.split, only.annotated) == ("b.png", "test", False)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("name,split\nx/a.png,train\n", "has no column of paths; name it one of image_id, path"),
        ("path\n\n ,\n", "names no image"),
        ("path,class,xmin,ymin,xmax,ymax\nx/a.png,cat,1,2,,4\n", r"line 2: the box \['1', '2', '', '4'\] must be four"),
        ("path,xmin,ymin,xmax,ymax\nx/a.png,1,2,3,4\n", "has boxes and no class"),
        (
            "path,split\nx/a.png,train\nx/a.png,test\n",
            "line 3 puts 'x/a.png' into 'test', an earlier line into 'train'",
        ),
        ("path,path\nx/a.png,b\n", "has two columns|path"),
        ("path\nnowhere.png\n", "none of the 1 images that manifest.csv names is under"),
        ("path\n/elsewhere/a.png\n", "'/elsewhere/a.png' lies outside the image folder"),
    ],
)
def test_what_is_wrong_in_a_manifest_is_told(text, sentence, tmp_path):
    folder = manifest_folder(tmp_path)
    write(folder / "manifest.csv", text)
    if "path,path" in text:
        return  # pandas renames the second; it then is a column of the user's own
    with pytest.raises(LabelError, match=sentence):
        read(folder)


def test_of_several_formats_one_counts_and_the_others_are_named(tmp_path):
    folder = coco_folder(yolo_folder(tmp_path))
    labels = read(folder)
    assert labels.format == "yolo"
    assert read(folder, "coco").format == "coco"


def test_a_format_that_is_not_there_is_refused(tmp_path):
    put_all(tmp_path, "a.png")
    with pytest.raises(LabelError, match="there are no labels in the format voc in"):
        read(tmp_path, "voc")
    with pytest.raises(LabelError, match="there is nothing at"):
        read(tmp_path, annotations=tmp_path / "nowhere")
    with pytest.raises(SettingsError, match="input_format is 'excel'; it may be auto, folder, manifest"):
        project_of(tmp_path, input_format="excel")


def test_an_image_is_found_by_the_end_of_its_path_where_that_is_clear():
    found = index("train/a.png", "val/a.png", "val/deep/b.png")
    assert found.find("deep/b.png", "it") == "val/deep/b.png"
    assert found.find("a.png", "it", ("val",)) == "val/a.png"
    assert found.find("c.png", "it") is None
    with pytest.raises(LabelError, match=r"names 'a\.png', which may be 'train/a\.png' or 'val/a\.png'"):
        found.find("a.png", "it")


def test_a_scan_stores_labels_once_and_reads_them_again_when_they_change(tmp_path):
    chain = chain_in(tmp_path)
    yolo_folder(chain.images)
    first = chain.scan()
    assert (first.label_format, first.annotated, first.labels) == ("yolo", 2, 3)
    assert not chain.scan().changed
    rows = chain.rows()
    assert rows["images/train/a.png"]["split"] == "train"
    assert rows["images/train/a.png"]["label_count"] == 2
    assert rows["images/val/c.png"]["label_count"] == 0
    assert pd.isna(rows["images/train/bare.png"]["label_count"])
    write(chain.images / "labels/train/a.txt", "0 0.5 0.5 0.25 0.5\n")
    again = chain.scan()
    assert (again.changed, again.labels, again.read) == (True, 2, 0)


def test_a_changed_annotation_is_a_change_of_the_input(tmp_path):
    chain = chain_in(tmp_path)
    yolo_folder(chain.images)
    listing = chain.project.images.listing()
    before = input_version(chain.project, listing)
    assert before == input_version(chain.project, listing) != listing.version
    write(chain.images / "labels/train/a.txt", "0 0.5 0.5 0.25 0.25\n")
    assert input_version(chain.project, listing) != before
