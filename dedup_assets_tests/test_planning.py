"""The plan as a Dagster job: its metadata tells what a run would do, and nothing is written."""

import shutil

import dagster as dg
import pytest

from dedup_assets import build_dedup_defs
from dedup_assets_tests.pictures import photo, put
from dedup_assets_tests.test_plan import state


@pytest.fixture
def images(once, tmp_path):
    shutil.copytree(once.images, tmp_path / "images")
    shutil.copytree(once.store.folder, tmp_path / "store", symlinks=True)
    return tmp_path / "images"


def told(images, config=None):
    """The metadata of a run of the job, and whether it succeeded."""
    job = build_dedup_defs(images, images.parent / "store").resolve_job_def("deduplicate_plan")
    with dg.DagsterInstance.ephemeral() as instance:
        ops = {"ops": {"deduplicate_plan_outcome": {"config": config}}} if config else {}
        result = job.execute_in_process(run_config=ops, instance=instance, raise_on_error=False)
    said = [event.event_specific_data.metadata for event in result.all_events if event.is_successful_output]
    return {name: entry.value for name, entry in said[0].items()} if said else {}, result.success


def test_the_job_tells_what_a_run_would_change_and_writes_nothing(images):
    put(photo(3), images / "z" / "again.png")
    (images / "004.png").unlink()
    before = state(images.parent / "store")
    plan, done = told(images)
    assert done
    assert state(images.parent / "store") == before
    assert (plan["new_images"], plan["vanished_images"], plan["newly_removed"], plan["restored"]) == (1, 1, 1, 0)
    assert "z/again.png" in plan["images_newly_removed"]
    assert "identical to 003.png" in plan["images_newly_removed"]
    assert plan["images_restored"] == "none"


def test_the_job_takes_thresholds(images):
    plan, _ = told(images, {"duplicate_threshold": 0.9, "near_duplicate_threshold": 0.95})
    assert plan["newly_removed"] > 1
    assert told(images, {"duplicate_threshold": 0.9, "near_duplicate_threshold": 0.5}) == ({}, False)


def test_what_would_stop_a_run_is_told(images):
    (images.parent / "store" / "decisions.csv").write_text("image_id,decision,duplicate_of\nnowhere.png,remove,\n")
    plan, done = told(images)
    assert done
    assert "nowhere.png" in plan["a_run_would_stop"]
    assert "newly_removed" not in plan
