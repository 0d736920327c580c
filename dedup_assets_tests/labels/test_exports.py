"""Exports: what goes in comes out, read by the libraries that training code uses, and by a new project."""

import json
import shutil
import warnings
from pathlib import Path

import pandas as pd
import pytest
import yaml

from dedup_assets.core.errors import DedupError, LabelError, SettingsError
from dedup_assets.core.labels.exporting import export_dataset
from dedup_assets.core.labels.importing import label_set
from dedup_assets.core.labels.layout import distinct_stems, flat_names, short_names
from dedup_assets_tests.chain import chain_in
from dedup_assets_tests.labels.support import (
    CROWD,
    boxes,
    class_folder,
    coco_folder,
    manifest_folder,
    read,
    voc_folder,
    yolo_folder,
)
from dedup_assets_tests.pictures import photo, put

MAKERS = {"coco": coco_folder, "yolo": yolo_folder, "voc": voc_folder, "manifest": manifest_folder}
BOXED = ("manifest", "coco", "yolo", "voc", "huggingface")


@pytest.fixture(scope="module")
def ran(tmp_path_factory):
    """By format, a chain that ran over a small folder in it."""
    chains = {}
    for name, maker in {**MAKERS, "imagefolder": class_folder}.items():
        chains[name] = chain_in(tmp_path_factory.mktemp(name))
        maker(chains[name].images)
        chains[name].run()
    return chains


def by_picture(labels):
    """The boxes of a label set by the name of the file, so that folders do not matter."""
    return {image.rpartition("/")[2]: found for image, found in boxes(labels).items() if found}


@pytest.mark.parametrize("source", MAKERS)
@pytest.mark.parametrize("target", BOXED)
def test_every_box_of_every_format_survives_every_other(source, target, ran, tmp_path):
    report = export_dataset(ran[source].store, target, tmp_path / "out")
    kept = label_set(ran[source].store)
    again = read(tmp_path / "out")
    assert again.format == target
    assert by_picture(again) == by_picture(kept)
    assert report.label_count == sum(len(annotation.labels) for annotation in kept.annotations)
    assert {one.split for one in again.annotations} == {one.split or "train" for one in kept.annotations}


def test_a_coco_file_comes_back_entry_by_entry(ran, tmp_path):
    export_dataset(ran["coco"].store, "coco", tmp_path / "out")
    before = json.loads((ran["coco"].images / "annotations" / "instances_train2017.json").read_text())
    after = json.loads((tmp_path / "out" / "annotations" / "instances_train.json").read_text())
    assert after["annotations"] == before["annotations"]
    assert (after["categories"], after["info"]) == (before["categories"], before["info"])
    assert after["images"] == [image | {"file_name": f"train/{image['file_name']}"} for image in before["images"]]
    val = json.loads((tmp_path / "out" / "annotations" / "instances_val.json").read_text())
    assert val["annotations"][0]["segmentation"] == CROWD


def test_yolo_label_files_come_back_letter_by_letter(ran, tmp_path):
    export_dataset(ran["yolo"].store, "yolo", tmp_path / "out")
    for name in ("train/a.txt", "train/b.txt", "val/c.txt"):
        assert (tmp_path / "out/labels" / name).read_text() == (ran["yolo"].images / "labels" / name).read_text()
    assert not (tmp_path / "out/labels/train/bare.txt").exists()
    said = yaml.safe_load((tmp_path / "out/data.yaml").read_text())
    assert (said["names"], said["license"], said["val"]) == ({0: "cat", 1: "dog"}, "mine", "images/val")


def test_voc_objects_come_back_with_everything_in_them(ran, tmp_path):
    export_dataset(ran["voc"].store, "voc", tmp_path / "out")
    text = "".join((tmp_path / "out/VOCdevkit/VOC2012/Annotations/b.xml").read_text().split())
    assert "<part><name>head</name><bndbox><xmin>1</xmin></bndbox></part>" in text
    assert "<owner><name>me</name></owner>" in text
    assert "<xmin>2.5</xmin>" in text


