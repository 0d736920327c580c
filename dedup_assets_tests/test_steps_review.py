"""Decisions and datasets through the whole chain: what reruns, what is recorded, and what an error leaves alone."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from dedup_assets.core.errors import DecisionError, NoSurvivorError
from dedup_assets.core.lineage.why import explain
from dedup_assets.core.run import Run
from dedup_assets.core.scoring.decisions import read_decisions
from dedup_assets.core.settings import Thresholds
from dedup_assets.core.steps import collect_duplicates, write_dataset
from dedup_assets.core.storage import schema
from dedup_assets_tests.chain import RESULTS, dataset_folder, only_dataset, removed
from dedup_assets_tests.pictures import photo, put

# ---- decisions


def test_a_decision_to_keep_restores_an_image_and_reruns_what_is_below_only(ran):
    ran.decide("z/copy.png,keep")
    summaries = ran.run()
    changed = [name for name, summary in summaries.items() if summary.changed]
    assert changed == ["duplicates", "deduplicated_dataset"]
    assert removed(ran) == {"002.png"}
    record = ran.rows(schema.REMOVALS)
    assert pd.notna(record["z/copy.png"]["restored_at"])
    assert pd.isna(record["002.png"]["restored_at"])


def test_a_reviewed_removal_is_recorded_with_its_partner(ran):
    ran.decide("003.png,remove,004.png")
    ran.run(run_id="run-1")
    row = ran.rows(schema.REMOVALS)["003.png"]
    assert (row["keeper_id"], row["reason"], row["run_id"]) == ("004.png", "reviewed", "run-1")


def test_a_decision_follows_a_renamed_picture(ran):
    ran.decide("003.png,remove,004.png")
    ran.run()
    (ran.images / "003.png").rename(ran.images / "x.png")
    (ran.images / "004.png").rename(ran.images / "y.png")
    ran.run()
    assert "x.png" in removed(ran)
    assert ran.rows(schema.REMOVALS)["x.png"]["keeper_id"] == "y.png"


@pytest.mark.parametrize(
    ("lines", "error"),
    [
        (["nowhere.png,keep"], DecisionError),
        (["000.png,delete"], DecisionError),
        (["000.png,remove"], NoSurvivorError),
        (["000.png,remove,001.png", "001.png,remove,000.png"], NoSurvivorError),
    ],
)
def test_a_decision_that_cannot_be_applied_changes_nothing(ran, lines, error):
    before = ran.results([*RESULTS, schema.REMOVALS, schema.DECISIONS, schema.DATASETS])
    ran.decide(*lines)
    with pytest.raises(error):
        ran.run()
    assert ran.results([*RESULTS, schema.REMOVALS, schema.DECISIONS, schema.DATASETS]) == before
    assert only_dataset(ran)


def test_what_people_tagged_is_left_alone(chain):
    tag = {"image_id": ["000.png"], "tag": ["favourites"], "reason": ["nice"], "run_id": [None], "tagged_at": [None]}
    chain.store.append(schema.TAGS, pd.DataFrame(tag).astype({"tagged_at": "datetime64[us]"}))
    chain.run()
    chain.run(Thresholds(0.0, 0.06))
    tags = chain.store.read(schema.TAGS)
    assert sorted(tags["tag"]) == ["Duplicates", "Duplicates", "favourites"]


# ---- datasets


def test_a_dataset_of_another_name_is_another_version_on_record(ran):
    ran.settings["dataset_name"] = "other"
    summaries = ran.run()
    assert dataset_folder(summaries).parent.name == "other"
    assert summaries["deduplicated_dataset"].changed
    assert ran.store.read(schema.DATASETS)["name"].tolist() == ["deduplicated", "other"]


def test_an_earlier_result_that_comes_back_has_its_earlier_version(ran):
    first = only_dataset(ran)
    ran.decide("z/copy.png,keep")
    second = dataset_folder(ran.run())
    ran.decide()
    assert dataset_folder(ran.run()) == first != second
    assert len(ran.store.read(schema.DATASETS)) == 2


def test_uniqueness_in_the_manifest_is_that_of_the_scores(ran):
    folder = only_dataset(ran)
    manifest = pd.read_parquet(folder / "manifest.parquet").set_index("image_id")["uniqueness"]
    scores = ran.store.read(schema.SCORES).set_index("image_id")["uniqueness"]
    np.testing.assert_array_equal(manifest, scores.loc[manifest.index])


def test_why_tells_what_keeps_an_image_that_the_rule_would_remove(ran):
    ran.decide("z/copy.png,keep,")
    ran.run()
    assert explain(ran.store, "z/copy.png").sentences[2:4] == (
        "By the score rule it would be removed as a duplicate of 001.png.",
        "Decided: keep.",
    )
    ran.settings["protect"] = ["test"]
    for name in ("again", "first"):
        put(photo(4), ran.images / "test" / f"{name}.png")
    ran.run()
    told = explain(ran.store, "test/first.png").sentences
    assert told[2].startswith("By the score rule it would be removed as a duplicate of ")
    assert told[2].endswith("which its split or folder, or a decision about another image, does not allow.")


def test_why_asks_for_no_decision_that_was_made(ran):
    put(photo(3).crop((2, 2, 60, 44)), ran.images / "near.png")
    ran.run()
    near = next(row["image_b"] for row in ran.rows(schema.PAIRS, "image_b").values() if row["distance"] > 0.0001)
    other = ran.rows(schema.SCORES)[near]["nearest_id"]
    assert "a person may decide" in str(explain(ran.store, near))
    ran.decide(f"{near},not_duplicate,{other}")
    ran.run()
    told = str(explain(ran.store, near))
    assert "a person may decide" not in told
    assert f"Decided: not duplicate {other}." in told


# ---- the decisions that a version keeps


@pytest.mark.parametrize("edit", ["another line", "broken", "gone"])
def test_a_version_keeps_the_decisions_that_were_applied_not_what_was_written_after(ran, edit):
    ran.decide("003.png,remove,004.png")
    collect_duplicates(ran.project, Run())
    if edit == "gone":
        ran.store.decisions_file.unlink()
    else:
        ran.decide("003.png,remove,004.png", "000.png,discard," if edit == "another line" else "000.png,destroy,")
    written = write_dataset(ran.project, Run())
    (line,) = read_decisions(Path(written.folder) / "decisions.csv")
    assert (line.image_id, line.decision, line.duplicate_of) == ("003.png", "remove", "004.png")
    assert line.content_hash == ran.rows(schema.IMAGES)["003.png"]["file_hash"]


def test_a_version_keeps_the_reviewed_file_to_the_byte_where_it_says_what_was_applied(ran):
    said = "\ufeffmy own;Image_ID;decision;duplicate_of\r\nseen;003.png;REMOVE;004.png\r\n"
    ran.store.decisions_file.write_bytes(said.encode())
    kept = dataset_folder(ran.run()) / "decisions.csv"
    assert kept.read_bytes() == said.encode()


def test_decisions_that_change_no_image_leave_the_version_that_stands_as_it_was_written(ran):
    folder = dataset_folder(ran.run())
    ran.decide("003.png,not_duplicate,004.png")
    assert dataset_folder(ran.run()) == folder
    assert not (folder / "decisions.csv").exists()
