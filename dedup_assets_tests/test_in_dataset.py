"""A run that stops before the dataset: what is told of images and of the store is true of the dataset that stands."""

from dataclasses import replace

import pytest
from click.testing import CliRunner

from dedup_assets.cli import cli
from dedup_assets.core import steps
from dedup_assets.core.errors import DedupError
from dedup_assets.core.lineage.image_history import history
from dedup_assets.core.lineage.versions import version_called
from dedup_assets.core.lineage.why import explain
from dedup_assets.core.living.plan import full_plan
from dedup_assets.core.living.rollback import roll_back
from dedup_assets.core.report import overview
from dedup_assets.core.run import Run
from dedup_assets.core.settings import Thresholds
from dedup_assets.core.storage import schema
from dedup_assets.core.storage.store import Store
from dedup_assets.terminal import status_lines
from dedup_assets_tests.pictures import photo, put

OLDER = "  The dataset is older than the other numbers: the run that made them stopped before it."


@pytest.fixture
def stopped(ran):
    """A chain whose second run got as far as the collection: one image is new, one discarded, one kept, one gone."""
    ran.run()
    put(photo(7), ran.images / "new.png")
    (ran.images / "004.png").unlink()
    ran.decide("003.png,discard,", "z/copy.png,keep,")
    steps.scan_images(ran.project, Run())
    steps.embed_images(ran.project, Run())
    steps.find_neighbours(ran.project, Run())
    steps.score_uniqueness(ran.project, Thresholds(), Run())
    steps.collect_duplicates(ran.project, Run())
    return ran


@pytest.mark.parametrize(
    ("image", "fate", "words"),
    [
        ("003.png", "removed", "still holds it"),
        ("z/copy.png", "kept", "is without it"),
        ("new.png", "kept", "is without it"),
        ("004.png", "vanished", "still holds it"),
    ],
)
def test_why_and_history_tell_where_the_dataset_is_another(stopped, image, fate, words):
    standing = stopped.store.step("deduplicated_dataset").output_version
    sentence = f"The dataset that stands, {standing}, {words}: it was written before, and no run has written one since."
    told = explain(stopped.store, image)
    assert (told.fate, told.sentences[-1]) == (fate, sentence)
    assert history(stopped.store, image).unlike_the_dataset == sentence


def test_a_replaced_picture_is_told_from_the_one_in_the_dataset(ran):
    ran.run()
    put(photo(8), ran.images / "003.png")
    ran.scan()
    assert "holds what it showed before" in explain(ran.store, "003.png").sentences[-1]


@pytest.mark.parametrize("image", ["000.png", "z/copy.png", "broken.jpg"])
def test_nothing_is_added_where_the_dataset_says_the_same(stopped, image):
    stopped.run()
    assert "dataset that stands" not in str(explain(stopped.store, image))
    assert history(stopped.store, image).unlike_the_dataset is None


def test_the_status_says_that_the_dataset_is_older_until_a_run_writes_it(stopped):
    assert OLDER in status_lines(overview(stopped.store))
    stopped.run()
    assert not overview(stopped.store).is_behind
    roll_back(stopped.project, version_called(stopped.store, "previous"), Run("rollback-1"), "Ann")
    assert OLDER not in status_lines(overview(stopped.store))


def test_a_run_that_comes_to_the_same_dataset_leaves_nothing_older(ran):
    ran.run()
    events = ran.store.read(schema.EVENTS)
    ran.store.decisions_file.write_text(f"image_id,decision,content_hash\nnowhere.png,keep,{'0' * 64}\n")
    ran.run()
    assert not overview(ran.store).is_behind
    assert ran.store.read(schema.EVENTS).equals(events)
    with pytest.raises(DedupError, match="is the first dataset version"):
        version_called(ran.store, "previous")


def test_a_dataset_that_an_older_release_wrote_is_not_called_older(ran):
    step = ran.store.step("deduplicated_dataset")
    ran.store.replace({}, replace(step, input_version=step.output_version))
    assert not overview(ran.store).is_behind
    events = ran.store.read(schema.EVENTS)
    ran.run()
    assert ran.store.step("deduplicated_dataset").input_version != step.output_version
    assert ran.store.read(schema.EVENTS).equals(events)


