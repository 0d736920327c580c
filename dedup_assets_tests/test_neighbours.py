"""The join against every pair worked out one by one; and that blocks, views and ties do not change the answer."""

import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dedup_assets.core.detection import neighbours
from dedup_assets.core.detection.embedders import Calibration
from dedup_assets.core.detection.neighbours import join, nearest_among, pair_distances, quantise

BENT = Calibration((0.0, 0.1, 1.0), (0.0, 0.5, 1.0))


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
    view = calibration.distance(np.maximum(best, best.T))
    for distances in (view, full):
        np.fill_diagonal(distances, np.inf)
    return view, full


def check_join(stored, calibration, view_limit, full_limit=0.0):
    found = join(stored, calibration, view_limit, full_limit)
    view, full = oracle(stored, calibration)
    pairs = np.triu((view <= view_limit) | (full <= full_limit), 1)
    first, second = np.nonzero(pairs)
    assert found.first.tolist() == first.tolist()
    assert found.second.tolist() == second.tolist()
    np.testing.assert_array_equal(found.view_distance, view[first, second])
    np.testing.assert_array_equal(found.full_distance, full[first, second])
    others = np.where(pairs | pairs.T, np.inf, full)
    least = others.min(axis=1, initial=np.inf)
    lowest_row = others.argmin(axis=1) if len(stored) else np.empty(0, int)
    np.testing.assert_array_equal(found.nearest, np.where(np.isinf(least), -1, lowest_row))
    np.testing.assert_array_equal(found.nearest_distance, least)
    return found


@pytest.fixture
def small_blocks(monkeypatch):
    monkeypatch.setattr(neighbours, "_BLOCK", 37)


@pytest.mark.parametrize("views", [1, 3])
@pytest.mark.parametrize("count", [0, 1, 2, 300])
def test_the_join_finds_what_comparing_every_pair_finds(count, views):
    check_join(vectors(count, views=views), Calibration(), 0.12)


@pytest.mark.parametrize("views", [1, 3])
def test_the_join_of_many_blocks_finds_what_comparing_every_pair_finds(views, small_blocks):
    assert len(check_join(vectors(500, views=views), Calibration(), 0.12).first) > 100


def test_the_join_of_several_thousand_finds_what_comparing_every_pair_finds():
    check_join(vectors(3000, dimension=24), BENT, 0.1)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 40), st.integers(1, 3), st.sampled_from([1, 7, 64]), st.sampled_from([0.0, 0.05, 0.4, 1.0]))
def test_any_block_size_and_limit_gives_the_same(count, views, block, limit):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(neighbours, "_BLOCK", block)
        check_join(vectors(count, views=views, dimension=4, seed=count), Calibration(), limit)


def test_a_full_limit_beyond_the_view_limit_adds_pairs_by_their_full_frames(small_blocks):
    stored = vectors(200, views=3)
    narrow = join(stored, Calibration(), 0.05)
    wide = check_join(stored, Calibration(), 0.05, 0.3)
    assert len(wide.first) > len(narrow.first)


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
    found = join(stored, Calibration(), 0.05)
    peak_bytes = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert found.nearest.tolist() == [1, *[0] * 2499]
    assert peak_bytes < 600e6


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
    monkeypatch.setattr(neighbours, "_BLOCK", block)
    stored = vectors(150, views=3)
    found = join(stored, BENT, 0.3)
    allowed = np.random.default_rng(1).random(150) < 0.4
    rows = np.flatnonzero(np.arange(150) % 3 == 0)
    row, distance = nearest_among(stored, BENT, rows, allowed, found.first, found.second)
    full = oracle(stored, BENT)[1]
    full[found.first, found.second] = full[found.second, found.first] = np.inf
    full[:, ~allowed] = np.inf
    np.testing.assert_array_equal(distance, full[rows].min(axis=1))
    np.testing.assert_array_equal(row, full[rows].argmin(axis=1))


def test_nearest_among_nothing_is_nothing():
    stored, none = vectors(5), np.empty(0, np.int64)
    row, distance = nearest_among(stored, BENT, np.arange(5), np.zeros(5, bool), none, none)
    assert row.tolist() == [-1] * 5
    assert np.isinf(distance).all()


def test_nearest_among_all_is_what_the_join_found():
    stored = vectors(200, views=3)
    found = join(stored, Calibration(), 0.12)
    row, distance = nearest_among(stored, Calibration(), np.arange(200), np.ones(200, bool), found.first, found.second)
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
    join(vectors(100), Calibration(), 0.1, progress=lambda done, total: seen.append((done, total)))
    assert seen == [(37, 100), (74, 100), (100, 100)]
