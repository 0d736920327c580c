"""The whole chain on small folders: what a run leaves, what the next one does, and that the way there does not matter."""

import os
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from dedup_assets.core import images as images_module
from dedup_assets.core import schema, steps
from dedup_assets.core.errors import DecisionError, DedupError, NoImagesError, NoSurvivorError
from dedup_assets.core.rules import RULES, StoreRows
from dedup_assets.core.run import Run
from dedup_assets.core.settings import Thresholds
from dedup_assets_tests.chain import RESULTS, chain_in
from dedup_assets_tests.pictures import exif, grain, photo, put, put_photos

WITHOUT_TIMES = ("resolution", "bytes", "image_id")  # a keeper order in which a later scan is no reason


@pytest.fixture
def chain(tmp_path):
    """Five photos 000 to 004; z/ holds a copy of 001 and of 002, the latter in another format; one broken file."""
    chain = chain_in(tmp_path)
    put_photos(chain.images, range(5))
    put(photo(1), chain.images / "z" / "copy.png")
    put(photo(2), chain.images / "z" / "other.bmp")
    (chain.images / "broken.jpg").write_text("text")
    return chain


@pytest.fixture(autouse=True)
def rules_hold(request):
    """Whatever a test did with its chain, the promises hold at its end."""
    yield
    chain = request.getfixturevalue("chain") if "chain" in request.fixturenames else None
    if chain and chain.store.step("duplicates"):
        rows = StoreRows(chain.store)
        assert {rule.name for rule in RULES if not rule.check(rows, 0.0001).passed} == set()


def removed(chain):
    return set(chain.store.read(schema.TAGS)["image_id"])


def dataset_folder(summaries):
    return Path(summaries["deduplicated_dataset"].folder)


# ---- one run


def test_a_run_removes_copies_and_keeps_one_of_each_picture(chain):
    summaries = chain.run()
    assert removed(chain) == {"z/copy.png", "002.png"}
    assert chain.rows(schema.SCORES)["z/copy.png"]["keeper_id"] == "001.png"
    assert chain.rows(schema.SCORES)["002.png"]["keeper_id"] == "z/other.bmp"
    assert (summaries["raw_images"].files, summaries["raw_images"].readable) == (8, 7)
    assert (summaries["uniqueness_scores"].duplicates, summaries["deduplicated_dataset"].kept) == (2, 5)


def test_the_reason_a_keeper_stays_is_stored(chain):
    chain.run()
    reasons = {image: row["keeper_reason"] for image, row in chain.rows(schema.SCORES).items()}
    assert reasons["z/copy.png"] == "first by name"
    assert reasons["002.png"].startswith("larger file")


def test_the_dataset_holds_what_is_kept_and_lists_what_is_removed(chain):
    folder = dataset_folder(chain.run())
    placed = {path.relative_to(folder / "images").as_posix() for path in (folder / "images").rglob("*.*")}
    kept = set(pd.read_csv(folder / "manifest.csv")["image_id"])
    gone = pd.read_csv(folder / "removed.csv").set_index("image_id")
    assert placed == kept == {"000.png", "001.png", "003.png", "004.png", "z/other.bmp"}
    assert gone["keeper_id"].to_dict() == {"002.png": "z/other.bmp", "z/copy.png": "001.png"}
    assert set(gone["reason"]) == {"identical"}


def test_a_broken_file_is_in_no_table_but_the_manifest(chain):
    chain.run()
    for table, column in ((schema.SCORES, "image_id"), (schema.TAGS, "image_id"), (schema.PAIRS, "image_a")):
        assert "broken.jpg" not in set(chain.store.read(table)[column])


def test_the_files_are_never_touched(chain):
    def state():
        files = [path for path in sorted(chain.images.rglob("*")) if path.is_file()]
        return [(path, path.read_bytes(), path.stat().st_mtime_ns) for path in files]

    before = state()
    chain.run()
    assert state() == before


