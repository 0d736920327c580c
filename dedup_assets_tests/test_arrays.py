"""The shelf of arrays: what goes in comes out, in any order, and a killed or broken write is as good as none."""

import hashlib

import numpy as np
import pytest

from dedup_assets.core.storage import arrays
from dedup_assets.core.storage.arrays import ArrayShelf


def key(name):
    return hashlib.sha256(str(name).encode()).hexdigest()


def keys(*names):
    return [key(name) for name in names]


@pytest.fixture
def shelf(tmp_path):
    return ArrayShelf(tmp_path / "shelf", (2, 3), "int16")


def rows(*values):
    return np.stack([np.full((2, 3), value, np.int16) for value in values])


def values(shelf, *names):
    return shelf.read(keys(*names))[:, 0, 0].tolist()


def test_rows_come_back_in_the_order_asked(shelf):
    shelf.add(keys("a", "b"), rows(1, 2))
    shelf.add(keys("c"), rows(3))
    assert values(shelf, "c", "a", "b") == [3, 1, 2]


def test_more_rows_than_memory_is_meant_for_are_mapped_from_a_file_that_leaves_nothing(shelf, monkeypatch):
    monkeypatch.setattr(arrays, "_IN_MEMORY_BYTES", 11)
    shelf.add(keys("a", "b"), rows(1, 2))
    before = sorted(shelf.folder.iterdir())
    read = shelf.read(keys("b", "a", "b"))
    assert isinstance(read.base, np.memmap)
    assert read[:, 0, 0].tolist() == [2, 1, 2]
    assert sorted(shelf.folder.iterdir()) == before


def test_another_shelf_of_the_folder_sees_the_rows(shelf):
    shelf.add(keys("a"), rows(1))
    assert values(ArrayShelf(shelf.folder, (2, 3), "int16"), "a") == [1]


def test_a_folder_that_is_not_there_holds_nothing(shelf):
    assert shelf.missing(keys("a", "b")) == keys("a", "b")
    assert len(shelf.read([])) == 0


def test_missing_keeps_the_order_given(shelf):
    shelf.add(keys(2), rows(0))
    assert shelf.missing(keys(3, 2, 1)) == keys(3, 1)


def test_a_key_without_a_row_is_named(shelf):
    shelf.add(keys("a"), rows(1))
    with pytest.raises(KeyError, match=key("z")):
        shelf.read(keys("a", "z"))


def test_many_rows_over_many_shards(shelf):
    for start in range(0, 1000, 100):
        shelf.add(keys(*range(start, start + 100)), rows(*range(start, start + 100)))
    order = np.random.default_rng(0).permutation(1000).tolist()
    assert values(shelf, *order) == order


def test_adding_nothing_writes_nothing(shelf):
    shelf.add([], np.empty((0, 2, 3)))
    assert not shelf.folder.exists()


def test_a_row_added_twice_is_read_once(shelf):
    shelf.add(keys("a", "b"), rows(1, 2))
    shelf.add(keys("b", "c"), rows(2, 3))
    assert values(shelf, "a", "b", "c") == [1, 2, 3]


def test_a_write_killed_before_its_keys_leaves_nothing_that_is_read(shelf):
    shelf.add(keys("a"), rows(1))
    next(shelf.folder.glob("*.keys.npy")).unlink()
    assert shelf.missing(keys("a")) == keys("a")


@pytest.mark.parametrize("kind", ["keys", "rows"])
@pytest.mark.parametrize("size", [0, 40, 130])
def test_a_broken_shard_is_as_good_as_absent_and_is_mended(shelf, kind, size):
    shelf.add(keys("a"), rows(1))
    shelf.add(keys("b"), rows(2))
    path = next(shelf.folder.glob(f"*.{kind}.npy"))
    path.write_bytes(path.read_bytes()[:size])
    lost = shelf.missing(keys("a", "b"))
    assert len(lost) == 1
    shelf.add(lost, rows(9))
    assert sorted(values(shelf, "a", "b")) in ([1, 9], [2, 9])


def test_rows_of_another_shape_or_type_do_not_count(shelf):
    shelf.add(keys("a"), rows(1))
    assert ArrayShelf(shelf.folder, (3, 2), "int16").missing(keys("a"))
    assert ArrayShelf(shelf.folder, (2, 3), "int32").missing(keys("a"))


def test_a_write_that_fails_leaves_no_partial_file(shelf, monkeypatch):
    def full_disk(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(arrays.Path, "replace", full_disk)
    with pytest.raises(OSError, match="No space left"):
        shelf.add(keys("a"), rows(1))
    assert list(shelf.folder.iterdir()) == []


def test_the_files_do_not_depend_on_when_they_are_written(shelf, tmp_path):
    other = ArrayShelf(tmp_path / "other", (2, 3), "int16")
    for target in (shelf, other):
        target.add(keys("a", "b"), rows(1, 2))
    names = sorted(path.name for path in shelf.folder.iterdir())
    assert names == sorted(path.name for path in other.folder.iterdir())
    assert all((shelf.folder / name).read_bytes() == (other.folder / name).read_bytes() for name in names)


def test_a_key_asked_for_twice_gives_its_row_twice(tmp_path):
    shelf = ArrayShelf(tmp_path, (2,), "float64")
    keys = [f"{number:064x}" for number in (3, 1, 2)]
    shelf.add(keys, np.array([[3.0, 3], [1, 1], [2, 2]]))
    asked = [keys[1], keys[0], keys[1], keys[2], keys[1]]
    assert shelf.read(asked)[:, 0].tolist() == [1, 3, 1, 2, 1]
    assert shelf.missing(["f" * 64, keys[0], "f" * 64]) == ["f" * 64]
