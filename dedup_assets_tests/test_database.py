"""DuckDB files in one engine: who may have one at the same time, and that nobody keeps it."""

import contextlib
import multiprocessing
import subprocess
import sys
import threading

import duckdb
import pytest

from dedup_assets.core.storage.database import OpenFile
from dedup_assets.core.storage.store import Store


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "it's a store" / "a.duckdb"
    path.parent.mkdir()
    with contextlib.closing(OpenFile(path, write=True)) as opened:
        opened.db.execute("CREATE TABLE numbers AS SELECT 1 AS n")
    return path


def numbers(opened):
    return [n for (n,) in opened.db.execute("SELECT n FROM numbers ORDER BY n").fetchall()]


def test_readers_share_a_file_and_a_writer_has_it_alone(file):
    one, other = OpenFile(file, write=False), OpenFile(file, write=False)
    with pytest.raises(duckdb.IOException, match="set lock on file"):
        OpenFile(file, write=True)
    one.close()
    assert numbers(other) == [1]
    other.close()
    writer = OpenFile(file, write=True)
    for write in (True, False):
        with pytest.raises(duckdb.IOException, match="set lock on file"):
            OpenFile(file, write=write)
    writer.close()


def test_a_reader_cannot_write(file):
    with contextlib.closing(OpenFile(file, write=False)) as opened, pytest.raises(duckdb.Error, match="read-only"):
        opened.db.execute("INSERT INTO numbers VALUES (2)")


def test_what_was_not_committed_is_undone_and_no_log_is_left(file):
    writer = OpenFile(file, write=True)
    writer.db.begin()
    writer.db.execute("INSERT INTO numbers VALUES (2)")
    writer.close()
    with contextlib.closing(OpenFile(file, write=False)) as opened:
        assert numbers(opened) == [1]
    assert [path.name for path in file.parent.iterdir()] == [file.name]


def test_files_of_the_same_tables_are_kept_apart(file, tmp_path):
    with contextlib.closing(OpenFile(tmp_path / "b.duckdb", write=True)) as b:
        b.db.execute("CREATE TABLE numbers AS SELECT 7 AS n")
        with contextlib.closing(OpenFile(file, write=False)) as a:
            assert (numbers(a), numbers(b)) == ([1], [7])


def test_another_name_of_a_file_is_the_same_file(file, tmp_path):
    (tmp_path / "link").symlink_to(file.parent)
    with contextlib.closing(OpenFile(file, write=False)):
        with contextlib.closing(OpenFile(tmp_path / "link" / file.name, write=False)) as opened:
            assert numbers(opened) == [1]
        with pytest.raises(duckdb.IOException, match="set lock on file"):
            OpenFile(tmp_path / "link" / file.name, write=True)


def test_a_file_that_is_none_says_so(tmp_path):
    (tmp_path / "bad").write_bytes(b"x" * 5000)
    for name in ("bad", "missing"):
        with pytest.raises(duckdb.IOException):
            OpenFile(tmp_path / name, write=False)
    (tmp_path / "bad").unlink()
    OpenFile(tmp_path / "bad", write=True).close()


def test_a_closed_file_is_free_for_other_processes(file):
    OpenFile(file, write=True).close()
    code = "import duckdb, sys; duckdb.connect(sys.argv[1]).execute('INSERT INTO numbers VALUES (2)')"
    subprocess.run([sys.executable, "-c", code, str(file)], check=True)
    with contextlib.closing(OpenFile(file, write=False)) as opened:
        assert numbers(opened) == [1, 2]


def test_a_file_that_the_user_has_open_in_this_process_is_read_with_it(tmp_path):
    store = Store(tmp_path / "store")
    store.set_fact("a", "1")
    with duckdb.connect(str(store.database), read_only=True) as db:
        assert store.fact("a") == "1"
        assert db.execute("SELECT value FROM meta").fetchall() == [("1",)]
    store.set_fact("a", "2")
    assert store.fact("a") == "2"


def test_threads_that_read_and_write_wait_for_each_other(tmp_path):
    store, seen, failed = Store(tmp_path / "store"), [], []
    store.set_fact("a", "0")

    def work(number):
        try:
            for turn in range(10):
                if turn % 3:
                    seen.append(Store(store.folder).fact("a"))
                else:
                    Store(store.folder).set_fact("a", f"{number} {turn}")
        except Exception as error:
            failed.append(error)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failed
    assert len(seen) == 24


def _count(path, answers):
    with contextlib.closing(OpenFile(path, write=False)) as opened:
        answers.put(numbers(opened))


@pytest.mark.skipif("fork" not in multiprocessing.get_all_start_methods(), reason="this system cannot fork")
def test_a_forked_process_has_an_engine_of_its_own(file):
    fork = multiprocessing.get_context("fork")
    answers = fork.Queue()
    with contextlib.closing(OpenFile(file, write=False)):
        child = fork.Process(target=_count, args=(file, answers))
        child.start()
        assert answers.get(timeout=60) == [1]
        child.join(60)
    assert child.exitcode == 0
