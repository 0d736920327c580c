"""What the store says when rights, disk or database fail it: one sentence, and nothing lost."""

import os
import subprocess
import sys
import time

import numpy as np
import pytest

from dedup_assets.core.errors import StoreError
from dedup_assets.core.storage import schema
from dedup_assets.core.storage.store import Store
from dedup_assets_tests.test_store import facts, tags


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path / "store")


def one_sentence(caught):
    text = str(caught.value)
    assert "\n" not in text
    return text


def test_a_folder_without_rights_is_one_sentence(store, unprivileged):
    store.folder.mkdir()
    with unprivileged():
        for use in (lambda: store.set_fact("a", "1"), lambda: store.exclusively().__enter__()):
            with pytest.raises(StoreError, match=r"cannot write to the store '.*' \(Permission denied\)") as caught:
                use()
            assert "--store" in one_sentence(caught)


def test_a_store_that_cannot_be_created_is_one_sentence(tmp_path, unprivileged):
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o755)
    with unprivileged(), pytest.raises(StoreError, match="cannot write to the store"):
        Store(closed / "deep" / "store").set_fact("a", "1")


def test_a_database_without_rights_is_one_sentence_at_once_whatever_its_name(tmp_path, unprivileged):
    store = Store(tmp_path / "unlocked")
    store.set_fact("a", "1")
    store.database.chmod(0o600)
    started = time.monotonic()
    with unprivileged(), pytest.raises(StoreError, match="Permission denied") as caught:
        store.set_fact("a", "2")
    one_sentence(caught)
    assert time.monotonic() - started < 5


def test_a_file_in_place_of_the_store_is_one_sentence(tmp_path):
    (tmp_path / "store").write_text("not a folder")
    with pytest.raises(StoreError) as caught:
        Store(tmp_path / "store").set_fact("a", "1")
    one_sentence(caught)


def test_a_database_that_is_none_is_one_sentence(store):
    store.folder.mkdir()
    store.database.write_text("not a database")
    with pytest.raises(StoreError, match="not a valid DuckDB database") as caught:
        store.read(schema.META)
    one_sentence(caught)


def test_errors_about_the_users_files_are_not_blamed_on_the_store(store):
    beside = str(store.folder.parent / "images" / "a.jpg")
    with pytest.raises(PermissionError), store.explained():
        raise PermissionError(13, "Permission denied", beside)


@pytest.fixture
def small_disk(tmp_path):
    """A disk of two megabytes."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(folder)]
    if sys.platform != "linux" or subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("needs the right to mount a small disk")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def test_a_disk_that_is_full_of_rows_is_one_sentence_and_the_store_stays_whole(small_disk):
    store = Store(small_disk / "store")
    store.replace({schema.META: facts(a="1")})
    names = [os.urandom(40).hex() for _ in range(60_000)]
    with pytest.raises(StoreError, match=r"the disk of the store '.*' is full; free some space") as caught:
        store.replace({schema.TAGS: tags(*names)})
    one_sentence(caught)
    assert store.fact("a") == "1"
    assert len(store.read(schema.TAGS)) == 0


@pytest.mark.parametrize("rows", [4_000, 8_000])
def test_a_disk_that_is_full_when_the_database_is_put_in_order_is_one_sentence(small_disk, rows):
    store = Store(small_disk / "store")
    store.replace({schema.META: facts(a="1")})
    (small_disk / "filler").write_bytes(bytes(200_000))

    def fill():
        while True:
            store.append(schema.TAGS, tags(*(os.urandom(40).hex() for _ in range(rows))))

    with pytest.raises(StoreError, match="is full; free some space"):
        fill()
    (small_disk / "filler").unlink()
    assert store.fact("a") == "1"


def test_a_disk_that_is_full_of_vectors_is_one_sentence(small_disk):
    store = Store(small_disk / "store")
    shelf = store.vectors("embedder", 1, 1000)
    keys = [f"{number:064x}" for number in range(4000)]
    with pytest.raises(StoreError, match=r"the disk of the store '.*' is full"), store.explained():
        shelf.add(keys, np.ones((4000, 1, 1000), np.int8))
    assert shelf.missing(keys) == keys


def test_a_disk_too_full_to_begin_is_one_sentence(small_disk):
    with pytest.raises(OSError, match="No space left"):
        (small_disk / "filler").write_bytes(bytes(4 << 20))
    with pytest.raises(StoreError, match="is full"):
        Store(small_disk / "store").set_fact("a", "1")
