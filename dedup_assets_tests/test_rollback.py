"""Going back to an earlier dataset version, what differs between two, and what happened to an image."""

import json
import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner

from dedup_assets.cli import cli
from dedup_assets.core.errors import DedupError
from dedup_assets.core.lineage.image_history import history
from dedup_assets.core.lineage.versions import current_version, difference, version_called
from dedup_assets.core.lineage.why import explain
from dedup_assets.core.living.plan import full_plan
from dedup_assets.core.living.rollback import roll_back
from dedup_assets.core.report import overview
from dedup_assets.core.run import Run
from dedup_assets.core.scoring.rules import RULES, StoreRows
from dedup_assets.core.settings import Thresholds
from dedup_assets.core.storage import schema
from dedup_assets.core.storage.published import current_set
from dedup_assets_tests.chain import chain_in, removed
from dedup_assets_tests.pictures import photo, put

WIDE = Thresholds(0.9, 0.95)
TABLES = (schema.IMAGES, schema.SCORES, schema.TAGS)


def back(chain, said="previous"):
    """Go back, after which the promises hold and the pointers say so."""
    done = roll_back(chain.project, version_called(chain.store, said), Run("rollback-1"), "Ann")
    assert [
        rule.name for rule in RULES if not rule.check(StoreRows(chain.store), done.thresholds.duplicate).passed
    ] == []
    assert current_version(chain.store) == done.after
    link = chain.store.datasets / "deduplicated" / "current"
    assert f"deduplicated/{link.readlink()}" == done.after
    assert json.loads((current_set(chain.store) / "set.json").read_text())["run_id"] == "rollback-1"
    return done


def label(summaries):
    return summaries["deduplicated_dataset"].version


@pytest.fixture
def widened(ran):
    """The chain after a run with thresholds that remove nearly all, the version before it, and its tables then."""
    first = label(ran.run())
    ran.tables_before = ran.results(TABLES)
    ran.run(WIDE)
    return ran, first


def test_back_to_an_earlier_threshold_restores_every_table_and_computes_nothing(widened, monkeypatch):
    chain, first = widened
    for name in ("scan_images", "embed_images", "find_neighbours"):
        monkeypatch.setattr(f"dedup_assets.core.steps.{name}", None)
    gone = removed(chain)
    done = back(chain)
    assert done.after == first
    assert done.restored == len(gone - removed(chain)) > 0
    assert chain.results(TABLES) == chain.tables_before


def test_the_next_run_with_the_thresholds_gone_back_to_changes_nothing_with_others_it_moves_on(widened):
    chain, first = widened
    second = current_version(chain.store)
    back(chain)
    assert full_plan(chain.project, Run()).changes_nothing
    assert label(chain.run()) == first
    assert label(chain.run(WIDE)) == second


def test_going_back_is_in_the_audit(widened):
    chain, first = widened
    second = current_version(chain.store)
    back(chain)
    event = chain.store.read(schema.EVENTS).iloc[-1]
    assert (event["event"], event["dataset_version"], event["done_by"]) == ("rollback", first, "Ann")
    assert event["note"] == f"from {second} back to {first}"
    told = [entry.sentence for entry in history(chain.store, "000.png").happenings]
    assert f"restored by going back to {first}" in told


def test_going_back_can_be_undone(widened):
    chain, first = widened
    second = current_version(chain.store)
    everything = removed(chain)
    assert back(chain).after == first
    assert back(chain, "latest").after == second
    assert removed(chain) == everything
    assert chain.store.read(schema.REMOVALS)["dataset_version"].notna().all()


def test_going_back_to_a_dataset_of_another_name_can_be_undone_too(ran):
    first = label(ran.run())
    put(photo(80), ran.images / "80.png")
    ran.settings["dataset_name"] = "second"
    second = label(ran.run())
    assert roll_back(ran.project, version_called(ran.store, "previous"), Run(), "Ann").after == first
    with pytest.raises(DedupError, match="is the first dataset version"):
        version_called(ran.store, "previous")
    assert roll_back(ran.project, version_called(ran.store, "latest"), Run(), "Ann").after == second


