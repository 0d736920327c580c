"""The whole chain on small folders: what a run leaves, and that the way there does not matter."""

import json
import os
import shutil
from dataclasses import replace

import pandas as pd
import pytest

from dedup_assets.core import images as images_module
from dedup_assets.core import steps
from dedup_assets.core.errors import DedupError, NoImagesError
from dedup_assets.core.run import Run
from dedup_assets.core.settings import Thresholds
from dedup_assets.core.storage import schema
from dedup_assets_tests.chain import chain_in, dataset_folder, only_dataset, removed
from dedup_assets_tests.pictures import exif, grain, photo, put, put_photos

WITHOUT_TIMES = ("resolution", "bytes", "image_id")  # a keeper order in which a later scan is no reason


# ---- one run


def test_a_run_removes_copies_and_keeps_one_of_each_picture(chain):
    summaries = chain.run()
    assert removed(chain) == {"z/copy.png", "002.png"}
    assert chain.rows(schema.SCORES)["z/copy.png"]["keeper_id"] == "001.png"
    assert chain.rows(schema.SCORES)["002.png"]["keeper_id"] == "z/other.bmp"
    assert (summaries["raw_images"].files, summaries["raw_images"].readable) == (8, 7)
    assert (summaries["uniqueness_scores"].duplicates, summaries["deduplicated_dataset"].kept) == (2, 5)


def test_the_reason_a_keeper_stays_is_stored(ran):
    reasons = {image: row["keeper_reason"] for image, row in ran.rows(schema.SCORES).items()}
    assert reasons["z/copy.png"] == "first by name"
    assert reasons["002.png"].startswith("larger file")


def test_the_dataset_holds_what_is_kept_and_lists_what_is_removed(ran):
    folder = only_dataset(ran)
    placed = {path.relative_to(folder / "images").as_posix() for path in (folder / "images").rglob("*.*")}
    kept = set(pd.read_csv(folder / "manifest.csv")["image_id"])
    gone = pd.read_csv(folder / "removed.csv").set_index("image_id")
    assert placed == kept == {"000.png", "001.png", "003.png", "004.png", "z/other.bmp"}
    assert gone["keeper_id"].to_dict() == {"002.png": "z/other.bmp", "z/copy.png": "001.png"}
    assert set(gone["reason"]) == {"identical"}


def test_a_broken_file_is_in_no_table_but_the_manifest(ran):
    for table, column in ((schema.SCORES, "image_id"), (schema.TAGS, "image_id"), (schema.PAIRS, "image_a")):
        assert "broken.jpg" not in set(ran.store.read(table)[column])


def test_the_files_are_never_touched(chain):
    def state():
        files = [path for path in sorted(chain.images.rglob("*")) if path.is_file()]
        return [(path, path.read_bytes(), path.stat().st_mtime_ns) for path in files]

    before = state()
    chain.run()
    assert state() == before


@pytest.mark.parametrize("count", [1, 31])
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


def test_copies_asked_for_later_are_made_of_the_version_that_stands_and_stay(chain):
    chain.run()
    chain.settings["placement"] = "copy"
    summary = chain.run()["deduplicated_dataset"]
    assert (summary.changed, summary.created) == (True, False)
    kept = [path for path in (only_dataset(chain) / "images").rglob("*.*") if not path.is_dir()]
    assert len(kept) == summary.kept
    assert not any(path.is_symlink() for path in kept)
    assert chain.rows(schema.DATASETS, "name")["deduplicated"]["placement"] == "copy"
    assert json.loads(chain.store.step("deduplicated_dataset").settings)["placement"] == "copy"
    assert not chain.run()["deduplicated_dataset"].changed

    chain.settings["placement"], said = "symlink", []
    assert not chain.run(say=said.append)["deduplicated_dataset"].changed
    assert not any(path.is_symlink() for path in kept)
    assert f"stay placed as copy; to have them as symlink, delete '{summary.folder}' and run again" in said[-1]


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


def add_and_break(folder):
    add(folder)
    (folder / "003.png").write_text("broken now")


def delete_and_rename(folder):
    delete(folder)
    rename(folder)


@pytest.mark.parametrize(
    "edits",
    [
        [add_and_break],
        [delete_and_rename],
        [change],
        pytest.param([add, change, delete, rename], marks=pytest.mark.slow),
    ],
)
def test_an_incremental_run_equals_a_fresh_one(ran, edits):
    ran.settings["keeper_order"] = WITHOUT_TIMES
    for edit in edits:
        edit(ran.images)
        summaries = ran.run()
    fresh = chain_in(ran.images.parent / "fresh", ran.images, keeper_order=WITHOUT_TIMES)
    fresh_summaries = fresh.run()
    assert ran.results() == fresh.results()
    for name in set(summaries) - {"duplicates"}:  # whose record tells the history too
        assert summaries[name].version == fresh_summaries[name].version


def test_the_number_of_workers_changes_nothing(chain):
    put(grain(1, (600, 400)), chain.images / "a.jpg")
    put(grain(1, (600, 400)), chain.images / "b.jpg", exif=exif(text="other"))
    other = chain_in(chain.images.parent / "other", chain.images, workers=4)
    versions = [dataset_folder(each.run()).name for each in (chain, other)]
    assert chain.results() == other.results()
    assert versions[0] == versions[1]