def test_what_a_format_cannot_hold_is_told_with_counts(ran, tmp_path):
    report = export_dataset(ran["coco"].store, "yolo", tmp_path / "out")
    assert report.left_out == {"attributes": 1, "iscrowd": 1, "keypoints": 1, "num_keypoints": 1, "segmentation": 2}
    assert "left out: 'segmentation' of 2 labels, which yolo cannot hold" in report.sentences
    assert json.loads((tmp_path / "out" / "dedup_export.json").read_text())["left_out"] == report.left_out


def test_what_is_said_of_whole_images_is_told_when_it_stays_behind(ran, tmp_path):
    report = export_dataset(ran["voc"].store, "coco", tmp_path / "out")
    assert report.left_out_of_images["owner"] == 2
    assert "left out: 'owner' of 2 images, which coco does not take from another format" in report.sentences
    assert export_dataset(ran["voc"].store, "voc", tmp_path / "same").left_out_of_images == {}


@pytest.mark.parametrize("through", ["manifest", "huggingface"])
def test_tables_carry_what_other_formats_say(through, ran, tmp_path):
    assert export_dataset(ran["coco"].store, through, tmp_path / "between").left_out == {}
    chain = chain_in(tmp_path, tmp_path / "between")
    chain.run()
    export_dataset(chain.store, "coco", tmp_path / "out")
    after = json.loads((tmp_path / "out" / "annotations" / "instances_train.json").read_text())["annotations"]
    assert after[0]["segmentation"] == [[1.5, 2, 21.75, 2, 21.75, 12]]
    assert after[1]["attributes"] == {"pose": "sitting"}


@pytest.mark.parametrize("placement", ["symlink", "hardlink", "copy"])
def test_images_are_placed_as_asked(placement, ran, tmp_path):
    export_dataset(ran["voc"].store, "coco", tmp_path / "out", placement=placement)
    image = tmp_path / "out/images/train/a.png"
    assert image.is_symlink() == (placement == "symlink")
    assert image.samefile(ran["voc"].images / "JPEGImages/a.png") == (placement != "copy")


def test_an_export_is_the_root_of_a_new_project(ran, tmp_path):
    export_dataset(ran["yolo"].store, "yolo", tmp_path / "out")
    chain = chain_in(tmp_path, tmp_path / "out")
    summaries = chain.run()
    assert summaries["raw_images"].label_format == "yolo"
    assert summaries["deduplicated_dataset"].kept == 4


def test_the_consumer_of_coco_finds_the_same_boxes(ran, tmp_path):
    coco = pytest.importorskip("pycocotools.coco", reason="pycocotools is not installed")
    torchvision = pytest.importorskip("torchvision.datasets", reason="torchvision is not installed")
    export_dataset(ran["yolo"].store, "coco", tmp_path / "out")
    file = tmp_path / "out/annotations/instances_train.json"
    api = coco.COCO(str(file))
    found = [(api.cats[one["category_id"]]["name"], *one["bbox"]) for one in api.anns.values()]
    assert len(api.imgs) == 3
    assert sorted((name, *(round(side, 2) for side in box)) for name, *box in found) == [
        ("cat", 24, 12, 16, 24),
        ("dog", 4.7, 7.2, 6.4, 4.8),
        ("dog", 6.4, 4.8, 25.6, 24),
    ]
    dataset = torchvision.CocoDetection(tmp_path / "out/images", str(file))
    assert sum(len(target) for _, target in (dataset[place] for place in range(len(dataset)))) == 3


def test_the_consumer_of_voc_finds_the_same_boxes(ran, tmp_path):
    torchvision = pytest.importorskip("torchvision.datasets", reason="torchvision is not installed")
    export_dataset(ran["voc"].store, "voc", tmp_path / "out")
    jpeg = tmp_path / "out/VOCdevkit/VOC2012/JPEGImages"
    for path in list(jpeg.iterdir()):  # torchvision looks for .jpg whatever the file is
        path.rename(path.with_suffix(".jpg"))
    dataset = torchvision.VOCDetection(str(tmp_path / "out"), image_set="train")
    (_, target), *others = [dataset[place] for place in range(len(dataset))]
    names = [(one["name"], one["bndbox"]["xmin"]) for one in target["annotation"]["object"]]
    assert (names, others) == ([("cat", "5"), ("dog", "1")], [])