def test_the_version_before_is_one_of_the_same_name_before_the_first_of_a_name_what_stood_then(ran):
    first = label(ran.run())
    ran.settings["dataset_name"] = "second"
    ran.run()
    assert version_called(ran.store, "previous").label == first
    ran.settings["dataset_name"] = "deduplicated"
    put(photo(80), ran.images / "80.png")
    third = label(ran.run())
    assert version_called(ran.store, "previous").label == first
    ran.settings["dataset_name"] = "second"
    fourth = label(ran.run())
    assert version_called(ran.store, "previous").name == "second"
    assert [version_called(ran.store, said).label for said in ("latest", "current")] == [fourth, fourth]
    assert third != first


def test_decisions_are_the_persons_own_and_are_never_changed(ran):
    ran.run()
    ran.decide("000.png,discard,")
    before = ran.store.decisions_file.read_bytes()
    ran.run()
    assert "000.png" in removed(ran)
    done = back(ran)
    assert "000.png" not in removed(ran)
    assert ran.store.decisions_file.read_bytes() == before
    assert done.decisions_differ
    assert done.decisions_then is None
    (gone,) = full_plan(ran.project, Run()).outcome.newly_removed
    assert gone.image_id == "000.png"
    ran.run()
    assert "000.png" in removed(ran)


def test_the_reviewed_file_of_a_version_lies_beside_its_lists(ran):
    ran.decide("000.png,discard,")
    ran.run()
    ran.decide()
    ran.run()
    done = back(ran)
    assert "000.png,discard" in Path(done.decisions_then).read_text()


def test_images_that_came_since_stay_in_the_tables_and_a_lost_keeper_keeps_its_copy(ran):
    first, kept = label(ran.run()), overview(ran.store).kept
    put(photo(80), ran.images / "80.png")
    (ran.images / "001.png").unlink()
    ran.run()
    assert overview(ran.store).kept == kept + 1
    done = back(ran, first)
    assert done.cannot_leave == ("z/copy.png",)
    assert "80.png" in set(ran.store.read(schema.SCORES)["image_id"])
    assert "80.png" not in removed(ran)
    assert overview(ran.store).kept == kept, "what the dataset holds, without what came since"


def test_a_copy_stays_where_another_picture_has_the_name_of_its_keeper_now(ran):
    first = label(ran.run())
    put(photo(80), ran.images / "001.png")
    (ran.images / "000.png").unlink()
    ran.run()
    done = back(ran, first)
    assert done.cannot_leave == ("z/copy.png",)
    assert "z/copy.png" not in removed(ran)
    assert (done.other_now, done.gone_now) == (("001.png",), ("000.png",))


@pytest.mark.parametrize(
    ("changed", "cannot_leave"), [("000.png", ("001.png", "z/copy.png")), ("001.png", ("z/copy.png",))]
)
def test_every_picture_on_the_way_to_the_one_that_stays_has_to_be_the_same(ran, changed, cannot_leave):
    ran.decide("001.png,remove,000.png", "z/copy.png,remove,001.png")
    first = label(ran.run())
    ran.decide()
    put(photo(80), ran.images / changed)
    ran.run()
    done = back(ran, first)
    assert done.cannot_leave == cannot_leave
    assert not removed(ran) & {changed, *cannot_leave}


def test_a_keeper_saved_anew_without_a_loss_is_the_same_picture(ran):
    first = label(ran.run())
    put(photo(1), ran.images / "001.png", compress_level=0)
    put(photo(80), ran.images / "80.png")
    ran.run()
    done = back(ran, first)
    assert (done.cannot_leave, done.other_now, done.gone_now) == ((), (), ())
    assert "z/copy.png" in removed(ran)


def test_the_command_names_what_cannot_leave_and_what_differs(ran):
    ran.run()
    put(photo(80), ran.images / "001.png")
    ran.run()
    told = CliRunner().invoke(cli, ["rollback", "--store", str(ran.store.folder)])
    assert told.exit_code == 0
    assert "another picture now), so they are not removed: z/copy.png" in told.output
    assert "1 images it kept show another picture now, or cannot be read: 001.png" in told.output


