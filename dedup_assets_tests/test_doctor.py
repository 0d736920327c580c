"""Looking after a store: every kind of damage is found, and what can be rebuilt is as it was."""

import shutil

import duckdb
import pytest

from dedup_assets.core.doctor.examine import WRONG, examine, prune_store, repair
from dedup_assets.core.errors import DecisionError, StoreError
from dedup_assets.core.lineage.versions import current_version
from dedup_assets.core.living.plan import full_plan
from dedup_assets.core.report import overview
from dedup_assets.core.run import Run
from dedup_assets.core.settings import Thresholds
from dedup_assets.core.storage import schema
from dedup_assets.core.storage.published import current_set
from dedup_assets_tests.chain import RESULTS, only_dataset
from dedup_assets_tests.pictures import photo, put


def wrong(chain):
    return {finding.check.split()[0]: finding for finding in examine(chain.store) if finding.state == WRONG}


def sql(statement):
    def damage(chain):
        with duckdb.connect(str(chain.store.database)) as db:
            db.execute(statement)

    return damage


def first(pattern, change):
    """Damage to the first file of the store that fits."""

    def damage(chain):
        change(sorted(chain.store.folder.glob(pattern))[0])

    return damage


def truncate(path):
    path.write_bytes(path.read_bytes()[:40])


def spoil(path):
    path.write_bytes(b"spoiled")


def dataset(change):
    return lambda chain: change(only_dataset(chain))


DAMAGES = {
    "a score is another": ("rows", sql("UPDATE scores SET uniqueness = 0.3 WHERE image_id = '000.png'")),
    "a duplicate has no keeper": ("n_minus_one_zeros", sql("UPDATE scores SET keeper_id = NULL WHERE uniqueness = 0")),
    "a score is gone": ("every_readable_image_has_one_score", sql("DELETE FROM scores WHERE image_id = '000.png'")),
    "a tag is gone": ("kept_and_removed_are_all", sql("DELETE FROM tags")),
    "an image is gone from its table": (
        "every_readable_image_has_one_score",
        sql("DELETE FROM images WHERE image_id = '004.png'"),
    ),
    "an image is listed twice": ("keys", sql("INSERT INTO images SELECT * FROM images WHERE image_id = '000.png'")),
    "vectors are gone": ("vectors", lambda chain: shutil.rmtree(chain.store.folder / "vectors")),
    "vectors are cut off": ("vectors", first("vectors/*/*.rows.npy", truncate)),
    "sketches are spoiled": ("sketches", first("sketches/*.rows.npy", spoil)),
    "a manifest is another": ("dataset", dataset(lambda folder: spoil(folder / "manifest.csv"))),
    "a list is gone": ("dataset", dataset(lambda folder: (folder / "removed.parquet").unlink())),
    "a version is set aside": (
        "dataset",
        dataset(lambda folder: folder.rename(folder.with_name(f".{folder.name}.aside"))),
    ),
    "placed images are gone": ("dataset", dataset(lambda folder: shutil.rmtree(folder / "images"))),
    "a dataset is gone": ("dataset", dataset(shutil.rmtree)),
    "both formats of a list are spoiled": (
        "dataset",
        dataset(lambda folder: [spoil(folder / f"manifest.{suffix}") for suffix in ("csv", "parquet")]),
    ),
    "a published table is cut off": ("published", first("published/*/images.parquet", truncate)),
    "a killed run left something": ("leftovers", lambda c: (c.store.folder / "datasets/deduplicated/.1.x").mkdir()),
    "the database is spoiled": ("database", lambda chain: spoil(chain.store.database)),
    "the database is gone": ("database", lambda chain: chain.store.database.unlink()),
}


def test_nothing_is_wrong_with_a_store_that_a_run_left(ran):
    ran.run()
    assert wrong(ran) == {}


TOGETHER = [
    ["a score is another", "a tag is gone", "an image is listed twice"],
    ["an image is gone from its table", "vectors are cut off", "sketches are spoiled", "a list is gone"],
    ["a duplicate has no keeper", "placed images are gone", "a published table is cut off"],
    ["both formats of a list are spoiled", "vectors are gone", "a killed run left something"],
    ["the database is spoiled", "a manifest is another"],
    ["the database is gone", "a dataset is gone"],
]


