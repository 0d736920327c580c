"""Looking through images, trying thresholds, collections and datasets, over HTTP."""

import csv
import io
import itertools
import json
import os
from concurrent.futures import ThreadPoolExecutor, wait
from pathlib import Path

import numpy as np
import pytest

from dedup_assets.core.exploring.browse import HISTOGRAM_BARS, histogram_of
from dedup_assets.core.project import remembered
from dedup_assets.core.run import Run
from dedup_assets.core.settings import Thresholds
from dedup_assets.core.steps import score_uniqueness
from dedup_assets.core.storage import schema
from dedup_assets_tests.explorer.support import BROKEN, COPIES, apply_decisions


def test_the_duplicates_shortcut_holds_the_duplicates_and_no_keeper(page):
    assert set(page.ids(min=0, max=0.0001)) == set(COPIES)


def test_the_range_is_inclusive_and_leaves_out_what_has_no_score(page):
    near = page.ids(min=0, max=0.05)
    assert len(near) == len(COPIES) + 9
    assert BROKEN not in near
    assert BROKEN in page.ids()


def test_ascending_shows_duplicates_first_and_descending_last(page):
    up, down = page.ids(), page.ids(order="desc")
    assert set(up[:3]) == set(COPIES)
    assert set(down[-4:-1]) == set(COPIES)
    assert up[-1] == down[-1] == BROKEN


def test_near_duplicates_stand_next_to_their_partners(page):
    tiles = page.get("/api/images", label="near", limit=400).json()["tiles"]
    groups = [tile["group"] for tile in tiles]
    assert sum(one != other for one, other in itertools.pairwise(groups)) == len(set(groups)) - 1


def test_images_can_be_sorted_by_path_and_size(page):
    assert page.ids(sort="path") == sorted(page.ids())
    sizes = [tile["bytes"] for tile in page.get("/api/images", sort="size", order="desc", limit=400).json()["tiles"]]
    assert sizes == sorted(sizes, reverse=True)


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ({"q": "_AGAIN.png", "split": "test"}, {"test/2_again.png", "test/3_again.png", "test/4_again.png"}),
        ({"label": "unreadable"}, {BROKEN}),
        ({"tag": "Duplicates"}, set(COPIES)),
        ({"folder": "test", "label": "unique"}, {"test/0_copy.png"}),
        ({"folder": "test", "not": "Duplicates", "q": "0"}, {"test/0_copy.png"}),
    ],
)
def test_filters_narrow_the_view(page, query, expected):
    assert set(page.ids(**query)) == expected


def test_the_histogram_counts_the_filter_but_not_the_range(page):
    answer = page.get("/api/images", min=0, max=0.0001, split="train").json()
    assert len(answer["histogram"]) == HISTOGRAM_BARS
    assert sum(answer["histogram"]) == 11
    assert answer["histogram"][0] == len(COPIES)


def test_a_bar_holds_its_upper_edge_and_a_file_without_a_score_is_in_none():
    counts = histogram_of(np.array([0.0, (1 / HISTOGRAM_BARS) ** 3, 1.0, np.nan]))
    assert (counts[0], counts[-1], counts.sum()) == (2, 1, 3)


def test_similar_items_hold_identical_and_near_images_with_distances(page):
    text = page.get("/image", id="train/1.png").text
    assert text.count('class="mini"') == 2
    assert text.count(">identical<") == 2


def test_what_comes_next_in_resemblance_is_asked_of_the_vectors(page):
    found = page.get("/api/resembling", id="train/7.png").json()["images"]
    distances = [entry["distance"] for entry in found]
    assert distances == sorted(distances)
    assert "train/7.png" not in {entry["tile"]["id"] for entry in found}


# ---- what if


@pytest.mark.parametrize(("duplicate", "near"), [(0.0, 0.05), (0.0001, 0.0002), (0.02, 0.05), (0.0001, 0.1)])
def test_what_if_foretells_what_the_chain_does(page, store, duplicate, near):
    page.post("/api/decide", images=[COPIES[1]], decision="keep", reviewer="ann")
    foretold = page.get("/api/whatif", duplicate=duplicate, near=near).json()
    before = set(page.ids(tag="Duplicates"))
    project = remembered(store)
    score_uniqueness(project, Thresholds(duplicate, near), Run())
    summary = apply_decisions(project)
    page.app.state.explorer.watch.fresh()
    after = set(page.ids(tag="Duplicates"))
    assert (foretold["removed"], foretold["kept"]) == (summary.removed, summary.kept)
    assert {change["image"]["id"] for change in foretold["leave"]["shown"]} == after - before
    assert {change["image"]["id"] for change in foretold["comeBack"]["shown"]} == before - after
    waiting = json.loads(store.step("duplicates").summary)["waiting_pairs"]
    assert foretold["waiting"] == waiting
    assert foretold["near"] == len(page.ids(label="near"))


