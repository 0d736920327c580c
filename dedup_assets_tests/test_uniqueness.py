"""The score rule against a brute-force reading of its text: stars, zeros, nearest, labels and groups."""

from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dedup_assets.core.errors import SettingsError
from dedup_assets.core.scoring.uniqueness import DUPLICATE_LABEL, NEAR_DUPLICATE_LABEL, ContentPairs, score
from dedup_assets.core.settings import Thresholds

THRESHOLDS = Thresholds(0.0001, 0.05)
LIMIT = 0.1  # distances up to here are known pair by pair
JUST_OVER = float(np.nextafter(0.0001, 1))
GRID = (0.0, 0.00005, 0.0001, JUST_OVER, 0.03, 0.05, float(np.nextafter(0.05, 1)), 0.09, 0.2, 0.2, 0.7, 1.0)


@dataclass
class Case:
    """Images that show contents; `between`: (m, m) symmetric distances of the contents; `known`: pairs listed."""

    content: np.ndarray
    rank: np.ndarray
    between: np.ndarray
    known: np.ndarray
    thresholds: Thresholds = THRESHOLDS

    def score(self):
        return score(self.content, self.rank, self.pairs(), self.thresholds)

    def pairs(self):
        first, second = np.nonzero(np.triu(self.known, 1))
        everyone = np.ones(len(self.between), bool)
        nearest, distance = self._nearest(np.arange(len(self.between)), everyone)
        return ContentPairs(first, second, self.between[first, second], nearest, distance, self._rescan)

    def _rescan(self, rows, allowed):
        nearest, _ = self._nearest(rows, np.ones(len(allowed), bool))
        assert allowed[rows].all(), "only contents that stay have a nearest"
        assert not allowed[nearest].any(), "a nearest that stays needs no second search"
        return self._nearest(rows, allowed)

    def _nearest(self, rows, allowed):
        distance = np.where(self.known | ~allowed[None, :], np.inf, self.between)
        np.fill_diagonal(distance, np.inf)
        row = distance.argmin(axis=1)
        least = distance.min(axis=1)
        return np.where(np.isinf(least), -1, row)[rows], least[rows]

    def image_distances(self):
        """(n, n): 0 for identical images, inf on the diagonal."""
        distance = self.between[np.ix_(self.content, self.content)].copy()
        np.fill_diagonal(distance, np.inf)
        return distance


def case(between, copies=None, rank=None, thresholds=THRESHOLDS):
    """A case from the distances of contents (upper triangle), copies of each, and the keeper order of all images."""
    between = np.triu(np.asarray(between, float), 1)
    between = between + between.T
    content = np.repeat(np.arange(len(between)), copies or [1] * len(between))
    rank = np.arange(len(content)) if rank is None else np.asarray(rank)
    return Case(content, rank, between, between <= max(LIMIT, thresholds.near_duplicate), thresholds)


def chain(*steps, far=0.5, **more):
    """Contents in a row, each `steps[k]` from the next, all others `far` apart."""
    between = np.full((len(steps) + 1,) * 2, far)
    for place, step in enumerate(steps):
        between[place, place + 1] = step
    return case(between, **more)


@st.composite
def cases(draw):
    """A few distances in many arrangements: chains, stars, ties, and nearest images that turn out to be duplicates."""
    contents = draw(st.integers(1, 9))
    few = draw(st.lists(st.sampled_from(GRID), min_size=2, max_size=4))
    rng = np.random.default_rng(draw(st.integers(0, 10**6)))
    copies = rng.integers(1, 4, contents).tolist()
    low, high = draw(st.sampled_from([(0.0001, 0.05), (0.0, 0.03), (0.03, 0.1), (0.09, 0.7), (0.0, 1.0), (0.2, 0.3)]))
    rank = rng.permutation(sum(copies))
    made = case(rng.choice(few, (contents, contents)), copies, rank, Thresholds(low, high))
    shuffled = rng.permutation(len(rank))
    made.content, made.rank = made.content[shuffled], made.rank[shuffled]
    far_but_listed = np.triu(rng.random((contents, contents)) < draw(st.sampled_from([0.0, 0.3])), 1)
    made.known = made.known | far_but_listed | far_but_listed.T
    return made


def keepers_by_the_text(made):
    """In keeper order: whoever is within the duplicate threshold of no keeper before becomes one."""
    distance, keepers = made.image_distances(), []
    for image in np.argsort(made.rank):
        identical = made.content[keepers] == made.content[image] if keepers else np.empty(0, bool)
        if not (identical | (distance[image, keepers] <= made.thresholds.duplicate)).any():
            keepers.append(int(image))
    return sorted(keepers)


