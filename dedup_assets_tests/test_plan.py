"""The plan: what it says is what a run then does, and telling it writes nothing."""

import hashlib
import random

import pytest
from click.testing import CliRunner

from dedup_assets.cli import cli
from dedup_assets.core.errors import LabelError, NoImagesError
from dedup_assets.core.living.plan import full_plan, quick_plan
from dedup_assets.core.run import Run
from dedup_assets.core.settings import Thresholds
from dedup_assets.core.storage import schema
from dedup_assets_tests.chain import chain_in, removed
from dedup_assets_tests.explorer.support import altered, scene
from dedup_assets_tests.labels.test_conflicts import pair_of
from dedup_assets_tests.pictures import photo, put, put_photos


def state(folder):
    """Every file under the folder, with its bytes and its time of change."""
    return {
        path.relative_to(folder): (hashlib.sha256(path.read_bytes()).hexdigest(), path.stat().st_mtime_ns)
        for path in folder.rglob("*")
        if path.is_file()
    }


def plan_of(chain, thresholds=None):
    before = state(chain.store.folder)
    plan = full_plan(chain.project, Run(), thresholds)
    assert state(chain.store.folder) == before
    return plan


def change_something(chain, rng):
    """A random change of the folder or of the decisions."""
    files = sorted(path for path in chain.images.rglob("*") if path.suffix in (".png", ".bmp"))
    some = rng.choice(files)
    what = rng.choice(["add", "copy", "remove", "rename", "edit", "decide", "decide"])
    if what == "add":
        put(photo(rng.randrange(100, 200)), chain.images / f"new{rng.randrange(99)}.png")
    elif what == "copy":
        put(photo(rng.randrange(5)), chain.images / "copies" / f"{rng.randrange(99)}.png")
    elif what == "remove" and len(files) > 3:
        some.unlink()
    elif what == "rename":
        some.rename(some.with_name(f"renamed{rng.randrange(99)}{some.suffix}"))
    elif what == "edit":
        put(photo(rng.randrange(200, 300)), some)
    elif what == "decide":
        word = rng.choice(["keep", "discard"])
        chain.decide(f"{some.relative_to(chain.images).as_posix()},{word},")


@pytest.mark.parametrize("seed", range(2))
def test_a_run_does_what_the_plan_said(ran, seed):
    rng = random.Random(seed)
    ran.run()
    for _ in range(2):
        for _ in range(rng.randrange(1, 4)):
            change_something(ran, rng)
        plan = plan_of(ran)
        images = set(ran.store.read(schema.IMAGES)["image_id"])
        before = removed(ran)
        done = ran.run()
        after, now = removed(ran), set(ran.store.read(schema.IMAGES)["image_id"])
        assert plan.problem is None
        assert {gone.image_id for gone in plan.outcome.newly_removed} == after - before
        assert {back.image_id for back in plan.outcome.restored} == (before - after) & now
        assert set(plan.files.new) | {new for _, new in plan.files.renamed} == now - images
        assert set(plan.files.vanished) | {old for old, _ in plan.files.renamed} == images - now
        assert plan.to_read == done["raw_images"].read
        assert plan.outcome.dataset_version == done["deduplicated_dataset"].version
        assert (plan.outcome.kept, plan.outcome.waiting_pairs) == (
            done["deduplicated_dataset"].kept,
            done["duplicates"].waiting_pairs,
        )
    assert plan_of(ran).changes_nothing


def test_where_nothing_changed_nothing_is_read(ran):
    ran.run()
    plan = plan_of(ran)
    assert plan.changes_nothing
    assert plan.to_read == 0
    assert not plan.files.any


def test_a_removed_copy_comes_back_when_its_keeper_goes_and_the_plan_says_why(ran):
    (ran.images / "001.png").unlink()
    (back,) = plan_of(ran).outcome.restored
    assert (back.image_id, back.was_for) == ("z/copy.png", "001.png")
    assert back.why == "001.png, which stayed for it, is gone"


def test_a_plan_with_other_thresholds_tells_what_they_would_do(ran):
    plan = plan_of(ran, Thresholds(0.9, 0.95))
    assert plan.outcome.removed > plan_of(ran).outcome.removed
    assert plan.thresholds_now == Thresholds()


def test_decisions_that_wait_and_that_no_longer_apply_are_told(ran):
    ran.decide("000.png,keep,")
    ran.run()
    (ran.images / "000.png").unlink()
    ran.decide("000.png,keep,", "001.png,keep,")
    plan = plan_of(ran)
    assert (plan.decisions, plan.decisions_new, plan.decisions_gone) == (2, 1, 0)
    assert plan.decisions_without_image == ((2, "000.png"),)


def test_decisions_that_would_stop_a_run_are_the_problem_that_the_plan_names(ran):
    ran.decide("000.png,destroy,")
    plan = plan_of(ran)
    assert "line 2: unknown decision 'destroy'" in plan.problem
    assert plan.outcome is None
    ran.decide("nobody.png,keep,")
    assert "unknown image 'nobody.png'" in plan_of(ran).problem


