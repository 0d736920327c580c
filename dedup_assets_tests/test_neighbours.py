"""The join against every pair worked out one by one; and that blocks, views and ties do not change the answer."""

import pickle
import sys
import tracemalloc
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from dedup_assets.core.detection import neighbours, products, search
from dedup_assets.core.detection.base import Calibration
from dedup_assets.core.detection.cosines import pair_distances, quantise
from dedup_assets.core.detection.neighbours import Known, join, nearest_among
from dedup_assets.core.detection.search import Reach
from dedup_assets.core.errors import SettingsError

BENT = Calibration((0.0, 0.1, 1.0), (0.0, 0.5, 1.0), view_factor=1.25)


def unit_vectors(count, views=1, dimension=16, seed=0, groups=None):
    """Vectors in bunches around some directions, so that there are near pairs at every distance."""
    rng = np.random.default_rng(seed)
    centres = rng.normal(size=(groups or max(count // 4, 1), 1, dimension))
    spread = rng.choice([0.0, 0.05, 0.3, 1.0], size=(count, views, 1))
    raw = centres[rng.integers(0, len(centres), count)] + spread * rng.normal(size=(count, views, dimension))
    return (raw / np.linalg.norm(raw, axis=-1, keepdims=True)).astype(np.float32)


def vectors(count, **more):
    return quantise(unit_vectors(count, **more))


def oracle(stored, calibration):
    """(n, n) view and full distances, every one from whole numbers; the diagonal is inf."""
    whole = stored.astype(np.int64)
    squares = (whole**2).sum(axis=2).astype(np.float64)
    dots = np.einsum("avd,bd->vab", whole, whole[:, 0]).astype(np.float64)
    cosines = dots / np.sqrt(np.maximum(squares.T[:, :, None] * squares[None, None, :, 0], 1.0))
    full = calibration.distance(cosines[0])
    best = cosines.max(axis=0)
    view = np.minimum(calibration.distance(np.maximum(best, best.T)) * calibration.view_factor, full)
    for distances in (view, full):
        np.fill_diagonal(distances, np.inf)
    return view, full


def sift_some(rows):
    """Lets go of every third pair of `rows`, by the numbers that these stand for."""

    def sift(first, second, view_distance):
        assert (first < second).all()
        assert len(set(zip(first.tolist(), second.tolist(), strict=True))) == len(first)
        return (rows[first] * 7919 + rows[second]) % 3 != 0

    return sift


def check_join(stored, calibration, view_limit, full_limit=0.0, sift=None):
    found = join(stored, Reach(calibration, view_limit, full_limit), sift=sift)
    view, full = oracle(stored, calibration)
    pairs = np.triu((view <= view_limit) | (full <= full_limit), 1)
    first, second = np.nonzero(pairs)
    if sift:
        gone = (view[first, second] <= view_limit) & ~sift(first, second, view[first, second])
        pairs[first[gone], second[gone]] = False
        first, second = np.nonzero(pairs)
    assert found.first.tolist() == first.tolist()
    assert found.second.tolist() == second.tolist()
    np.testing.assert_array_equal(found.view_distance, view[first, second])
    np.testing.assert_array_equal(found.full_distance, full[first, second])
    others = np.where(pairs | pairs.T, np.inf, full)
    least = others.min(axis=1, initial=np.inf)
    lowest_row = others.argmin(axis=1) if len(stored) else np.empty(0, int)
    np.testing.assert_array_equal(found.nearest, np.where(np.isinf(least), -1, lowest_row))
    beyond = np.nextafter(max(view_limit, full_limit), 1)
    np.testing.assert_array_equal(found.nearest_distance, np.maximum(least, beyond))
    return found


def blocks_of(patch, rows, columns, strip):
    patch.setattr(search, "TILE_ROWS", rows)
    patch.setattr(search, "TILE_COLUMNS", columns)
    patch.setattr(search, "STRIP", strip)


@pytest.fixture
def small_blocks(monkeypatch):
    blocks_of(monkeypatch, 16, 24, 37)


@pytest.mark.parametrize("views", [1, 3])
@pytest.mark.parametrize("count", [0, 1, 2, 300])
def test_the_join_finds_what_comparing_every_pair_finds(count, views):
    check_join(vectors(count, views=views), Calibration(), 0.12)


@pytest.mark.parametrize("views", [1, 3])
def test_the_join_of_many_blocks_finds_what_comparing_every_pair_finds(views, small_blocks):
    assert len(check_join(vectors(500, views=views), Calibration(), 0.12).first) > 100


def test_the_join_of_several_thousand_finds_what_comparing_every_pair_finds():
    check_join(vectors(3000, dimension=24), BENT, 0.1)


@settings(max_examples=60)
@given(st.integers(0, 40), st.integers(1, 3), st.sampled_from([1, 7, 64]), st.sampled_from([0.0, 0.05, 0.4, 1.0]))
def test_any_block_size_and_limit_gives_the_same(count, views, block, limit):
    with pytest.MonkeyPatch.context() as patch:
        blocks_of(patch, block, block, 2 * block)
        check_join(vectors(count, views=views, dimension=4, seed=count), Calibration(), limit)


def test_a_full_limit_beyond_the_view_limit_adds_pairs_by_their_full_frames(small_blocks):
    stored = vectors(200, views=3)
    narrow = join(stored, Reach(Calibration(), 0.05))
    wide = check_join(stored, Calibration(), 0.05, 0.3)
    assert len(wide.first) > len(narrow.first)


@pytest.mark.parametrize("unsifted", [1, 100, 1 << 20])
def test_pairs_that_are_let_go_are_near_but_no_pairs(unsifted, monkeypatch, small_blocks):
    monkeypatch.setattr(neighbours, "_UNSIFTED", unsifted)
    stored, rows = vectors(300, views=3), np.arange(300)
    every = check_join(stored, BENT, 0.12)
    kept = check_join(stored, BENT, 0.12, sift=sift_some(rows))
    assert 100 < len(kept.first) < 0.8 * len(every.first)
    assert (kept.nearest_distance == np.nextafter(0.12, 1)).sum() > 50
    check_join(stored, BENT, 0.12, 0.3, sift=sift_some(rows))
    none = check_join(stored, BENT, 0.12, sift=lambda first, *_: np.zeros(len(first), bool))
    assert len(none.first) == 0


def test_equal_vectors_are_pairs_at_distance_zero(small_blocks):
    stored = np.repeat(vectors(1), 100, axis=0)
    found = check_join(stored, Calibration(), 0.0)
    assert len(found.first) == 100 * 99 // 2
    assert (found.full_distance == 0).all()
    assert (found.nearest == -1).all()


def test_of_equally_near_rows_the_lower_is_the_nearest(small_blocks):
    twins = vectors(60, groups=60, seed=5)
    found = check_join(np.concatenate([twins, twins]), Calibration(), 0.0)
    assert (found.nearest < 60).all()


def test_vectors_of_zeros_are_near_nothing(small_blocks):
    stored = vectors(120)
    stored[::3] = 0
    found = check_join(stored, Calibration(), 0.12)
    assert not np.isin(np.arange(0, 120, 3), [*found.first, *found.second]).any()


def test_many_equally_far_rows_do_not_take_much_memory():
    stored = np.zeros((2500, 1, 64), np.int8)
    tracemalloc.start()
    found = join(stored, Reach(Calibration(), 0.05))
    peak_bytes = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert found.nearest.tolist() == [1, *[0] * 2499]
    assert peak_bytes < 600e6


def test_of_views_only_those_of_a_strip_travel():
    stored = vectors(4000, views=9, dimension=64)
    strips = search.view_strips(stored, np.arange(0, 4000, 2))
    sent = [pickle.dumps(strip, protocol=5) for strip in strips]
    assert sum(map(len, sent)) < 1.1 * stored[::2].nbytes
    for strip, received in zip(strips, map(pickle.loads, sent), strict=True):
        for here, there in zip(strip.views(), received.views(), strict=True):
            np.testing.assert_array_equal(here, there)
    work = search.ViewSearch(Reach(BENT, 0.1), np.arange(4000), stored[:, 0], 2000, 9)
    assert len(pickle.dumps(work, protocol=5)) < 0.3 * stored.nbytes


def test_the_distance_of_a_pair_is_the_same_from_both_ends_and_in_any_company():
    stored = vectors(80, views=3)
    first, second = np.triu_indices(80, 1)
    forth = pair_distances(stored, first, second, BENT)
    back = pair_distances(stored, second, first, BENT)
    alone = [pair_distances(stored, first[[k]], second[[k]], BENT) for k in range(0, len(first), 97)]
    np.testing.assert_array_equal(forth, back)
    np.testing.assert_array_equal(np.concatenate(alone, axis=1), np.array(forth)[:, ::97])


@pytest.mark.parametrize("block", [11, 2048])
def test_nearest_among_is_the_nearest_allowed_row_that_is_no_pair_of_it(block, monkeypatch):
    blocks_of(monkeypatch, block, 2 * block, 30)
    stored = vectors(150, views=3)
    found = join(stored, Reach(BENT, 0.3))
    allowed = np.random.default_rng(1).random(150) < 0.4
    rows = np.flatnonzero(np.arange(150) % 3 == 0)
    row, distance = nearest_among(stored, Reach(BENT, 0.3), rows, allowed, found.first, found.second)
    full = oracle(stored, BENT)[1]
    full[found.first, found.second] = full[found.second, found.first] = np.inf
    full[:, ~allowed] = np.inf
    np.testing.assert_array_equal(distance, full[rows].min(axis=1))
    np.testing.assert_array_equal(row, full[rows].argmin(axis=1))


def test_nearest_among_nothing_is_nothing():
    stored, none = vectors(5), np.empty(0, np.int64)
    row, distance = nearest_among(stored, Reach(BENT, 0.3), np.arange(5), np.zeros(5, bool), none, none)
    assert row.tolist() == [-1] * 5
    assert np.isinf(distance).all()


def test_nearest_among_all_is_what_the_join_found():
    stored = vectors(200, views=3)
    reach = Reach(Calibration(), 0.12)
    found = join(stored, reach, sift=sift_some(np.arange(200)))
    row, distance = nearest_among(stored, reach, np.arange(200), np.ones(200, bool), found.first, found.second)
    np.testing.assert_array_equal(row, found.nearest)
    np.testing.assert_array_equal(distance, found.nearest_distance)


def test_quantised_vectors_use_the_whole_range_and_keep_their_direction():
    original = unit_vectors(50, dimension=64)
    stored = quantise(original)
    assert (np.abs(stored).max(axis=2) == 127).all()
    cosines = (stored * original).sum(axis=2) / np.linalg.norm(stored.astype(float), axis=2)
    assert cosines.min() > 0.9999


def test_progress_ends_at_the_number_of_rows(small_blocks):
    seen = []
    join(vectors(100, views=3), Reach(Calibration(), 0.1), progress=lambda done, total: seen.append((done, total)))
    assert seen == sorted(seen)
    assert seen[-1] == (100, 100)
    assert len(seen) == 6


@pytest.mark.parametrize("dimension", [5, 76, 1500])
def test_products_are_exact_whatever_multiplies(dimension, monkeypatch):
    monkeypatch.setattr(products, "_DEVICE_ROWS", 500)
    one, other = np.random.default_rng(0).integers(-127, 128, (2, 40, dimension)).astype(np.int8)
    truth = one.astype(np.int64) @ other.astype(np.int64).T
    here = (products.floats(dimension), products.BY_ONNXRUNTIME, products.BY_TORCH)
    for multiply in (*here, products.on_device("cpu", dimension)):
        assert (multiply(one, other) == truth).all()
        assert (multiply(one[:1], other) == truth[:1]).all()
        many, wide = np.tile(one, (30, 1)), np.tile(other, (8, 1))[:300]
        peaks = multiply.peaks(multiply.prepared(many), multiply.prepared(wide))
        parts = np.split(np.tile(truth, (30, 8))[:, :300], range(multiply.part, 300, multiply.part), axis=1)
        assert (peaks == [part.max(axis=1) for part in parts]).all()
    assert (products.floats(dimension)(one[:1] * 0 + 127, one[:1] * 0 + 127) == dimension * 127**2).all()


@pytest.mark.parametrize(
    "multiply",
    [products.FLOAT32, products.BY_ONNXRUNTIME, products.BY_TORCH, products.on_device("cpu", 16)],
    ids=["floats", "onnxruntime", "torch", "device"],
)
def test_every_way_to_multiply_gives_the_same_join(multiply, monkeypatch, small_blocks):
    monkeypatch.setattr(search, "multiplier", lambda *_: multiply)
    check_join(vectors(300, views=3), Calibration(), 0.12)


def test_what_multiplies_depends_on_how_much_there_is(monkeypatch):
    monkeypatch.delitem(sys.modules, "torch")
    monkeypatch.setattr(products, "_pays", lambda integer, dimension: True)
    chosen = [products.multiplier(64, multiplications, "cpu") for multiplications in (1e6, 1e11, 1e15)]
    assert chosen == [products.FLOAT32, products.BY_ONNXRUNTIME, products.BY_TORCH]


def saturating(one, other):
    """As some processors do."""
    return np.clip(products.FLOAT64.product(one, other), -(2**15), 2**15)


def saturating_alone(one, other):
    return (saturating if len(one) == 1 else products.FLOAT64.product)(one, other)


def without_library(one, other):
    raise ImportError("no onnxruntime")


@pytest.mark.parametrize("product", [products.FLOAT64.product, saturating, saturating_alone, without_library])
def test_integers_do_it_only_where_they_are_exact(product, monkeypatch):
    fast = replace(products.FLOAT64, product=product)
    monkeypatch.setattr(products, "BY_TORCH", fast)
    monkeypatch.setattr(products, "BY_ONNXRUNTIME", fast)
    monkeypatch.setattr(products, "_least_seconds", lambda multiply, *_: multiply is not fast)
    products._pays.cache_clear()
    exact = product is products.FLOAT64.product
    assert products.multiplier(64, 1e15, "cpu") is (fast if exact else products.FLOAT32)


@pytest.mark.parametrize("faster", [True, False])
def test_integers_do_it_only_where_they_are_faster(faster, monkeypatch):
    exact = replace(products.FLOAT64)
    monkeypatch.setattr(products, "BY_ONNXRUNTIME", exact)
    monkeypatch.setattr(products, "BY_TORCH", exact)
    monkeypatch.setattr(products, "_least_seconds", lambda multiply, *_: (multiply is exact) != faster)
    products._pays.cache_clear()
    assert (products.multiplier(64, 1e15, "cpu") is exact) == faster


def cuda_on_the_processor(monkeypatch):
    """As if this machine had a CUDA device that is as good as its processor; what is made on it."""
    made, on_device = [], products.on_device
    monkeypatch.setattr(products, "_is_exact_on", lambda device, dimension: device == "cuda")
    monkeypatch.setattr(products, "on_device", lambda device, d: made.append(device) or on_device("cpu", d))
    return made


def test_a_cuda_device_is_used_when_asked_for_and_finds_the_same(monkeypatch, small_blocks):
    stored, reach = vectors(300, views=3), Reach(Calibration(), 0.12)
    made = cuda_on_the_processor(monkeypatch)
    here = join(stored, reach, device="cpu")
    assert made == []
    there = join(stored, reach, device="cuda")
    assert set(made) == {"cuda"}
    for name in ("first", "second", "view_distance", "full_distance", "nearest", "nearest_distance"):
        np.testing.assert_array_equal(getattr(here, name), getattr(there, name))


def test_a_cuda_device_is_used_by_itself_only_for_much_work(monkeypatch):
    made = cuda_on_the_processor(monkeypatch)
    products.multiplier(64, 1e6)
    assert made == []
    products.multiplier(64, 1e15)
    assert made == ["cuda"]


def test_a_device_whose_products_are_not_exact_does_not_count(monkeypatch):
    assert products._is_exact_on("cpu", 76)
    off_by_one = replace(products.FLOAT64, product=lambda rows, columns: products.FLOAT64.product(rows, columns) + 1)
    monkeypatch.setattr(products, "on_device", lambda *_: off_by_one)
    assert not products._is_exact_on("cpu", 77)


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a CUDA device")
def test_cuda_where_there_is_none_is_refused_in_one_sentence():
    with pytest.raises(SettingsError, match="search_device is 'cuda', but torch has no CUDA device here"):
        join(vectors(10), Reach(Calibration(), 0.1), device="cuda")


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_a_cuda_device_finds_what_the_processor_finds():
    stored, reach = vectors(20_000, views=7, dimension=64), Reach(Calibration(), 0.105)
    here, there = join(stored, reach, device="cpu"), join(stored, reach, device="cuda")
    for name in ("first", "second", "view_distance", "full_distance", "nearest", "nearest_distance"):
        np.testing.assert_array_equal(getattr(here, name), getattr(there, name))


def known_of(found, kept, places, count):
    """What a join of other rows found, said of the `kept` ones, which are now at `places` of `count` rows."""
    now = np.full(len(found.nearest), -1)
    now[kept] = places
    first, second = now[found.first], now[found.second]
    both = (first >= 0) & (second >= 0)
    seen, nearest = np.zeros(count, bool), np.full(count, -1)
    seen[places] = True
    nearest[places] = np.where(found.nearest[kept] >= 0, now[found.nearest[kept]], -1)
    return Known(seen, first[both], second[both], nearest)


@settings(max_examples=100)
@given(
    st.integers(0, 60), st.integers(0, 20), st.integers(0, 20), st.integers(1, 3), st.integers(0, 10**6), st.booleans()
)
def test_a_join_that_takes_up_an_earlier_one_finds_what_a_full_one_finds(old, gone, new, views, seed, sifted):
    rng = np.random.default_rng(seed)
    reach = Reach(Calibration(), 0.1, 0.2)
    pool = vectors(old + new, views=views, dimension=4, seed=seed)
    pool[rng.integers(0, max(len(pool), 1), min(len(pool), 5))] = pool[:1]  # equal ones: ties
    before_rows = np.sort(rng.permutation(old + new)[:old])
    before = join(pool[before_rows], reach, sift=sift_some(before_rows) if sifted else None)
    stays = np.isin(np.arange(old + new), before_rows[rng.permutation(old)[gone:]])
    now = np.flatnonzero(stays | ~np.isin(np.arange(old + new), before_rows))
    kept = np.flatnonzero(np.isin(before_rows, now))
    known = known_of(before, kept, np.searchsorted(now, before_rows[kept]), len(now))
    sift = sift_some(now) if sifted else None
    again, full = join(pool[now], reach, known, sift=sift), join(pool[now], reach, sift=sift)
    first, second = np.append(known.first, again.first), np.append(known.second, again.second)
    order = np.lexsort((second, first))
    np.testing.assert_array_equal(first[order], full.first)
    np.testing.assert_array_equal(second[order], full.second)
    np.testing.assert_array_equal(again.nearest, full.nearest)
    np.testing.assert_array_equal(again.nearest_distance, full.nearest_distance)


def test_a_join_that_takes_up_an_earlier_one_multiplies_only_what_is_new(monkeypatch):
    multiplied = []

    def counted(function):
        def counting(rows, columns):
            multiplied.append(len(rows) * len(columns))
            return function(rows, columns)

        return counting

    plain = products.FLOAT32
    multiply = replace(plain, product=counted(plain.product), peaks=counted(plain.peaks))
    monkeypatch.setattr(search, "multiplier", lambda *_: multiply)
    stored, reach = vectors(1000, views=3, dimension=24), Reach(Calibration(), 0.05)
    full = join(stored, reach)
    everything = sum(multiplied)
    multiplied.clear()
    known = known_of(join(stored[:990], reach), np.arange(990), np.arange(990), 1000)
    multiplied.clear()
    again = join(stored, reach, known)
    np.testing.assert_array_equal(again.nearest, full.nearest)
    assert sum(multiplied) < 0.03 * everything