def test_the_plan_tells_what_differs_from_the_dataset_that_stands(stopped):
    outcome = full_plan(stopped.project, Run()).outcome
    assert [(gone.image_id, gone.new) for gone in outcome.newly_removed] == [("003.png", False)]
    assert [(back.image_id, back.why) for back in outcome.restored] == [("z/copy.png", "a decision keeps it")]
    stopped.run()
    settled = full_plan(stopped.project, Run()).outcome
    assert (settled.newly_removed, settled.restored) == ((), ())


def test_why_and_history_know_an_image_that_was_kept_and_deleted_since(ran):
    version = ran.run()["deduplicated_dataset"].version
    (ran.images / "004.png").rename(ran.images / "renamed.png")
    (ran.images / "003.png").unlink()
    ran.run()
    kept = f"It was kept: {version} is the newest dataset that holds it."
    gone, renamed = explain(ran.store, "003.png"), explain(ran.store, str(ran.images / "004.png"))
    assert gone.sentences == ("003.png is no longer in the image folder.", kept)
    assert renamed.sentences == (
        "004.png is no longer in the image folder.",
        kept,
        "The same file is at renamed.png now.",
    )
    told = history(ran.store, "004.png")
    assert (told.now, told.last_held, told.other_paths) == ("vanished", version, ("renamed.png",))
    with pytest.raises(DedupError, match=r"knows no image 'never.png'"):
        explain(ran.store, "never.png")


def test_a_store_that_was_moved_tells_where_its_dataset_is_now(ran):
    version = ran.run()["deduplicated_dataset"].version
    moved = Store(ran.store.folder.rename(ran.store.folder.with_name("moved")))
    assert overview(moved).dataset == str(moved.datasets / version)


@pytest.mark.parametrize("what", ["kept", "removed"])
def test_an_export_of_the_lists_is_of_the_dataset_that_stands_and_says_so(stopped, what):
    version = version_called(stopped.store, "current")
    listed = version.manifest if what == "kept" else version.removed
    told = CliRunner().invoke(cli, ["export", what, "--store", str(stopped.store.folder)])
    assert [line.partition(",")[0] for line in told.stdout.splitlines()[1:]] == listed["image_id"].tolist()
    assert told.stderr.startswith(f"this is {version.label}, the dataset that stands; the tables are of a later run")
    stopped.run()
    told = CliRunner().invoke(cli, ["export", what, "--store", str(stopped.store.folder)])
    assert told.stderr == ""
    assert [line.partition(",")[0] for line in told.stdout.splitlines()[1:]] != listed["image_id"].tolist()


def test_an_export_of_the_lists_after_going_back_is_of_the_dataset_gone_back_to(ran):
    ran.run()
    put(photo(7), ran.images / "new.png")
    ran.run()
    version = version_called(ran.store, "previous")
    roll_back(ran.project, version, Run(), "Ann")
    told = CliRunner().invoke(cli, ["export", "kept", "--store", str(ran.store.folder)])
    assert [line.partition(",")[0] for line in told.stdout.splitlines()[1:]] == version.manifest["image_id"].tolist()
    assert "it was gone back to, and images that came since are not in it" in told.stderr


def test_an_export_in_a_format_says_that_the_tables_are_of_a_later_run(stopped, tmp_path):
    (stopped.images / "004.png").touch()
    command = [
        "export",
        "--format",
        "manifest",
        "--store",
        str(stopped.store.folder),
        "--output",
        str(tmp_path / "out"),
    ]
    put(photo(4), stopped.images / "004.png")
    told = CliRunner().invoke(cli, command)
    assert told.exit_code == 0, told.output
    assert told.stderr.startswith(f"this is {version_called(stopped.store, 'current').label}, the dataset that stands;")


def test_an_export_of_the_lists_before_any_dataset_says_that_there_is_none(chain):
    steps.scan_images(chain.project, Run())
    steps.embed_images(chain.project, Run())
    steps.find_neighbours(chain.project, Run())
    steps.score_uniqueness(chain.project, Thresholds(), Run())
    steps.collect_duplicates(chain.project, Run())
    told = CliRunner().invoke(cli, ["export", "removed", "--store", str(chain.store.folder)])
    assert "z/copy.png" in told.stdout
    assert told.stderr.startswith("no run has written a dataset yet;")