def test_what_if_does_not_wait_for_a_review_that_is_being_read(page, store):
    explorer, said = page.app.state.explorer, store.decisions_file
    snapshot = explorer.snapshot()
    os.mkfifo(said)  # as a share that does not answer for a while
    with ThreadPoolExecutor(2) as pool:
        reading = pool.submit(explorer.review, snapshot)
        with said.open("w") as share:  # once somebody reads there
            asked = pool.submit(explorer.whatif, snapshot)
            done, _ = wait([asked], timeout=20)
            share.write("image_id,decision\n")
    assert done
    assert reading.result().error is None


def test_thresholds_that_are_refused_are_one_sentence(page):
    assert "must be smaller than" in page.get("/api/whatif", duplicate=0.05, near=0.01).json()["error"]
    assert "beyond the stored pairs" in page.get("/api/whatif", near=0.5).json()["error"]


# ---- collections


def test_images_go_into_a_collection_and_out_of_it(page):
    both = ["train/6.png", "train/7.png"]
    assert page.post("/api/collections/add", tag="odd ones", images=both).json() == {"changed": 2}
    assert page.post("/api/collections/add", tag="odd ones", images=["train/6.png"]).json() == {"changed": 0}
    assert set(page.ids(tag="odd ones")) == set(both)
    assert page.post("/api/collections/take", tag="odd ones", images=["train/6.png"]).json() == {"changed": 1}
    assert page.ids(tag="odd ones") == ["train/7.png"]


def test_a_whole_view_but_some_goes_into_a_collection(page):
    page.post("/api/collections/add", tag="by score", view="min=0&max=0.05", **{"except": ["train/2.png"]})
    assert set(page.ids(tag="by score")) == set(page.ids(min=0, max=0.05)) - {"train/2.png"}


def test_a_run_of_the_chain_keeps_the_collections_of_people(page, store):
    page.post("/api/collections/add", tag="mine", images=["train/6.png"])
    page.post("/api/decide", images=[COPIES[0]], decision="keep")
    apply_decisions(remembered(store))
    assert set(store.read(schema.TAGS)["tag"]) == {"mine", "Duplicates"}


def test_duplicates_cannot_be_written_as_a_collection(page):
    for tag in ("Duplicates", " duplicates ", "", "a;b", "x" * 81):
        assert page.post("/api/collections/add", tag=tag, images=["train/6.png"]).status_code == 400


def test_adding_to_duplicates_says_what_it_means_before_it_decides(page, store):
    view = "min=0&max=0.05"
    plan = page.post("/api/collections/duplicates", view=view, confirm=False).json()
    seen = plan["seen"]
    assert plan == {"removes": 5, "already": 3, "keptBack": 4, "alone": 0, "seen": seen}
    assert not store.decisions_file.exists()
    confirmed = {"view": view, "confirm": True, "reviewer": "ann"}
    assert "changed since" in page.post("/api/collections/duplicates", **confirmed, seen="another").json()["error"]
    assert not store.decisions_file.exists()
    assert page.post("/api/collections/duplicates", **confirmed, seen=seen).json() == plan
    summary = apply_decisions(remembered(store))
    assert summary.removed == 8


def test_an_image_without_a_near_duplicate_is_not_removed_by_adding_it(page):
    plan = page.post("/api/collections/duplicates", images=["train/6.png"], confirm=False).json()
    assert (plan["removes"], plan["alone"]) == (0, 1)


def test_the_dataset_of_everything_but_duplicates_is_the_one_the_chain_makes(page, store):
    answer = page.post("/api/collections/dataset", without=["Duplicates"], name="by-hand", description="mine").json()
    by_chain = json.loads(store.step("deduplicated_dataset").summary)
    assert (answer["version"], answer["kept"]) == (by_chain["dataset_version"], by_chain["kept"])
    for name in ("manifest.csv", "removed.csv"):
        assert (Path(answer["folder"]) / name).read_bytes() == (Path(by_chain["folder"]) / name).read_bytes()
    assert set(store.read(schema.DATASETS)["name"]) == {"by-hand", "deduplicated"}


def test_the_dataset_of_a_collection_holds_its_images(page):
    page.post("/api/collections/add", tag="few", images=["train/6.png", "train/0.png", BROKEN])
    answer = page.post("/api/collections/dataset", tags=["few"], name="few").json()
    manifest = list(csv.DictReader((Path(answer["folder"]) / "manifest.csv").open()))
    assert [row["image_id"] for row in manifest] == ["train/0.png", "train/6.png"]
    assert (Path(answer["folder"]) / "images" / "train" / "6.png").is_file()


@pytest.mark.parametrize("name", ["", "..", "a/b", "deduplicated"])
def test_a_dataset_with_an_impossible_name_is_refused(page, name):
    assert page.post("/api/collections/dataset", without=["Duplicates"], name=name).status_code == 400


def test_a_view_can_be_downloaded_as_csv(page):
    answer = page.get("/collections/download.csv", tag="Duplicates")
    rows = list(csv.DictReader(io.StringIO(answer.text)))
    assert {row["image_id"] for row in rows} == set(COPIES)
    assert rows[0]["tags"] == "Duplicates"
    assert 'filename="Duplicates.csv"' in answer.headers["content-disposition"]