@pytest.mark.parametrize("count", [1, 2, 31])
def test_of_n_identical_images_one_stays(tmp_path, count):
    chain = chain_in(tmp_path)
    for number in range(count):
        put(photo(1), chain.images / f"{number:02d}.png")
    chain.run()
    scores = chain.store.read(schema.SCORES)
    assert scores["uniqueness"].tolist() == [1.0] + [0.0] * (count - 1)


def test_odd_names_go_through_the_whole_chain(tmp_path):
    chain = chain_in(tmp_path, placement="copy")
    names = ["a,b.png", 'q"q.png', "new\nline.png", "späß ✓.png", os.fsdecode(b"caf\xe9.png")]
    for seed, name in enumerate(names):
        put(photo(seed), chain.images / name)
    put(photo(4), chain.images / "z.png")
    folder = dataset_folder(chain.run())
    kept = {*names[:4], r"caf\xe9.png"}
    assert set(chain.rows()) == kept | {"z.png"}
    assert {path.name for path in (folder / "images").iterdir()} == kept


def test_two_frames_of_the_same_first_picture_stay_apart(tmp_path):
    chain = chain_in(tmp_path)
    frames = [photo(seed).quantize(16) for seed in (1, 2)]
    put(frames[0], chain.images / "still.gif")
    put(frames[0], chain.images / "moving.gif", save_all=True, append_images=frames[1:])
    chain.run()
    assert removed(chain) == set()


# ---- the next run


def test_a_second_run_decodes_nothing_and_changes_nothing(chain, monkeypatch):
    for name in ("a.jpg", "b.jpg"):
        put(grain(1, (600, 400)), chain.images / name, exif=exif(text=name))
    chain.run()
    before = chain.store.database.read_bytes()

    def opened(*_):
        raise AssertionError("a picture was opened")

    monkeypatch.setattr(images_module.Image, "open", opened)
    summaries = chain.run(run_id="second")
    assert not any(summary.changed for summary in summaries.values())
    assert (summaries["raw_images"].read, summaries["embeddings"].computed) == (0, 0)
    assert chain.store.database.read_bytes() == before


def add(folder):
    put_photos(folder, range(10, 14))
    put(photo(3), folder / "z" / "three.png")


def delete(folder):
    (folder / "001.png").unlink()
    (folder / "004.png").unlink()


def rename(folder):
    (folder / "000.png").rename(folder / "renamed.png")
    (folder / "z").rename(folder / "y")


def change(folder):
    put(photo(50), folder / "001.png")
    put(photo(3), folder / "000.png")
    put(photo(51), folder / "broken.jpg")


def break_one(folder):
    (folder / "003.png").write_text("broken now")


@pytest.mark.parametrize("edits", [[add], [delete], [rename], [change], [break_one], [add, change, delete, rename]])
def test_an_incremental_run_equals_a_fresh_one(chain, edits):
    chain.settings["keeper_order"] = WITHOUT_TIMES
    chain.run()
    for edit in edits:
        edit(chain.images)
        summaries = chain.run()
    fresh = chain_in(chain.images.parent / "fresh", chain.images, keeper_order=WITHOUT_TIMES)
    fresh_summaries = fresh.run()
    assert chain.results() == fresh.results()
    versions = {name: summary.version for name, summary in summaries.items()}
    assert versions == {name: summary.version for name, summary in fresh_summaries.items()}


def test_the_number_of_workers_changes_nothing(chain):
    put(grain(1, (600, 400)), chain.images / "a.jpg")
    put(grain(1, (600, 400)), chain.images / "b.jpg", exif=exif(text="other"))
    other = chain_in(chain.images.parent / "other", chain.images, workers=4)
    chain.run()
    other.run()
    assert chain.results() == other.results()
    versions = [dataset_folder(each.run()).name for each in (chain, other)]
    assert versions[0] == versions[1]