def test_another_place_of_the_folder_gives_the_same_results(ran):
    shutil.copytree(ran.images, ran.images.parent / "elsewhere" / "pictures")
    moved = chain_in(ran.images.parent / "moved", ran.images.parent / "elsewhere" / "pictures")
    moved.run()
    assert moved.results() == ran.results()


# ---- thresholds


def test_another_threshold_runs_the_scores_and_not_the_search(ran):
    before = ran.store.step("neighbours")
    summaries = ran.run(Thresholds(0.0, 0.06))
    assert not summaries["neighbours"].changed
    assert ran.store.step("neighbours") == before
    assert (summaries["uniqueness_scores"].near_duplicate_threshold, removed(ran)) == (0.06, {"z/copy.png", "002.png"})


def test_a_threshold_beyond_the_stored_pairs_widens_the_search_and_says_so(ran):
    scores, heard = ran.results([schema.SCORES]), []
    summaries = ran.run(Thresholds(0.0001, 0.9), say=heard.append)
    contents = summaries["raw_images"].contents
    pairs = ran.store.read(schema.PAIRS)
    assert len(pairs) == contents * (contents - 1) // 2
    assert summaries["uniqueness_scores"].near_duplicates == contents
    assert heard == ["comparing all images anew: pairs are now listed up to distance 0.9, before up to 0.1"]
    ran.run()
    assert ran.results([schema.SCORES]) == scores


def test_a_wide_duplicate_threshold_leaves_no_two_keepers_within_it(ran):
    ran.run(Thresholds(0.25, 0.9))
    stays = set(ran.store.read(schema.SCORES, "keeper_id IS NULL")["image_id"])
    pairs = ran.store.read(schema.PAIRS, "distance <= 0.25")
    assert len(pairs) > 0
    assert not (pairs["image_a"].isin(stays) & pairs["image_b"].isin(stays)).any()


def test_scores_of_what_stays_are_the_nearest_distances_of_a_search_without_bounds(ran):
    scores = ran.store.read(schema.SCORES, "keeper_id IS NULL").set_index("image_id")["uniqueness"]
    steps.find_neighbours(ran.project, Run(), 0.9)
    pairs = ran.store.read(schema.PAIRS)
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
        (steps.write_dataset, "uniqueness_scores"),
    ],
)
def test_a_step_whose_upstream_never_ran_names_it(chain, step, missing):
    with pytest.raises(DedupError, match=f"'{missing}' has not run yet for the store '.*'; materialise it first"):
        step(chain.project, Run())


def test_neighbours_before_embeddings_say_what_is_missing(chain):
    chain.scan()
    with pytest.raises(DedupError, match="some images have no vectors yet; materialise 'embeddings' first"):
        steps.find_neighbours(chain.project, Run())


def test_scores_after_a_changed_folder_say_what_is_missing(ran):
    put_photos(ran.images, [20])
    ran.scan()
    with pytest.raises(DedupError, match="the images changed since the neighbours were searched; materialise 'neigh"):
        steps.score_uniqueness(ran.project, Thresholds(), Run())


@pytest.mark.parametrize("step", [steps.collect_duplicates, steps.write_dataset])
@pytest.mark.parametrize("edit", [add, delete])
def test_nothing_is_collected_or_written_about_images_without_scores(ran, step, edit):
    edit(ran.images)
    ran.scan()
    with pytest.raises(DedupError, match="the images changed since they were scored; materialise 'uniqueness_scores'"):
        step(ran.project, Run())


def test_no_dataset_is_written_of_scores_that_its_duplicates_were_not_collected_from(ran):
    before = only_dataset(ran)
    steps.score_uniqueness(ran.project, Thresholds(0.3, 0.9), Run())
    with pytest.raises(DedupError, match="scored anew since duplicates were found; materialise 'duplicates' first"):
        steps.write_dataset(ran.project, Run())
    assert only_dataset(ran) == before
    steps.score_uniqueness(ran.project, Thresholds(), Run())
    assert not steps.write_dataset(ran.project, Run()).changed, "the scores are those of before"


def test_a_dataset_is_written_of_a_collection_of_an_older_release_which_does_not_name_its_scores(ran):
    record = ran.store.step("duplicates")
    ran.store.replace({}, replace(record, settings='{"decisions": "decisions.csv"}'))
    assert not steps.write_dataset(ran.project, Run()).changed


def test_no_duplicates_are_collected_of_scores_that_other_neighbours_made(ran):
    before = ran.results()
    steps.find_neighbours(ran.project, Run(), limit=1.0)
    with pytest.raises(DedupError, match="since the images were scored; materialise 'uniqueness_scores' first"):
        steps.collect_duplicates(ran.project, Run())
    steps.score_uniqueness(ran.project, Thresholds(), Run())
    steps.collect_duplicates(ran.project, Run())
    assert ran.results() == before


def test_duplicates_are_collected_of_scores_of_an_older_release_which_do_not_name_their_neighbours(ran):
    record = ran.store.step("uniqueness_scores")
    settings = {name: value for name, value in json.loads(record.settings).items() if name != "neighbours"}
    ran.store.replace({}, replace(record, settings=json.dumps(settings)))
    assert not steps.collect_duplicates(ran.project, Run()).changed


def test_a_folder_that_became_empty_is_an_error_and_changes_nothing(ran):
    before = ran.results()
    shutil.move(ran.images, ran.images.parent / "away")
    ran.images.mkdir()
    with pytest.raises(NoImagesError):
        ran.run()
    assert ran.results() == before
