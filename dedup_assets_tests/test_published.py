"""The published tables: always one complete set, equal to the database, and free of its lock."""

import json
import os
import shutil
import threading
import time

import duckdb
import pandas as pd
import pytest

from dedup_assets.core.report import overview
from dedup_assets.core.run import Run
from dedup_assets.core.storage import published, schema
from dedup_assets.core.storage.published import PUBLISHED, current_set, for_reading, publish
from dedup_assets_tests.pictures import photo, put


def test_a_run_publishes_every_table_as_the_database_holds_it(once):
    folder = current_set(once.store)
    for table in PUBLISHED:
        with duckdb.connect() as db:
            rows = db.execute(f"SELECT * FROM '{folder / table.name}.parquet'").df()
        assert rows.to_csv() == once.store.read(table).to_csv()
    assert (once.store.folder / "published" / "current" / "images.parquet").is_file()


def test_a_run_that_changes_nothing_publishes_nothing(ran):
    ran.run()
    before = {path: path.stat().st_mtime_ns for path in current_set(ran.store).iterdir()}
    ran.run()
    assert {path: path.stat().st_mtime_ns for path in current_set(ran.store).iterdir()} == before


def test_a_table_that_did_not_change_is_the_same_file(ran):
    ran.run()
    before = current_set(ran.store)
    ran.decide("000.png,keep,")
    ran.run()
    after = current_set(ran.store)
    assert after != before
    assert (after / "images.parquet").stat().st_ino == (before / "images.parquet").stat().st_ino
    assert (after / "decisions.parquet").stat().st_ino != (before / "decisions.parquet").stat().st_ino


def test_sets_that_nobody_can_be_reading_any_more_go(ran, monkeypatch):
    monkeypatch.setattr(published, "_KEPT_SECONDS", 0.0)
    for seed in (20, 21, 22):
        put(photo(seed), ran.images / f"{seed}.png")
        ran.run()
    sets = [path for path in (ran.store.folder / "published").iterdir() if not path.is_symlink()]
    assert len(sets) == 2
    assert current_set(ran.store) in sets


def test_a_set_that_was_published_long_ago_stays_for_an_hour_after_it_was_replaced(ran):
    ran.run()
    read = current_set(ran.store)
    os.utime(read, (time.time() - 86400,) * 2)
    for seed in (70, 71):
        put(photo(seed), ran.images / f"{seed}.png")
        ran.run()
    assert pd.read_parquet(read / "images.parquet")["image_id"].is_unique
    os.utime(read, (time.time() - 3700,) * 2)
    put(photo(72), ran.images / "72.png")
    ran.run()
    assert not read.exists()


def test_a_set_whose_removal_is_cut_short_is_none_any_more(ran, monkeypatch):
    ran.run()
    before, remove = current_set(ran.store), shutil.rmtree

    def killed(path, **options):
        if path.parent != before.parent or not path.exists():
            return remove(path, **options)
        (path / "images.parquet").unlink()
        raise KeyboardInterrupt

    put(photo(70), ran.images / "70.png")
    ran.run()
    os.utime(before, (0, 0))
    put(photo(71), ran.images / "71.png")
    monkeypatch.setattr(published.shutil, "rmtree", killed)
    with pytest.raises(KeyboardInterrupt):
        ran.run()
    assert not before.exists()


def test_readers_see_one_complete_set_at_every_moment_while_runs_go_on(ran):
    """Images and scores of one set always fit together, however often it is replaced under the reader."""
    ran.run()
    stop, seen, wrong = threading.Event(), set(), []

    def read():
        while not stop.is_set():
            folder = current_set(ran.store)
            images, scores = (pd.read_parquet(folder / f"{name}.parquet") for name in ("images", "scores"))
            seen.add(len(images))
            if len(scores) != (images["status"] == "ok").sum():
                wrong.append(folder)

    reader = threading.Thread(target=read)
    reader.start()
    try:
        for seed in (30, 31, 32):
            put(photo(seed), ran.images / f"{seed}.png")
            ran.run()
    finally:
        stop.set()
        reader.join()
    assert not wrong
    assert len(seen) > 1


def test_a_reader_of_the_set_needs_no_database(ran):
    ran.run()
    reading = for_reading(ran.store)
    shown = overview(ran.store)
    with duckdb.connect(str(ran.store.database)):  # this would keep any other process out
        assert isinstance(reading, published.PublishedStore)
        assert overview(reading) == shown


def test_where_the_database_says_more_than_the_set_it_is_asked(ran):
    ran.run()
    put(photo(40), ran.images / "40.png")
    ran.scan()
    assert for_reading(ran.store) is ran.store


def test_a_published_set_cannot_be_written(ran):
    ran.run()
    with pytest.raises(TypeError, match="for reading"):
        for_reading(ran.store).set_fact("a", "b")


def test_a_killed_publication_leaves_the_old_set_and_is_cleaned_up(ran, monkeypatch):
    ran.run()
    before = current_set(ran.store)

    def killed(*_):
        raise KeyboardInterrupt

    put(photo(50), ran.images / "50.png")
    with monkeypatch.context() as patch:
        patch.setattr(published, "point", killed)
        with pytest.raises(KeyboardInterrupt):
            ran.run()
    assert current_set(ran.store) == before
    (ran.store.folder / "published" / ".x.partial").mkdir()
    ran.run()
    assert current_set(ran.store) != before
    assert len(pd.read_parquet(current_set(ran.store) / "images.parquet")) == len(ran.store.read(schema.IMAGES))


def test_without_links_a_run_says_so_and_goes_on(ran, monkeypatch):
    def refuse(*_):
        raise OSError(1, "Operation not permitted")

    shutil.rmtree(ran.store.folder / "published")
    monkeypatch.setattr(published, "point", refuse)
    said = []
    assert publish(ran.store, Run(say=said.append)) is None
    assert "takes no links" in said[0]
    assert for_reading(ran.store) is ran.store


def test_a_store_of_an_older_release_is_read_with_empty_columns_and_tables(ran):
    with duckdb.connect(str(ran.store.database)) as db:
        db.execute("ALTER TABLE removals DROP COLUMN dataset_version")
        db.execute("DROP TABLE events")
    assert ran.store.read(schema.REMOVALS)["dataset_version"].isna().all()
    assert ran.store.read(schema.EVENTS).empty
    publish(ran.store, Run())
    assert for_reading(ran.store).read(schema.REMOVALS)["dataset_version"].isna().all()
    ran.run()
    assert ran.store.read(schema.REMOVALS)["dataset_version"].notna().all()


def test_every_removal_names_the_first_dataset_version_without_it(ran):
    first = ran.run()["deduplicated_dataset"]
    put(photo(1), ran.images / "a" / "copy.png")
    second = ran.run()["deduplicated_dataset"]
    versions = dict(ran.store.read(schema.REMOVALS)[["image_id", "dataset_version"]].itertuples(index=False))
    assert versions.pop("a/copy.png") == second.version
    assert set(versions.values()) == {first.version}
    events = ran.store.read(schema.EVENTS)
    assert events["dataset_version"].tolist() == [first.version, second.version]


def test_the_set_says_which_run_it_is_of(ran):
    put(photo(60), ran.images / "60.png")
    ran.run(run_id="the-run")
    assert json.loads((current_set(ran.store) / "set.json").read_text())["run_id"] == "the-run"