def test_the_first_version_has_none_before_it(ran):
    ran.run()
    with pytest.raises(DedupError, match="is the first dataset version"):
        version_called(ran.store, "previous")


def test_versions_are_named_by_their_start_and_an_unknown_one_is_told_what_there_is(widened):
    chain, first = widened
    digits = first.partition("/")[2]
    assert version_called(chain.store, digits[:5]).label == version_called(chain.store, first).label == first
    with pytest.raises(DedupError, match=f"there is no dataset version 'zz'; say one of .*{digits}.* or latest"):
        version_called(chain.store, "zz")


def test_before_any_dataset_there_is_nothing_to_name(chain):
    chain.scan()
    with pytest.raises(DedupError, match="no dataset version has been written"):
        version_called(chain.store, "latest")


def test_a_difference_names_each_image_with_its_reason(ran):
    ran.run(run_id="one")
    put(photo(80), ran.images / "80.png")
    put(photo(3), ran.images / "a" / "new_copy.png")
    (ran.images / "001.png").unlink()
    (ran.images / "000.png").rename(ran.images / "moved.png")
    put(photo(81), ran.images / "004.png")
    ran.run(run_id="two")
    found = difference(ran.store, version_called(ran.store, "previous"), version_called(ran.store, "latest"))
    assert {one.image_id: one.why for one in found.added} == {"80.png": "new file", "moved.png": "renamed from 000.png"}
    (gone,) = [one for one in found.removed if one.image_id in ("a/new_copy.png", "003.png")]
    assert gone.why.endswith(("identical to 003.png", "identical to a/new_copy.png"))
    assert gone.run_id == "two"
    (restored,) = found.restored
    assert (restored.image_id, restored.why) == ("z/copy.png", "001.png, which stayed for it, is gone")
    assert {one.image_id: one.why for one in found.vanished} == {
        "001.png": "no longer in the folder",
        "000.png": "renamed to moved.png",
    }
    assert [one.image_id for one in found.changed] == ["004.png"]


def test_a_version_differs_in_nothing_from_itself(ran):
    version = version_called(ran.store, "latest") if ran.run() else None
    found = difference(ran.store, version, version)
    assert {*found.added, *found.removed, *found.restored, *found.vanished, *found.changed} == set()
    assert found.same == len(version.manifest)


def test_history_tells_in_the_order_of_time(ran):
    ran.decide("z/copy.png,keep,")
    ran.run(run_id="keeping")
    told = history(ran.store, "z/copy.png")
    assert [entry.what for entry in told.happenings] == ["seen", "removed", "scored", "restored", "decided"]
    assert (told.now, told.other_paths) == ("kept", ("001.png",))
    assert told.happenings[1].sentence.startswith(
        "removed: identical to 001.png; 001.png stays: first by name; first left"
    )


def test_the_history_names_other_paths_of_the_same_bytes(ran):
    (ran.images / "copy_of_0.png").write_bytes((ran.images / "000.png").read_bytes())
    ran.run()
    assert history(ran.store, "000.png").other_paths == ("copy_of_0.png",)


def test_why_follows_the_keepers_of_a_picture_that_left_the_folder(ran):
    ran.run()
    (ran.images / "z" / "copy.png").unlink()
    ran.decide("001.png,discard,")
    ran.run()
    told = explain(ran.store, "z/copy.png")
    assert (told.fate, told.survivor) == ("vanished", None)
    assert [entry.image_id for entry in told.chain] == ["z/copy.png", "001.png"]


def without_the_copy(ran):
    """The chain after its z/copy.png, removed for 001.png, has left the folder."""
    (ran.images / "z" / "copy.png").unlink()
    ran.run()
    assert explain(ran.store, "z/copy.png").survivor == "001.png"


@pytest.mark.parametrize("renamed", [False, True])
def test_why_does_not_say_that_a_keeper_stays_which_shows_another_picture_now(ran, renamed):
    without_the_copy(ran)
    if renamed:
        (ran.images / "000.png").rename(ran.images / "001.png")
    else:
        put(photo(80), ran.images / "001.png")
    ran.run()
    told = explain(ran.store, "z/copy.png")
    assert (told.survivor, told.sentences[-1]) == (None, "001.png shows another picture now.")