def test_the_consumer_of_class_folders_finds_the_same_classes(ran, tmp_path):
    torchvision = pytest.importorskip("torchvision.datasets", reason="torchvision is not installed")
    export_dataset(ran["imagefolder"].store, "imagefolder", tmp_path / "out")
    dataset = torchvision.ImageFolder(str(tmp_path / "out" / "test"))
    assert dataset.classes == ["cat", "dog"]
    assert [target for _, target in dataset] == [0, 1]
    assert boxes(read(tmp_path / "out")) == boxes(label_set(ran["imagefolder"].store))


@pytest.mark.parametrize(("source", "column"), [("yolo", "objects"), ("imagefolder", "label")])
def test_the_datasets_library_opens_the_hugging_face_layout(source, column, ran, tmp_path, monkeypatch):
    monkeypatch.setenv("HF_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    datasets = pytest.importorskip("datasets", reason="the library datasets is not installed")
    export_dataset(ran[source].store, "huggingface", tmp_path / "out")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        opened = datasets.load_dataset("imagefolder", data_dir=str(tmp_path / "out"), cache_dir=str(tmp_path / "cache"))
    images = {name: len(split) for name, split in opened.items()}
    if column == "objects":
        assert images == {"train": 3, "validation": 1}
        assert sum(len(row["objects"]["bbox"]) for row in opened["train"]) == 3
    else:
        assert images == {"train": 2, "test": 2}
        assert sorted(opened["test"]["label"]) == ["cat", "dog"]


def test_classes_are_no_boxes_and_boxes_no_classes(ran, tmp_path):
    with pytest.raises(LabelError, match="has a class and no box; YOLO labels are boxes"):
        export_dataset(ran["imagefolder"].store, "yolo", tmp_path / "out")
    with pytest.raises(LabelError, match=r"has 2 boxes; an image-folder holds images of one class each"):
        export_dataset(ran["voc"].store, "imagefolder", tmp_path / "out")
    assert not list(tmp_path.iterdir())


def test_a_version_and_a_collection_can_be_chosen(ran, tmp_path):
    store = ran["voc"].store
    (version,) = [path for path in (store.datasets / "deduplicated").iterdir() if not path.is_symlink()]
    report = export_dataset(store, "manifest", tmp_path / "one", version=version.name[:6])
    assert (report.image_count, report.source) == (2, f"dataset deduplicated/{version.name}")
    with pytest.raises(DedupError, match=f"no dataset version 'zzz'; say one of deduplicated/{version.name}"):
        export_dataset(store, "manifest", tmp_path / "two", version="zzz")
    with pytest.raises(SettingsError, match="there is no collection 'mine'; there are none"):
        export_dataset(store, "manifest", tmp_path / "two", collection="mine")


def test_an_export_does_not_change_when_the_annotations_do(tmp_path):
    chain = chain_in(tmp_path)
    yolo_folder(chain.images)
    first = chain.run()["deduplicated_dataset"]
    (chain.images / "labels/train/a.txt").write_text("1 0.5 0.5 0.1 0.1\n")
    second = chain.run()["deduplicated_dataset"]
    assert first.dataset_version != second.dataset_version
    report = export_dataset(chain.store, "yolo", tmp_path / "old", version=first.dataset_version)
    assert report.label_count == 3
    assert export_dataset(chain.store, "yolo", tmp_path / "new").label_count == 2


def test_a_name_means_the_newest_version_of_it_and_no_other_whose_digits_begin_so(tmp_path):
    chain = chain_in(tmp_path)
    voc_folder(chain.images)
    first = chain.run()["deduplicated_dataset"]
    chain.settings["dataset_name"] = first.dataset_version[0]
    put(photo(70), chain.images / "JPEGImages/more.png")
    second = chain.run()["deduplicated_dataset"]
    for number, (said, version) in enumerate(
        [(second.name, second), ("deduplicated", first), ("previous", first), ("latest", second)]
    ):
        report = export_dataset(chain.store, "coco", tmp_path / f"out{number}", version=said)
        assert (report.source, report.image_count) == (f"dataset {version.version}", version.kept)


def test_nothing_is_written_into_a_folder_that_holds_something(ran, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine.txt").write_text("mine")
    with pytest.raises(LabelError, match="exists and is not an empty folder"):
        export_dataset(ran["voc"].store, "coco", tmp_path / "out")
    with pytest.raises(LabelError, match="lies inside the image folder"):
        export_dataset(ran["voc"].store, "coco", ran["voc"].images / "out")
    with pytest.raises(SettingsError, match="format is 'excel'; it may be manifest, coco"):
        export_dataset(ran["voc"].store, "excel", tmp_path / "new")


def test_an_image_that_is_gone_stops_the_export_and_leaves_nothing(tmp_path):
    chain = chain_in(tmp_path, placement="none")
    voc_folder(chain.images)
    chain.run()
    (chain.images / "JPEGImages/a.png").unlink()
    with pytest.raises(LabelError, match="is gone; run again and export"):
        export_dataset(chain.store, "coco", tmp_path / "out", placement="copy")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["images", "store"]


@pytest.mark.parametrize("standing", ["symlink", "none"])
@pytest.mark.parametrize("placement", ["symlink", "hardlink", "copy"])
def test_a_picture_that_took_the_place_of_the_one_scanned_is_not_exported(standing, placement, tmp_path):
    chain = chain_in(tmp_path, placement=standing)
    voc_folder(chain.images)
    chain.run()
    put(photo(77), chain.images / "JPEGImages/a.png")
    with pytest.raises(LabelError, match=r"JPEGImages/a.png' is no longer the picture that was scanned.*; run again"):
        export_dataset(chain.store, "coco", tmp_path / "out", placement=placement)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["images", "store"]


def test_an_export_of_links_reads_no_picture_that_has_the_size_and_time_of_the_scan(ran, tmp_path, monkeypatch):
    monkeypatch.setattr(Path, "read_bytes", None)
    export_dataset(ran["voc"].store, "coco", tmp_path / "out")


def test_a_version_of_copies_is_exported_whatever_became_of_the_images(tmp_path):
    chain = chain_in(tmp_path, placement="copy")
    voc_folder(chain.images)
    chain.run()
    before = (chain.images / "JPEGImages/a.png").read_bytes()
    put(photo(77), chain.images / "JPEGImages/a.png")
    export_dataset(chain.store, "coco", tmp_path / "out")
    assert (tmp_path / "out/images/train/a.png").read_bytes() == before


def test_the_manifest_is_written_as_both_kinds_of_table(ran, tmp_path):
    export_dataset(ran["manifest"].store, "manifest", tmp_path / "out")
    rows = pd.read_parquet(tmp_path / "out/manifest.parquet")
    assert list(rows["class"].dropna()) == ["cat", "dog"]
    assert list(rows["source"].dropna()) == ["me"]
    assert len(pd.read_csv(tmp_path / "out/manifest.csv")) == len(rows) == 3


def test_names_are_short_and_all_different():
    assert short_names(["images/train2017/a.jpg", "images/val/b.jpg"], ["train", "val"]) == ["train/a.jpg", "val/b.jpg"]
    assert short_names(["x/a.jpg", "x/train/a.jpg"], ["train", "train"]) == ["train/x/a.jpg", "train/x/train/a.jpg"]
    assert short_names(["data/images/a.jpg"], [None], "all") == ["all/a.jpg"]
    assert flat_names(["x/a.jpg", "y/b.jpg"]) == ["a.jpg", "b.jpg"]
    assert flat_names(["x/a.jpg", "y/a.png", "x_a.bmp"]) == ["x_a.jpg", "y_a.png", "x_a_2.bmp"]
    assert distinct_stems(["t/a.jpg", "t/A.png"]) == ["t/a.jpg", "t/A_2.png"]


def test_exports_leave_no_trace_of_a_run_that_failed(ran, tmp_path):
    shutil.rmtree(tmp_path / "out", ignore_errors=True)
    with pytest.raises(LabelError):
        export_dataset(ran["voc"].store, "imagefolder", tmp_path / "out")
    assert not list(tmp_path.iterdir())