@pytest.mark.parametrize("something_to_read", [False, True])
@pytest.mark.parametrize(
    ("lines", "problem"),
    [
        (["nobody.png,keep,"], "line 2: unknown image 'nobody.png'"),
        (["000.png,keep,", "001.png,remove,nobody.png"], "line 3: unknown image 'nobody.png'"),
        (["004.png,keep,"], "line 2: unknown image '004.png'"),
    ],
)
def test_a_quick_plan_stops_where_the_full_one_does(ran, lines, problem, something_to_read):
    (ran.images / "004.png").unlink()
    if something_to_read:
        put(photo(70), ran.images / "70.png")
    ran.decide(*lines)
    assert problem in quick_plan(ran.project).problem
    assert plan_of(ran).problem == quick_plan(ran.project).problem


def test_a_quick_plan_stops_at_decisions_that_contradict_each_other(ran):
    ran.decide("000.png,keep,", "000.png,discard,")
    assert "line 3: '000.png' is to 'discard', but line 2 says 'keep'" in quick_plan(ran.project).problem


def test_a_quick_plan_leaves_open_what_files_that_are_not_read_yet_may_hold(ran):
    hash_of_0 = hashlib.sha256((ran.images / "000.png").read_bytes()).hexdigest()
    ran.decide("001.png,keep,")
    ran.run()
    (ran.images / "000.png").rename(ran.images / "a.png")
    (ran.images / "001.png").rename(ran.images / "b.png")
    put(photo(70), ran.images / "70.png")
    put(photo(71), ran.images / "002.png")
    ran.store.decisions_file.write_text(
        "image_id,decision,duplicate_of,content_hash\n"
        f"000.png,discard,,{hash_of_0}\n001.png,keep,,\n70.png,keep,,\n002.png,keep,,\n"
    )
    assert quick_plan(ran.project).problem is None
    assert plan_of(ran).problem is None


def test_labels_of_duplicates_that_differ_stop_the_plan_where_they_stop_a_run(tmp_path):
    chain = chain_in(tmp_path, labels="conflict")
    pair_of(chain.images)
    problem = plan_of(chain).problem
    assert "the labels of 1 removed image differ" in problem
    with pytest.raises(LabelError) as stopped:
        chain.run()
    assert str(stopped.value) == problem
    chain.settings["labels"] = "keeper"
    assert plan_of(chain).problem is None


def test_a_picture_in_two_splits_stops_the_plan_where_it_stops_a_run(tmp_path):
    chain = chain_in(tmp_path, leakage="block")
    put(scene(2), chain.images / "train" / "b.png")
    put(altered(2), chain.images / "test" / "b.png")
    problem = plan_of(chain).problem
    assert "1 of them left in the dataset" in problem
    assert "first 'test/b.png' and 'train/b.png'" in problem
    chain.settings["leakage"] = "warn"
    assert plan_of(chain).problem is None
    chain.settings["leakage"] = "block"
    chain.decide("train/b.png,remove,test/b.png")
    assert plan_of(chain).outcome.kept == 1


def test_two_reference_images_that_are_identical_are_the_problem_that_the_plan_names(ran):
    put(photo(0), ran.images / "gold" / "a.png")
    put(photo(0), ran.images / "gold" / "b.png")
    ran.settings["reference"] = ["gold"]
    assert "'gold/a.png' and 'gold/b.png' are identical" in plan_of(ran).problem


def test_the_command_says_that_a_run_would_stop_and_exits_with_1(ran):
    ran.decide("nobody.png,keep,")
    for more in ([], ["--quick"]):
        told = CliRunner().invoke(cli, ["plan", "--store", str(ran.store.folder), *more])
        assert told.exit_code == 1
        assert "A run would stop, and leave the dataset as it is: decisions.csv line 2: unknown image" in told.output


def test_a_quick_plan_opens_no_image(ran, monkeypatch):
    put(photo(70), ran.images / "70.png")
    (ran.images / "000.png").unlink()
    before = state(ran.store.folder)
    monkeypatch.setattr("dedup_assets.core.images.Image.open", None)
    plan = quick_plan(ran.project)
    assert (plan.files.new, plan.files.vanished, plan.to_read) == (("70.png",), ("000.png",), 1)
    assert plan.outcome is None
    assert state(ran.store.folder) == before


def test_before_the_first_run_everything_is_new_and_no_store_is_made(tmp_path):
    chain = chain_in(tmp_path)
    put_photos(chain.images, range(3))
    put(photo(0), chain.images / "z.png")
    plan = full_plan(chain.project, Run())
    assert len(plan.files.new) == 4
    assert [gone.image_id for gone in plan.outcome.newly_removed] == ["z.png"]
    assert not chain.store.folder.exists()
    assert chain.run()["deduplicated_dataset"].version == plan.outcome.dataset_version


def test_a_folder_that_is_gone_is_an_error_and_not_an_empty_plan(ran):
    ran.images.rename(ran.images.with_name("elsewhere"))
    with pytest.raises(NoImagesError, match="does not exist"):
        quick_plan(ran.project)