def test_why_does_not_say_that_a_keeper_stays_which_cannot_be_read_now(ran):
    without_the_copy(ran)
    (ran.images / "001.png").write_bytes(b"x")
    ran.run()
    told = explain(ran.store, "z/copy.png")
    assert told.survivor is None
    assert told.sentences[-1].startswith("001.png cannot be read now (unreadable: ")


def test_why_says_that_a_keeper_stays_which_was_saved_anew_while_its_copy_was_there(ran):
    put(photo(1), ran.images / "001.png", compress_level=0)
    put(photo(80), ran.images / "80.png")
    ran.run()
    without_the_copy(ran)
    shutil.rmtree(ran.store.datasets)
    assert explain(ran.store, "z/copy.png").survivor == "001.png"


def test_why_does_not_say_that_a_keeper_stays_of_which_nobody_knows_what_it_showed_then(ran):
    without_the_copy(ran)
    put(photo(1), ran.images / "001.png", compress_level=0)
    ran.run()
    shutil.rmtree(ran.store.datasets)
    told = explain(ran.store, "z/copy.png")
    assert told.survivor is None
    assert told.sentences[-1] == "001.png was changed since, and no dataset version says what it showed then."


def test_why_does_not_follow_another_picture_to_its_keeper(ran):
    without_the_copy(ran)
    put(photo(0), ran.images / "001.png")
    ran.run()
    assert "001.png" in removed(ran)
    told = explain(ran.store, "z/copy.png")
    assert [entry.image_id for entry in told.chain] == ["z/copy.png"]
    assert told.survivor is None
    (ran.images / "001.png").unlink()
    ran.run()
    told = explain(ran.store, "z/copy.png")
    assert (told.survivor, told.sentences[-1]) == (None, "001.png showed another picture when it was last seen.")


def test_a_run_can_be_looked_at_where_the_webserver_is_known(ran, monkeypatch):
    ran.run(run_id="abc")
    put(photo(1), ran.images / "a.png")
    ran.run(run_id="abd")
    monkeypatch.setenv("DEDUP_DAGSTER_URL", "http://dagster:3000/")
    sentence = "\n".join(explain(ran.store, "z/copy.png").sentences)
    assert "(http://dagster:3000/runs/" in sentence


def test_the_version_gone_back_to_leads_to_where_the_images_are_now(chain):
    first = chain.run()["deduplicated_dataset"]
    chain.run(WIDE)
    chain.images = chain.images.rename(chain.images.with_name("moved"))
    chain.run(WIDE)
    done = back(chain, first.dataset_version)
    placed = [path for path in (Path(done.folder) / "images").rglob("*") if path.is_symlink()]
    assert len(placed) == first.kept
    assert {path.readlink().is_relative_to(chain.images) and path.exists() for path in placed} == {True}


def test_going_back_to_the_dataset_of_another_folder_leaves_its_links_where_they_lead(chain, tmp_path):
    first, there = chain.run()["deduplicated_dataset"], chain.images
    chain.images = Path(shutil.copytree(there, tmp_path / "others"))
    chain.settings["dataset_name"] = "others"
    chain.run()
    done = roll_back(chain.project, version_called(chain.store, first.version), Run("rollback-1"), "Ann")
    assert (Path(done.folder) / "images" / "000.png").readlink() == there / "000.png"


def test_a_removal_that_comes_back_says_why_its_own_keeper_stayed(tmp_path):
    chain = chain_in(tmp_path)
    for name, number in (("a.png", 0), ("gold/b.png", 0), ("z.png", 0), ("c.png", 1)):
        put(photo(number), chain.images / name)
    chain.run()
    chain.settings["reference"] = ["gold"]
    chain.run()
    del chain.settings["reference"]
    back(chain)
    (row,) = chain.store.read(schema.REMOVALS, "image_id = 'z.png' AND superseded_at IS NULL").to_dict("records")
    assert (row["keeper_id"], row["keeper_reason"]) == ("a.png", "first by name")
