"""From candidate pairs to distances: what a glance rules out is neither named nor kept nor compared."""

import numpy as np
import pytest

from dedup_assets.core.detection import comparing
from dedup_assets.core.detection.comparing import Comparer, Content
from dedup_assets.core.detection.judging import RULED_OUT_DISTANCE
from dedup_assets.core.engines.local import LocalEngine
from dedup_assets.core.images import SKETCH_SIZE, read_picture
from dedup_assets.core.run import Run
from dedup_assets.core.storage.arrays import ArrayShelf
from dedup_assets_tests.pictures import photo, put

FAR, TINY = 0.09, 0.01  # vector distances


class Engine(LocalEngine):
    """Notes which work it was given."""

    def __init__(self):
        super().__init__(1)
        self.works = []

    def each(self, work, shards, *, alone=False):
        self.works.append(type(work).__name__)
        return super().each(work, shards, alone=alone)


@pytest.fixture
def contents(tmp_path):
    """Six different pictures, and each once more a little smaller."""
    paths = [
        put(photo(seed, size), tmp_path / f"{seed}_{size[0]}.png") for seed in range(6) for size in ((96, 72), (80, 60))
    ]
    return [Content(f"{place:064x}", path, (96, 72), 1) for place, path in enumerate(paths)]


@pytest.fixture
def every_pair(contents):
    return np.array([(a, b) for b in range(len(contents)) for a in range(b)]).T


def comparer(tmp_path, second_stage=True, sketches=None):
    engine = Engine()
    shelf = ArrayShelf(tmp_path / "comparisons", (2,), "float64")
    return Comparer(shelf, second_stage, 1, engine, sketches), shelf, engine


def test_a_glance_rules_out_most_pairs_before_any_is_named(tmp_path, contents, every_pair):
    compare, shelf, _ = comparer(tmp_path)
    first, second = every_pair
    distance, agreed = compare.distances(contents, first, second, np.full(len(first), FAR), Run())
    same = first // 2 == second // 2
    assert (distance[same] < 0.05).all()
    assert (distance[~same] > 0.1).all()
    assert same.sum() <= len(shelf.keys()) < len(first) / 2
    ruled_out = np.isnan(agreed)
    assert ruled_out.sum() >= len(first) - len(shelf.keys())
    assert (distance[ruled_out] == RULED_OUT_DISTANCE).all()


def test_pairs_that_may_be_the_very_same_are_compared_without_a_glance(tmp_path, contents, every_pair):
    compare, shelf, engine = comparer(tmp_path)
    first, second = every_pair
    compare.distances(contents, first, second, np.full(len(first), TINY), Run())
    assert len(shelf.keys()) == len(first)
    assert engine.works == ["Comparer"]


def test_without_a_second_stage_nothing_is_ruled_out(tmp_path, contents, every_pair):
    compare, shelf, engine = comparer(tmp_path, second_stage=False)
    first, second = every_pair
    distance, agreed = compare.distances(contents, first, second, np.full(len(first), FAR), Run())
    assert (distance == FAR).all()
    assert np.isnan(agreed).all()
    assert len(shelf.keys()) == len(first)
    assert engine.works == ["Comparer"]


def test_the_answer_does_not_hang_on_the_order_or_on_how_pairs_are_grouped(tmp_path, contents, every_pair, monkeypatch):
    first, second = every_pair
    vectors = np.full(len(first), FAR)
    expected = comparer(tmp_path / "one")[0].distances(contents, first, second, vectors, Run())
    for name, value in (("_BLOCK", 7), ("_GLANCED", 3), ("_SKETCHES", 2)):
        monkeypatch.setattr(comparing, name, value)
    told = []
    run = Run(progress=lambda what, done, total: told.append((done, total)))
    grouped = comparer(tmp_path / "other")[0].distances(contents, second[::-1], first[::-1], vectors, run)
    np.testing.assert_array_equal(np.stack(grouped)[:, ::-1], np.stack(expected))
    assert [done for done, _ in told] == sorted(done for done, _ in told)
    assert told[-1] == (len(first), len(first))


def test_sketches_are_taken_from_the_shelf_where_it_has_them_all(tmp_path, contents, every_pair, monkeypatch):
    first, second = every_pair
    vectors = np.full(len(first), FAR)
    expected = comparer(tmp_path / "one")[0].distances(contents, first, second, vectors, Run())
    sketches = ArrayShelf(tmp_path / "sketches", (SKETCH_SIZE, SKETCH_SIZE, 3), "uint8")
    sketches.add(
        [one.content_id for one in contents], np.stack([read_picture(one.file, SKETCH_SIZE) for one in contents])
    )
    monkeypatch.setattr(comparing, "read_picture", lambda *_: pytest.fail("a sketch was read from its file"))
    shelved = comparer(tmp_path / "other", sketches=sketches)[0].distances(contents, first, second, vectors, Run())
    np.testing.assert_array_equal(np.stack(shelved), np.stack(expected))


def test_no_pairs_have_no_distances(tmp_path, contents):
    none = np.empty(0, np.int64)
    distance, agreed = comparer(tmp_path)[0].distances(contents, none, none, np.empty(0), Run())
    assert len(distance) == len(agreed) == 0
