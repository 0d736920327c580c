"""The store under two processes, kills, missing rights and a full disk. Real DuckDB throughout."""

import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time
from datetime import datetime

import duckdb
import numpy as np
import pandas as pd
import pytest

from dedup_assets.core.errors import StoreError
from dedup_assets.core.storage import migrate, schema
from dedup_assets.core.storage import store as store_module
from dedup_assets.core.storage.store import StepRecord, Store, content_version, default_store, version_of

spawned = multiprocessing.get_context("spawn")


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path / "store")


def tags(*images, reason="r"):
    rows = [(image, "Duplicates", reason, "run", datetime(2024, 1, 1)) for image in images]
    return pd.DataFrame(rows, columns=schema.TAGS.names)


def facts(**values):
    return pd.DataFrame({"key": list(values), "value": list(values.values())})


def note(step="raw_images", version="1"):
    return StepRecord(step, "in", version, "{}", "{}", "run", datetime(2024, 1, 1))


def in_process(code, *arguments):
    """A process that runs the code and prints 'ready' when it has come so far."""
    process = subprocess.Popen(
        [sys.executable, "-c", f"import sys, time, duckdb\n{code}", *arguments],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout.readline() == "ready\n"
    return process


# ---- tables


def test_rows_come_back_as_they_were_written(store):
    store.replace({schema.TAGS: tags("b", "a", 'quote"', "new\nline", "späß ✓")})
    assert store.read(schema.TAGS)["image_id"].tolist() == ["b", "a", 'quote"', "new\nline", "späß ✓"]


def test_every_table_has_its_columns_before_anything_is_written(store):
    for table in schema.TABLES:
        assert store.read(table).columns.tolist() == table.names
        assert len(store.read(table)) == 0


def test_missing_values_stay_missing(store):
    store.replace({schema.PAIRS: pd.DataFrame({name: [None] for name in schema.PAIRS.names})})
    assert store.read(schema.PAIRS).isna().all(axis=None)


def test_replace_puts_all_its_rows_anew_and_append_adds(store):
    store.replace({schema.META: facts(a="1", b="2")})
    store.replace({schema.META: facts(c="3")})
    store.append(schema.META, facts(d="4"))
    assert store.read(schema.META)["key"].tolist() == ["c", "d"]


def test_rows_can_be_asked_for_by_condition(store):
    store.replace({schema.META: facts(a="1", b="2")})
    assert store.read(schema.META, "key = ?", ("b",))["value"].tolist() == ["2"]


def test_some_columns_can_be_asked_for_and_come_in_the_order_of_the_table(store):
    asked = ("tag", "image_id")
    assert store.read(schema.TAGS, columns=asked).columns.tolist() == ["image_id", "tag"]
    store.replace({schema.TAGS: tags("a", "b")})
    found = store.read(schema.TAGS, "reason = ? AND image_id > 'a'", ("r",), asked)
    assert found.to_dict("list") == {"image_id": ["b"], "tag": ["Duplicates"]}


def test_a_step_is_remembered_as_last_noted(store):
    store.replace({}, note(version="1"))
    store.replace({}, note(version="2"))
    assert store.step("raw_images") == note(version="2")
    assert store.step("embeddings") is None


def test_a_fact_is_remembered(store):
    assert store.fact("root") is None
    store.set_fact("root", "a")
    store.set_fact("root", "b")
    assert store.fact("root") == "b"


def test_a_write_that_raises_is_undone(store):
    store.replace({schema.META: facts(a="1")})

    def half_way():
        with store.connect(write=True) as db:
            db.execute("DELETE FROM meta")
            raise KeyError

    with pytest.raises(KeyError):
        half_way()
    assert store.fact("a") == "1"


def test_several_tables_and_the_step_are_written_together_or_not_at_all(store):
    store.replace({schema.META: facts(a="1")}, note(version="1"))
    bad = pd.DataFrame({name: ["text"] for name in schema.PAIRS.names})
    with pytest.raises(Exception, match=r"text|double"):
        store.replace({schema.META: facts(a="2"), schema.PAIRS: bad}, note(version="2"))
    assert store.fact("a") == "1"
    assert store.step("raw_images").output_version == "1"


def test_a_store_that_was_never_written_says_so_when_opened(store):
    assert not store.exists()
    said = r"there is no store at '.*'; run 'dedup-assets run IMAGES' first"
    with pytest.raises(StoreError, match=said), store.connect():
        pass


def test_nothing_is_held_open_between_calls(store):
    store.set_fact("a", "1")
    with duckdb.connect(str(store.database)) as db:
        assert db.execute("SELECT value FROM meta").fetchone() == ("1",)


def test_the_store_is_named_by_the_environment_or_lies_here(tmp_path, monkeypatch):
    monkeypatch.setenv("DEDUP_STORE", str(tmp_path / "named"))
    assert default_store().folder == tmp_path / "named"
    monkeypatch.delenv("DEDUP_STORE")
    monkeypatch.chdir(tmp_path)
    assert default_store().folder == tmp_path / "dedup_store"


# ---- versions


def test_versions_change_with_any_part():
    assert version_of("a", 1) == version_of("a", 1)
    assert len({version_of("a", 1), version_of("a", 2), version_of("a"), version_of(1, "a")}) == 4


def test_the_version_of_rows_is_the_same_before_they_are_written_and_after(store):
    frame = pd.DataFrame({"image_id": ["a", "b"], "width": [1, None], "scaled": [True, None], "error": [None, "x"]})
    frame = frame.reindex(columns=schema.IMAGES.names)
    frame[["modified_at", "first_seen_at"]] = pd.Timestamp("2024-01-01")
    store.replace({schema.IMAGES: frame})
    assert content_version(schema.IMAGES, frame) == content_version(schema.IMAGES, store.read(schema.IMAGES))
    whole = frame.assign(width=np.array([1, 2]), scaled=np.array([True, False]))
    store.replace({schema.IMAGES: whole})
    assert content_version(schema.IMAGES, whole) == content_version(schema.IMAGES, store.read(schema.IMAGES))


def test_the_version_of_rows_changes_with_content_and_not_with_times_and_runs():
    rows = tags("a", "b")
    later = rows.assign(run_id="another", tagged_at=datetime(2025, 1, 1))
    versions = [content_version(schema.TAGS, frame) for frame in (rows, later, tags("a"), tags("a", "b", reason="x"))]
    assert versions[0] == versions[1]
    assert len(set(versions)) == 3
    assert content_version(schema.TAGS, tags("b", "a")) not in versions


# ---- two processes


def count_up(folder, times):
    store = Store(folder)
    for _ in range(times):
        with store.exclusively():
            store.set_fact("count", str(int(store.fact("count") or 0) + 1))
            store.append(schema.TAGS, tags(f"{os.getpid()}"))


@pytest.fixture
def openings(store, monkeypatch):
    """Whether each opening of the database is for writing."""
    found, opened = [], store._open
    monkeypatch.setattr(store, "_open", lambda write: found.append(write) or opened(write))
    return found


def test_tables_read_together_are_as_they_were_at_one_moment(store, openings):
    assert [len(rows) for rows in store.read_together(schema.TAGS, schema.META)] == [0, 0]
    store.append(schema.TAGS, tags("a"))
    store.set_fact("k", "v")
    openings.clear()
    rows, known = store.read_together(schema.TAGS, schema.META)
    assert list(rows["image_id"]) == ["a"]
    assert list(known["value"]) == ["v"]
    assert openings == [False]


def test_all_that_is_read_in_one_block_opens_the_database_once(store, openings):
    store.replace({schema.TAGS: tags("a")}, note(), facts={"k": "v"})
    openings.clear()
    with store.reading():
        with store.reading():
            assert store.fact("k") == "v"
        assert store.step("raw_images") == note()
        assert list(store.read(schema.TAGS)["image_id"]) == ["a"]
    assert openings == [False]
    store.set_fact("k", "w")
    assert store.fact("k") == "w"


def test_a_block_of_reads_may_stand_where_there_is_no_store_yet(store):
    with store.reading():
        assert store.fact("k") is None
        assert not store.exists()


def test_a_block_of_reads_is_of_one_store_and_one_thread(store, tmp_path, openings):
    other = Store(tmp_path / "other")
    other.set_fact("k", "other")
    store.set_fact("k", "this")
    openings.clear()
    with store.reading():
        assert other.fact("k") == "other"
        other.set_fact("k", "still free to be written")
        thread = threading.Thread(target=store.fact, args=("k",))
        thread.start()
        thread.join()
    assert openings == [False, False]


def test_a_write_among_reads_is_refused_and_does_not_wait(store):
    store.set_fact("k", "v")
    with store.reading(), pytest.raises(RuntimeError, match="end the block first"):
        store.set_fact("k", "w")
    assert store.fact("k") == "v"


@pytest.mark.slow
def test_two_writers_lose_nothing(store):
    writers = [spawned.Process(target=count_up, args=(store.folder, 20)) for _ in range(2)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join(120)
    assert [writer.exitcode for writer in writers] == [0, 0]
    assert store.fact("count") == "40"
    assert store.read(schema.TAGS)["image_id"].value_counts().tolist() == [20, 20]


HOLD = """
from dedup_assets.core.storage.store import Store
with Store(sys.argv[1]).exclusively():
    print("ready", flush=True)
    time.sleep(float(sys.argv[2]))
"""


def test_a_second_run_waits_for_the_first_and_says_so_once(store):
    holder = in_process(HOLD, str(store.folder), "1")
    heard = []
    with store.exclusively(heard.append):
        assert holder.wait(30) == 0
    assert heard == [f"another run is using the store '{store.folder}'; waiting for it to end"]


def test_a_run_that_waited_too_long_says_so(store, monkeypatch):
    monkeypatch.setattr(store_module, "_WAIT_SECONDS", 0.2)
    holder = in_process(HOLD, str(store.folder), "60")
    with pytest.raises(StoreError, match="still in use by another run"), store.exclusively():
        pass
    holder.kill()
    holder.wait()


def test_a_killed_holder_counts_as_gone(store):
    holder = in_process(HOLD, str(store.folder), "60")
    holder.send_signal(signal.SIGKILL)
    holder.wait()
    heard = []
    with store.exclusively(heard.append):
        pass
    assert heard == []


def test_exclusive_use_may_be_nested(store):
    with store.exclusively(), store.exclusively():
        store.set_fact("a", "1")
    assert store.fact("a") == "1"


def test_two_threads_exclude_each_other(store):
    inside, most = [], []

    def work():
        with Store(store.folder).exclusively():
            inside.append(1)
            most.append(len(inside))
            time.sleep(0.05)
            inside.pop()

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == [1, 1, 1, 1]


WRITE = """
with duckdb.connect(sys.argv[1]) as db:
    db.begin()
    db.execute("CREATE TABLE IF NOT EXISTS meta (key VARCHAR, value VARCHAR)")
    db.execute("DELETE FROM meta")
    db.execute("INSERT INTO meta VALUES ('a', '2')")
    print("ready", flush=True)
    time.sleep(float(sys.argv[2]))
    db.commit()
"""


def test_reading_waits_until_another_process_has_written(store):
    store.set_fact("a", "1")
    writer = in_process(WRITE, str(store.database), "0.7")
    assert store.fact("a") == "2"
    assert writer.wait(30) == 0


def test_a_writer_killed_inside_its_transaction_leaves_what_was_there(store):
    store.set_fact("a", "1")
    writer = in_process(WRITE, str(store.database), "60")
    writer.kill()
    writer.wait()
    assert store.fact("a") == "1"
    store.set_fact("a", "3")
    assert store.fact("a") == "3"


@pytest.mark.parametrize("size", [0, 5000])
def test_what_a_killed_creation_left_is_no_store(store, size):
    store.folder.mkdir()
    for suffix in (".new", ".new.wal"):
        store.database.with_name(store.database.name + suffix).write_bytes(bytes(size))
    assert not store.exists()
    assert store.fact("a") is None
    store.set_fact("a", "1")
    assert store.fact("a") == "1"


def test_the_database_appears_whole(store, monkeypatch):
    seen = []
    begin = migrate.bring_up_to_date

    def watched(db):
        begin(db)
        seen.append(store.exists())

    monkeypatch.setattr("dedup_assets.core.storage.store.bring_up_to_date", watched)
    store.set_fact("a", "1")
    assert seen == [False, True], "the file is whole under another name before it is there under its own"