@pytest.mark.parametrize("name", DAMAGES)
def test_damage_is_found(name, ran):
    check, damage = DAMAGES[name]
    damage(ran)
    assert check in wrong(ran)


@pytest.mark.parametrize("names", TOGETHER, ids=" and ".join)
def test_damage_is_repaired_to_what_was(names, ran):
    before, version = ran.results(RESULTS), current_version(ran.store)
    for name in names:
        DAMAGES[name][1](ran)
    assert repair(ran.store, Run("repair-1"))
    assert wrong(ran) == {}
    assert ran.results(RESULTS) == before
    assert current_version(ran.store) == version
    assert ran.store.read(schema.EVENTS)["event"].tolist()[-1] == "repair"


def test_the_audit_survives_the_loss_of_the_database(ran):
    record = ran.store.read(schema.REMOVALS)
    ran.store.database.unlink()
    repair(ran.store, Run())
    assert ran.store.read(schema.REMOVALS).to_csv() == record.to_csv()


def test_a_lost_database_stops_a_run_with_what_brings_it_back(ran):
    record, published = ran.store.read(schema.REMOVALS), current_set(ran.store)
    ran.store.database.unlink()
    with pytest.raises(StoreError, match=r"has lost its database .* doctor --repair .* rebuilds it"):
        ran.run()
    with pytest.raises(StoreError, match="has lost its database"):
        ran.store.set_fact("a", "1")
    assert not ran.store.exists()
    assert current_set(ran.store) == published
    repair(ran.store, Run())
    ran.run()
    assert ran.store.read(schema.REMOVALS).to_csv() == record.to_csv()


def test_links_that_lead_nowhere_are_told_and_led_to_where_the_images_are(chain):
    chain.run()
    chain.images = chain.images.rename(chain.images.with_name("moved"))
    chain.scan()
    (found,) = [finding for finding in examine(chain.store) if finding.check.startswith("dataset")]
    assert (found.state, found.sentence) == ("note", "5 of its 5 links lead nowhere, first '000.png'")
    said = repair(chain.store, Run())
    assert said[0].startswith("led 5 links of the dataset version deduplicated/")
    assert all(path.exists() for path in (only_dataset(chain) / "images").iterdir())
    assert "whole" in next(finding.sentence for finding in examine(chain.store) if finding.check.startswith("dataset"))


@pytest.fixture
def copied(chain):
    """A store whose dataset stands as copies."""
    chain.settings["placement"] = "copy"
    chain.run()
    return chain


def contents(chain):
    return {path.name: path.read_bytes() for path in (only_dataset(chain) / "images").rglob("*.png")}


def test_a_copy_of_another_size_is_found_and_made_again(copied):
    before = contents(copied)
    spoil(only_dataset(copied) / "images" / "003.png")
    assert wrong(copied)["dataset"].sentence == (
        "1 of its 5 copies have another size than their picture, first '003.png'"
    )
    repair(copied.store, Run())
    assert wrong(copied) == {}
    assert contents(copied) == before


def test_repairing_a_copy_takes_the_others_from_the_version_where_the_images_are_gone(copied):
    before = contents(copied)
    spoil(only_dataset(copied) / "images" / "003.png")
    (copied.images / "000.png").unlink()
    assert "placed the images of" in repair(copied.store, Run())[0]
    assert {path.read_bytes() for path in copied.store.datasets.glob("*/*/images/000.png")} == {before["000.png"]}
    assert "dataset" not in wrong(copied)


def test_a_copy_that_cannot_be_made_again_costs_no_other(copied):
    before, folder = contents(copied), only_dataset(copied)
    spoil(folder / "images" / "003.png")
    put(photo(9), copied.images / "003.png")
    said = repair(copied.store, Run())[0]
    assert said.startswith("could not place the images of")
    assert "'003.png' changed after it was scanned" in said
    now = {path.name: path.read_bytes() for path in (folder / "images").rglob("*.png")}
    assert now == {**before, "003.png": b"spoiled"}