@settings(max_examples=200)
@given(cases())
def test_keepers_are_those_of_the_text(made):
    assert np.flatnonzero(made.score().keeper < 0).tolist() == keepers_by_the_text(made)


@settings(max_examples=150)
@given(cases())
def test_every_duplicate_scores_zero_and_lies_within_the_threshold_of_a_keeper_that_ranks_before_it(made):
    scores, distance = made.score(), made.image_distances()
    duplicates = np.flatnonzero(scores.label == DUPLICATE_LABEL)
    keeper = scores.keeper[duplicates]
    assert duplicates.tolist() == np.flatnonzero(scores.keeper >= 0).tolist()
    assert (scores.uniqueness[duplicates] == 0.0).all()
    assert (scores.keeper[keeper] == -1).all()
    assert (made.rank[keeper] < made.rank[duplicates]).all()
    assert (distance[duplicates, keeper] <= made.thresholds.duplicate).all()
    assert (scores.keeper_distance[duplicates] == distance[duplicates, keeper]).all()
    assert (scores.nearest[duplicates] == keeper).all()
    assert np.isnan(np.delete(scores.keeper_distance, duplicates)).all()


@settings(max_examples=150)
@given(cases())
def test_a_duplicate_belongs_to_the_nearest_keeper_before_it(made):
    scores, distance = made.score(), made.image_distances()
    for image in np.flatnonzero(scores.keeper >= 0):
        copies = made.content == made.content[image]
        allowed = (scores.keeper < 0) & (copies | (made.rank < made.rank[copies].min()))
        assert scores.keeper_distance[image] == distance[image, allowed].min()


@settings(max_examples=200)
@given(cases())
def test_everyone_else_scores_the_distance_to_the_nearest_image_that_is_no_duplicate(made):
    scores, distance = made.score(), made.image_distances()
    stays = np.flatnonzero(scores.keeper < 0)
    for image in stays:
        others = stays[stays != image]
        if len(others):
            assert scores.uniqueness[image] == distance[image, others].min() == distance[image, scores.nearest[image]]
            assert scores.nearest[image] in others
        else:
            assert (scores.uniqueness[image], scores.nearest[image]) == (1.0, -1)


@settings(max_examples=150)
@given(cases())
def test_no_score_within_the_duplicate_threshold_is_a_keepers(made):
    scores = made.score()
    assert (scores.uniqueness[scores.keeper < 0] > made.thresholds.duplicate).all()


@settings(max_examples=150)
@given(cases())
def test_labels_follow_the_scores(made):
    scores = made.score()
    for image, label in enumerate(scores.label):
        near = scores.nearest[image] >= 0 and scores.uniqueness[image] <= made.thresholds.near_duplicate
        assert label == (DUPLICATE_LABEL if scores.keeper[image] >= 0 else NEAR_DUPLICATE_LABEL if near else None)


@settings(max_examples=150)
@given(cases())
def test_groups_are_what_duplicates_and_near_duplicates_connect_led_by_the_best_ranked(made):
    scores, distance = made.score(), made.image_distances()
    stays = scores.keeper < 0
    linked = (distance <= made.thresholds.near_duplicate) & stays[:, None] & stays[None, :]
    linked[np.arange(len(stays))[~stays], scores.keeper[~stays]] = True
    linked |= linked.T | np.eye(len(stays), dtype=bool)
    for _ in stays:
        linked = linked @ linked
    for image, members in enumerate(linked):
        inside = np.flatnonzero(members & stays)
        lead = inside[made.rank[inside].argmin()]
        assert scores.group[image] == (lead if members.sum() > 1 else -1)


@settings(max_examples=100)
@given(cases(), st.randoms(use_true_random=False))
def test_the_order_of_the_images_does_not_matter(made, random):
    order = np.array(random.sample(range(len(made.content)), len(made.content)))
    place = np.argsort(order)

    def ids(rows):
        return np.where(rows < 0, -1, order[rows])

    scores = made.score()
    other = Case(made.content[order], made.rank[order], made.between, made.known, made.thresholds).score()
    np.testing.assert_array_equal(other.uniqueness[place], scores.uniqueness)
    np.testing.assert_array_equal(other.keeper_distance[place], scores.keeper_distance)
    for name in ("keeper", "nearest", "group"):
        np.testing.assert_array_equal(ids(getattr(other, name))[place], getattr(scores, name))
    assert (other.label[place] == scores.label).all()


