"""The sieve for candidate pairs: what it lets go is neither named nor kept nor compared."""

import pickle

import numpy as np
import pytest

from dedup_assets.core.detection import contents as contents_module
from dedup_assets.core.detection import outlines, sifting
from dedup_assets.core.detection.contents import Content, Sketches
from dedup_assets.core.detection.sifting import Sieve
from dedup_assets.core.engines.local import LocalEngine
from dedup_assets.core.images import SKETCH_SIZE, read_picture
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
    sizes = ((96, 72), (80, 60))
    paths = [put(photo(seed, size), tmp_path / f"{seed}_{size[0]}.png") for seed in range(6) for size in sizes]
    return [Content(f"{place:064x}", path, (96, 72), 1) for place, path in enumerate(paths)]


@pytest.fixture
def every_pair(contents):
    return np.array([(a, b) for b in range(len(contents)) for a in range(b)]).T


def sieve(contents, shelf=None, engine=None):
    def at(rows):
        return [contents[row] for row in rows.tolist()]

    def upright(first, second):
        return np.zeros_like(first), np.zeros_like(second)

    return Sieve(at, upright, Sketches(shelf, 1), engine or Engine())


def test_it_keeps_what_is_one_picture_and_lets_most_others_go(contents, every_pair):
    first, second = every_pair
    kept = sieve(contents)(first, second, np.full(len(first), FAR))
    assert kept[first // 2 == second // 2].all()
    assert kept.mean() < 0.5


def test_pairs_that_may_be_the_very_same_are_kept_without_a_glance(contents, every_pair):
    engine = Engine()
    assert sieve(contents, engine=engine)(*every_pair, np.full(every_pair.shape[1], TINY)).all()
    assert engine.works == []


def test_the_answer_hangs_on_neither_the_order_nor_the_company(contents, every_pair, monkeypatch):
    first, second = every_pair
    distance = np.full(len(first), FAR)
    expected = sieve(contents)(first, second, distance)
    monkeypatch.setattr(sifting, "_SHARD", 3)
    monkeypatch.setattr(sifting, "_SKETCHES", 2)
    for kept_outlines in (0, 5, 1000):
        monkeypatch.setattr(sifting, "_OUTLINES", kept_outlines)
        for engine in (Engine(), LocalEngine(3)):
            backwards = sieve(contents, engine=engine)(second[::-1], first[::-1], distance)
            np.testing.assert_array_equal(backwards[::-1], expected)


def test_an_outline_is_drawn_once_and_stays_here_when_the_work_travels(contents, every_pair, monkeypatch):
    drawn, outline = [], outlines.outline
    monkeypatch.setattr(outlines, "outline", lambda pictures: drawn.append(len(pictures)) or outline(pictures))
    monkeypatch.setattr(sifting, "_SHARD", 4)
    sift = sieve(contents)
    for _ in range(2):
        sift(*every_pair, np.full(every_pair.shape[1], FAR))
    assert sum(drawn) == len(contents)
    assert len(pickle.dumps(sift._work)) < 500


def test_sketches_are_taken_from_the_shelf_where_it_has_them_all(tmp_path, contents, every_pair, monkeypatch):
    distance = np.full(every_pair.shape[1], FAR)
    expected = sieve(contents)(*every_pair, distance)
    shelf = ArrayShelf(tmp_path / "sketches", (SKETCH_SIZE, SKETCH_SIZE, 3), "uint8")
    sketches = [read_picture(one.file, SKETCH_SIZE) for one in contents]
    shelf.add([one.content_id for one in contents[:5]], np.stack(sketches[:5]))
    np.testing.assert_array_equal(sieve(contents, shelf)(*every_pair, distance), expected)
    shelf.add([one.content_id for one in contents[5:]], np.stack(sketches[5:]))
    monkeypatch.setattr(contents_module, "read_picture", lambda *_: pytest.fail("a sketch was read from its file"))
    np.testing.assert_array_equal(sieve(contents, shelf)(*every_pair, distance), expected)


def test_of_no_pairs_none_is_kept(contents):
    none = np.empty(0, np.int64)
    assert len(sieve(contents)(none, none, np.empty(0))) == 0