def test_another_place_of_the_folder_gives_the_same_results(chain):
    chain.run()
    shutil.copytree(chain.images, chain.images.parent / "elsewhere" / "pictures")
    moved = chain_in(chain.images.parent / "moved", chain.images.parent / "elsewhere" / "pictures")
    moved.run()
    assert moved.results() == chain.results()


# ---- thresholds


def test_another_threshold_runs_the_scores_and_not_the_search(chain):
    chain.run()
    before = chain.store.step("neighbours")
    summaries = chain.run(Thresholds(0.0, 0.06))
    assert not summaries["neighbours"].changed
    assert chain.store.step("neighbours") == before
    assert (summaries["uniqueness_scores"].near_duplicate_threshold, removed(chain)) == (0.06, {"z/copy.png", "002.png"})


def test_a_threshold_beyond_the_stored_pairs_widens_the_search_and_says_so(chain):
    chain.run()
    scores, heard = chain.results([schema.SCORES]), []
    summaries = chain.run(Thresholds(0.0001, 0.9), say=heard.append)
    contents = summaries["raw_images"].contents
    pairs = chain.store.read(schema.PAIRS)
    assert len(pairs) == contents * (contents - 1) // 2
    assert summaries["uniqueness_scores"].near_duplicates == contents
    assert heard == ["near_duplicate_threshold 0.9 is beyond the stored pairs; searching again"]
    chain.run()
    assert chain.results([schema.SCORES]) == scores


def test_a_wide_duplicate_threshold_leaves_no_two_keepers_within_it(chain):
    chain.run(Thresholds(0.25, 0.9))
    stays = set(chain.store.read(schema.SCORES, "keeper_id IS NULL")["image_id"])
    pairs = chain.store.read(schema.PAIRS, "distance <= 0.25")
    assert len(pairs) > 0
    assert not (pairs["image_a"].isin(stays) & pairs["image_b"].isin(stays)).any()
    shutil.rmtree(chain.store.folder)  # the shared check of rules is about another threshold


def test_scores_of_what_stays_are_the_nearest_distances_of_a_search_without_bounds(chain):
    chain.run()
    scores = chain.store.read(schema.SCORES, "keeper_id IS NULL").set_index("image_id")["uniqueness"]
    steps.find_neighbours(chain.project, Run(), 0.9)
    pairs = chain.store.read(schema.PAIRS)
    for image, uniqueness in scores.items():
        near = pairs[(pairs["image_a"] == image) | (pairs["image_b"] == image)]
        assert uniqueness == near["distance"].min()


# ---- steps out of order


@pytest.mark.parametrize(
    ("step", "missing"),
    [
        (steps.embed_images, "raw_images"),
        (steps.find_neighbours, "raw_images"),
        (lambda project, run: steps.score_uniqueness(project, Thresholds(), run), "neighbours"),
        (steps.collect_duplicates, "uniqueness_scores"),
        (steps.write_dataset, "duplicates"),
    ],
)
def test_a_step_whose_upstream_never_ran_names_it(chain, step, missing):
    with pytest.raises(DedupError, match=f"'{missing}' has not run yet for the store '.*'; materialise it first"):
        step(chain.project, Run())


def test_neighbours_before_embeddings_say_what_is_missing(chain):
    chain.scan()
    with pytest.raises(DedupError, match="some images have no vectors yet; materialise 'embeddings' first"):
        steps.find_neighbours(chain.project, Run())


def test_scores_after_a_changed_folder_say_what_is_missing(chain):
    chain.run()
    put_photos(chain.images, [20])
    chain.scan()
    with pytest.raises(DedupError, match="the images changed since the neighbours were searched; materialise 'neigh"):
        steps.score_uniqueness(chain.project, Thresholds(), Run())


def test_a_folder_that_became_empty_is_an_error_and_changes_nothing(chain):
    chain.run()
    before = chain.results()
    shutil.move(chain.images, chain.images.parent / "away")
    chain.images.mkdir()
    with pytest.raises(NoImagesError):
        chain.run()
    assert chain.results() == before