@pytest.mark.parametrize("count", [1, 2, 29, 30, 31, 200, 5000])
def test_of_n_identical_images_n_minus_one_score_zero(count):
    rank = np.random.default_rng(count).permutation(count)
    scores = case([[0]], [count], rank).score()
    first = int(rank.argmin())
    assert np.flatnonzero(scores.uniqueness != 0).tolist() == [first]
    assert set(scores.keeper) - {-1} == ({first} if count > 1 else set())
    assert scores.group[first] == (first if count > 1 else -1)


@pytest.mark.parametrize("count", [2, 29, 30, 31, 200])
def test_of_n_images_within_the_threshold_of_each_other_n_minus_one_score_zero(count):
    scores = case(np.full((count, count), 0.0001)).score()
    assert (scores.uniqueness == 0).sum() == count - 1


def test_an_only_image_scores_one():
    scores = case([[0]]).score()
    assert (scores.uniqueness[0], scores.nearest[0], scores.label[0], scores.group[0]) == (1.0, -1, None, -1)


def test_all_identical_images_leave_one_that_scores_one():
    assert sorted(case([[0]], [6]).score().uniqueness) == [0, 0, 0, 0, 0, 1.0]


def test_an_only_image_is_no_near_duplicate_at_any_threshold():
    assert case([[0]], thresholds=Thresholds(0.5, 1.0)).score().label.tolist() == [None]


def test_no_images_give_no_scores():
    nothing = np.empty(0, np.int64)
    pairs = ContentPairs(nothing, nothing, np.empty(0), nothing, np.empty(0), lambda rows, allowed: None)
    assert len(score(nothing, nothing, pairs, THRESHOLDS).uniqueness) == 0


def test_a_chain_is_not_one_group_of_duplicates():
    scores = chain(0.0001, 0.0001, rank=[0, 1, 2]).score()
    assert scores.keeper.tolist() == [-1, 0, -1]
    assert scores.uniqueness.tolist() == [0.5, 0.0, 0.5]


def test_the_middle_of_a_chain_keeps_both_ends_out_when_it_ranks_first():
    assert chain(0.0001, 0.0001, rank=[1, 0, 2]).score().keeper.tolist() == [1, -1, 1]


def test_a_chain_just_over_the_threshold_has_no_duplicates():
    scores = chain(JUST_OVER, JUST_OVER).score()
    assert scores.keeper.tolist() == [-1, -1, -1]
    assert scores.label.tolist() == [NEAR_DUPLICATE_LABEL] * 3


def test_a_long_chain_keeps_every_second_image():
    assert chain(*[0.0001] * 6).score().keeper.tolist() == [-1, 0, -1, 2, -1, 4, -1]


def test_thresholds_are_inclusive():
    scores = chain(0.0001, 0.05).score()
    assert scores.label.tolist() == [None, DUPLICATE_LABEL, None]
    assert chain(0.05).score().label.tolist() == [NEAR_DUPLICATE_LABEL] * 2
    assert chain(float(np.nextafter(0.05, 1))).score().label.tolist() == [None, None]


def test_two_groups_keep_one_image_each():
    scores = case([[0, 0.3], [0, 0]], [30, 3]).score()
    assert (scores.uniqueness == 0).sum() == 31
    assert scores.keeper.tolist() == [-1, *[0] * 29, -1, 30, 30]
    assert scores.uniqueness[[0, 30]].tolist() == [0.3, 0.3]


def test_a_duplicate_does_not_make_its_neighbour_less_unique():
    between = [[0, 0.0001, 0.04], [0, 0, 0.01], [0, 0, 0]]  # 1 duplicates 0; 2 is nearer to 1 than to 0
    scores = case(between).score()
    assert (scores.uniqueness[2], scores.nearest[2]) == (0.04, 0)


def test_an_image_whose_nearest_is_a_duplicate_scores_the_distance_to_the_next():
    between = [[0, 0.0001, 0.7, 1], [0, 0, 0.2, 1], [0, 0, 0, 0.6], [0, 0, 0, 0]]
    scores = case(between).score()
    assert (scores.uniqueness[2], scores.nearest[2]) == (0.6, 3)


def test_a_distance_of_zero_between_different_files_is_a_duplicate_at_threshold_zero():
    assert chain(0.0, thresholds=Thresholds(0.0, 0.05)).score().keeper.tolist() == [-1, 0]


@pytest.mark.parametrize(("low", "high"), [(0.05, 0.05), (0.1, 0.05), (-0.1, 0.05), (0.1, 1.1), (float("nan"), 0.5)])
def test_thresholds_out_of_order_are_refused_in_one_sentence(low, high):
    with pytest.raises(SettingsError) as caught:
        Thresholds(low, high)
    assert "duplicate_threshold" in str(caught.value)
    assert "\n" not in str(caught.value)
