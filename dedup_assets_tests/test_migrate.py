"""Stores of other releases: an older one is taken on with all it holds, a later one is left alone."""

import contextlib
import shutil

import duckdb
import pytest

from dedup_assets.core.doctor.examine import NOTE, OK, WRONG, examine, prune_store, repair
from dedup_assets.core.errors import StoreError
from dedup_assets.core.report import overview
from dedup_assets.core.run import Run
from dedup_assets.core.storage import schema

LATER = {  # what the first release had not
    "images": {"etag", "annotated", "label_hash", "renamed_from"},
    "removals": {"dataset_version", "superseded_at"},
}


@contextlib.contextmanager
def database(chain):
    with contextlib.closing(duckdb.connect(str(chain.store.database))) as db:
        yield db


@pytest.fixture
def older(ran):
    """A store as the first release would have left it: without later tables and columns, and without a version."""
    known = {"images", "content_pairs", "content_nearest", "pairs", "scores", "tags", "removals", "decisions", "meta"}
    with database(ran) as db:
        for (table,) in db.execute("SELECT table_name FROM information_schema.tables").fetchall():
            if table not in known | {"steps", "datasets", "file_facts"}:
                db.execute(f"DROP TABLE {table}")
        for table, columns in LATER.items():
            for column in columns:
                db.execute(f"ALTER TABLE {table} DROP COLUMN IF EXISTS {column}")
        db.execute("INSERT INTO tags BY NAME SELECT '000.png' AS image_id, 'mine' AS tag")
    return ran


def test_a_store_of_an_older_release_is_read_and_taken_on(older, once):
    assert overview(older.store)
    older.run()
    expected = once.results()
    tags = older.store.read(schema.TAGS)
    assert set(tags["tag"]) == {"mine", "Duplicates"}
    assert {name: text for name, text in older.results().items() if name != "tags"} == {
        name: text for name, text in expected.items() if name != "tags"
    }
    with database(older) as db:
        there = db.execute("SELECT table_name, column_name FROM information_schema.columns").fetchall()
    assert set(there) >= {(table.name, name) for table in schema.TABLES for name in table.names}


def format_finding(store):
    return next(finding for finding in examine(store) if finding.check == "store format")


def test_the_doctor_tells_which_release_wrote_a_store(ran):
    assert format_finding(ran.store).state == OK
    with database(ran) as db:
        db.execute("DROP TABLE store_format")
    assert format_finding(ran.store).state == NOTE
    ran.store.set_fact("touched", "by this release")
    assert format_finding(ran.store).state == OK
    with database(ran) as db:
        db.execute("UPDATE store_format SET version = 99")
    found = format_finding(ran.store)
    assert found.state == WRONG
    assert "later release" in found.sentence
    for mend in (repair, prune_store):
        with pytest.raises(StoreError, match="later release"):
            mend(ran.store, Run())


def test_a_store_of_a_later_release_is_not_written(ran):
    with database(ran) as db:
        db.execute("UPDATE store_format SET version = 99")
    before = ran.store.read(schema.META)
    shutil.rmtree(ran.images / "z")
    with pytest.raises(StoreError, match="later release \\(format 99, this one knows"):
        ran.run()
    assert ran.store.read(schema.META).equals(before)


def test_a_summary_of_an_older_release_that_says_too_little_is_made_anew(ran):
    with database(ran) as db:
        db.execute("UPDATE steps SET summary = '{\"scored\": 7}' WHERE step = 'uniqueness_scores'")
    assert ran.run()["uniqueness_scores"].scored == 7