def test_a_version_that_a_killed_run_had_set_aside_is_put_back(ran):
    folder = only_dataset(ran)
    folder.rename(folder.with_name(f".{folder.name}.aside"))
    assert f"put the dataset version deduplicated/{folder.name} back in its place" in repair(ran.store, Run())
    assert wrong(ran) == {}


def test_a_dataset_delivered_elsewhere_needs_no_images_in_the_store(chain, tmp_path):
    chain.settings |= {"dataset_target": str(tmp_path / "there"), "placement": "copy"}
    chain.run()
    assert wrong(chain) == {}


def test_repairing_a_sound_store_does_nothing(ran):
    ran.run()
    events = len(ran.store.read(schema.EVENTS))
    assert repair(ran.store, Run()) == []
    assert len(ran.store.read(schema.EVENTS)) == events


def test_a_decisions_file_that_cannot_be_applied_is_wrong_and_left_to_its_owner(ran):
    ran.decide("000.png,destroy,")
    text = ran.store.decisions_file.read_text()
    assert "unknown decision 'destroy'" in wrong(ran)["decisions"].sentence
    repair(ran.store, Run())
    assert ran.store.decisions_file.read_text() == text


def test_vectors_of_vanished_pictures_go_when_asked_and_nothing_that_is_needed(ran):
    for name in ("000.png", "003.png"):
        (ran.images / name).unlink()
    (ran.store.folder / "vectors" / "another-1").mkdir()
    (ran.store.folder / "vectors" / "another-1" / "x.keys.npy").write_bytes(b"12345")
    ran.run()
    (orphans,) = [finding for finding in examine(ran.store) if finding.check == "orphans"]
    assert "4 rows of vanished contents and 1 folders of other embedders" in orphans.sentence
    before = ran.results(RESULTS)
    assert prune_store(ran.store, Run()) > 5
    assert wrong(ran) == {}
    assert prune_store(ran.store, Run()) == 0
    assert ran.run()["embeddings"].computed == 0
    assert ran.results(RESULTS) == before


def test_new_files_in_the_folder_are_worth_a_note_and_no_fault(ran):
    ran.run()  # the store remembers where its images are
    shutil.copy(ran.images / "000.png", ran.images / "more.png")
    (note,) = [finding for finding in examine(ran.store) if finding.check == "image folder"]
    assert note.sentence == "since the last scan: 1 new"
    assert wrong(ran) == {}
    assert current_set(ran.store) is not None


def test_a_repair_that_stops_on_the_way_leaves_the_store_knowing_its_dataset_and_thresholds(ran):
    thresholds = Thresholds(0.001, 0.04)
    ran.run(thresholds)
    standing = current_version(ran.store)
    sql("UPDATE scores SET uniqueness = 0.5")(ran)
    ran.decide("000.png,destroy")
    with pytest.raises(DecisionError):
        repair(ran.store, Run())
    assert current_version(ran.store) == standing
    assert overview(ran.store).is_behind
    ran.decide()
    assert not wrong(ran)
    repair(ran.store, Run())
    assert full_plan(ran.project, Run()).thresholds == thresholds
    ran.run(thresholds)
    assert current_version(ran.store) == standing


def test_a_run_that_stopped_on_its_way_is_no_damage_and_nothing_to_repair(ran):
    ran.run()
    (ran.images / "004.png").unlink()
    (ran.images / "z" / "copy.png").unlink()
    put(photo(7), ran.images / "new.png")
    ran.scan()
    assert wrong(ran) == {}
    told = {finding.check: finding for finding in examine(ran.store)}["every_readable_image_has_one_score"]
    assert (told.state, told.remedy) == ("note", "")
    assert told.sentence.startswith("the last run stopped on its way")
    assert repair(ran.store, Run()) == []
    ran.run()
    assert {finding.state for finding in examine(ran.store) if finding.check in told.check} == {"ok"}
