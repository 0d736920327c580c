"""Real labelled datasets, through import, deduplication, export and import again. Not part of the repository."""

import csv
import json
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

import dedup_assets
from dedup_assets.core.labels.exporting import export_dataset
from dedup_assets.core.labels.importing import label_set
from dedup_assets.core.scoring.leakage import leakage
from dedup_assets.core.storage import schema
from dedup_assets_tests.chain import chain_in, removed
from dedup_assets_tests.labels.support import boxes, read

DATA = Path(dedup_assets.__file__).parents[2] / "shared" / "data"


def data(name):
    if not (DATA / name).is_dir():
        pytest.skip(f"needs the real pictures in {DATA / name}")
    return DATA / name


def voc_objects(path):
    """(name, the four corners) of every object of an annotation file, as text."""
    corners = ("xmin", "ymin", "xmax", "ymax")
    found = ET.parse(path).getroot().iter("object")
    return sorted((one.findtext("name"), *(one.findtext(f"bndbox/{corner}") for corner in corners)) for one in found)


def by_name(found):
    return {image.rpartition("/")[2]: labels for image, labels in found.items()}


@pytest.mark.slow
def test_raccoon_keeps_every_box_and_removes_each_identical_copy_once(tmp_path):
    images = data("raccoon")
    chain = chain_in(tmp_path, images, workers=2)
    summaries = chain.run()
    with (images / "pairs_eye.csv").open() as file:
        natural = {frozenset((row["path_a"], row["path_b"])): row["label"] for row in csv.DictReader(file)}
    identical = [pair for pair, label in natural.items() if label == "0"]
    contents = {row["image_id"]: row["content_id"] for row in chain.rows().values()}
    near = chain.store.read(schema.PAIRS, "distance <= 0.05")[["image_a", "image_b"]].itertuples(index=False, name=None)
    found = {frozenset((contents[a], contents[b])) for a, b in near}
    assert all(
        len({contents[image] for image in pair}) == 1 or frozenset(map(contents.get, pair)) in found for pair in natural
    )
    gone = removed(chain)
    assert [len(gone & pair) for pair in identical] == [1, 1, 1, 1]
    assert len(gone) == 4
    conflicts = chain.store.read(schema.LABEL_CONFLICTS)
    assert set(conflicts["image_id"]) == gone
    assert set(conflicts["difference"]) == {"moved"}
    assert summaries["raw_images"].labels == 217
    export_dataset(chain.store, "voc", tmp_path / "out")
    torchvision = pytest.importorskip("torchvision.datasets", reason="torchvision is not installed")
    dataset = torchvision.VOCDetection(str(tmp_path / "out"), image_set="trainval")
    assert len(dataset) == 196
    for _, target in dataset:
        said = target["annotation"]
        before = voc_objects(images / "annotations" / f"{Path(said['filename']).stem}.xml")
        after = sorted(
            (one["name"], *(one["bndbox"][side] for side in ("xmin", "ymin", "xmax", "ymax"))) for one in said["object"]
        )
        assert after == before
    again = chain_in(tmp_path / "again", tmp_path / "out", workers=2)
    assert again.run()["duplicates"].removed == 0
    kept = {
        image.rpartition("/")[2]: found for image, found in boxes(label_set(chain.store)).items() if image not in gone
    }
    assert {image.rpartition("/")[2]: found for image, found in boxes(label_set(again.store)).items()} == kept


@pytest.mark.slow
def test_coco128_keeps_every_box(tmp_path):
    images = data("coco128")
    chain = chain_in(tmp_path, images, workers=2)
    summary = chain.run()["raw_images"]
    assert (summary.label_format, summary.labels, removed(chain)) == ("yolo", 929, set())
    assert summary.label_notices == ("2 label files have no image, first 'labels/train2017/000000000656.txt'",)
    export_dataset(chain.store, "yolo", tmp_path / "yolo")
    for path in (tmp_path / "yolo" / "labels" / "train").iterdir():
        before = (images / "labels" / "train2017" / path.name).read_text().split("\n")
        assert path.read_text().split() == " ".join(before).split()
    export_dataset(chain.store, "coco", tmp_path / "coco")
    coco = pytest.importorskip("pycocotools.coco", reason="pycocotools is not installed")
    api = coco.COCO(str(tmp_path / "coco" / "annotations" / "instances_train.json"))
    by_image = {}
    for one in api.anns.values():
        name = api.imgs[one["image_id"]]["file_name"]
        by_image.setdefault(name, []).append(
            (api.cats[one["category_id"]]["name"], *(round(side, 2) for side in one["bbox"]))
        )
    kept = boxes(label_set(chain.store))
    assert {name: sorted(found) for name, found in by_image.items()} == {
        f"train/{image.rpartition('/')[2]}": found for image, found in kept.items() if found
    }
    assert by_name(boxes(read(tmp_path / "yolo"))) == by_name(kept)
    assert json.loads((tmp_path / "coco" / "dedup_export.json").read_text())["label_count"] == 929


@pytest.mark.slow
def test_cifar_pairs_of_test_and_train_are_leakage_and_test_loses_nothing(tmp_path):
    from dedup_assets.core.settings import Thresholds

    images = data("cifair10_dev")
    chain = chain_in(tmp_path, images, workers=2, protect=["test"])
    chain.run()
    with (images / "cifair10_pairs.csv").open() as file:
        known = {frozenset((row["path_a"], row["path_b"])) for row in csv.DictReader(file) if row["judgment"] == "1"}
    listed = chain.store.read(schema.PAIRS, "distance <= 0.05")
    found = known & {frozenset(pair) for pair in zip(listed["image_a"], listed["image_b"], strict=True)}
    report = leakage(chain.store)
    assert len(found) > len(known) // 2
    assert found <= {frozenset((leak.image_a, leak.image_b)) for leak in report.leaks}
    chain.run(Thresholds(0.0499, 0.05))
    gone = removed(chain)
    assert gone
    assert all(image.startswith("train/") for image in gone)
    scores = chain.store.read(schema.SCORES, "keeper_id IS NOT NULL")
    stay = set(scores["image_id"]) - gone
    left = [leak for leak in leakage(chain.store).leaks if leak.left]
    assert all(leak.image_a in stay for leak in left)  # near a test image that only stays because it is protected