# ---- decisions


def test_a_decision_to_keep_restores_an_image_and_reruns_what_is_below_only(chain):
    chain.run()
    chain.decide("z/copy.png,keep")
    summaries = chain.run()
    changed = [name for name, summary in summaries.items() if summary.changed]
    assert changed == ["duplicates", "deduplicated_dataset"]
    assert removed(chain) == {"002.png"}
    record = chain.rows(schema.REMOVALS)
    assert pd.notna(record["z/copy.png"]["restored_at"])
    assert pd.isna(record["002.png"]["restored_at"])


def test_a_reviewed_removal_is_recorded_with_its_partner(chain):
    chain.decide("003.png,remove,004.png")
    chain.run(run_id="run-1")
    row = chain.rows(schema.REMOVALS)["003.png"]
    assert (row["keeper_id"], row["reason"], row["run_id"]) == ("004.png", "reviewed", "run-1")


def test_a_decision_follows_a_renamed_picture(chain):
    chain.decide("003.png,remove,004.png")
    chain.run()
    (chain.images / "003.png").rename(chain.images / "x.png")
    (chain.images / "004.png").rename(chain.images / "y.png")
    chain.run()
    assert "x.png" in removed(chain)
    assert chain.rows(schema.REMOVALS)["x.png"]["keeper_id"] == "y.png"


@pytest.mark.parametrize(
    ("lines", "error"),
    [
        (["nowhere.png,keep"], DecisionError),
        (["000.png,delete"], DecisionError),
        (["000.png,remove"], NoSurvivorError),
        (["000.png,remove,001.png", "001.png,remove,000.png"], NoSurvivorError),
    ],
)
def test_a_decision_that_cannot_be_applied_changes_nothing(chain, lines, error):
    summaries = chain.run()
    before = chain.results([*RESULTS, schema.REMOVALS, schema.DECISIONS, schema.DATASETS])
    chain.decide(*lines)
    with pytest.raises(error):
        chain.run()
    assert chain.results([*RESULTS, schema.REMOVALS, schema.DECISIONS, schema.DATASETS]) == before
    assert len(list(dataset_folder(summaries).parent.iterdir())) == 1


def test_what_people_tagged_is_left_alone(chain):
    tag = {"image_id": ["000.png"], "tag": ["favourites"], "reason": ["nice"], "run_id": [None], "tagged_at": [None]}
    chain.store.append(schema.TAGS, pd.DataFrame(tag).astype({"tagged_at": "datetime64[us]"}))
    chain.run()
    chain.run(Thresholds(0.0, 0.06))
    tags = chain.store.read(schema.TAGS)
    assert sorted(tags["tag"]) == ["Duplicates", "Duplicates", "favourites"]


# ---- datasets


def test_a_dataset_of_another_name_is_another_version_on_record(chain):
    chain.run()
    chain.settings["dataset_name"] = "other"
    summaries = chain.run()
    assert dataset_folder(summaries).parent.name == "other"
    assert summaries["deduplicated_dataset"].changed
    assert chain.store.read(schema.DATASETS)["name"].tolist() == ["deduplicated", "other"]


def test_an_earlier_result_that_comes_back_has_its_earlier_version(chain):
    first = dataset_folder(chain.run())
    chain.decide("z/copy.png,keep")
    second = dataset_folder(chain.run())
    chain.decide()
    assert dataset_folder(chain.run()) == first != second
    assert len(chain.store.read(schema.DATASETS)) == 2


def test_uniqueness_in_the_manifest_is_that_of_the_scores(chain):
    folder = dataset_folder(chain.run())
    manifest = pd.read_parquet(folder / "manifest.parquet").set_index("image_id")["uniqueness"]
    scores = chain.store.read(schema.SCORES).set_index("image_id")["uniqueness"]
    np.testing.assert_array_equal(manifest, scores.loc[manifest.index])
