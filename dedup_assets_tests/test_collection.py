"""The Duplicates collection: rule and decisions put together, and no picture lost by accident."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dedup_assets.core.errors import NoSurvivorError
from dedup_assets.core.scoring.collection import (
    BY_RULE,
    DISCARDED,
    DUPLICATE,
    IDENTICAL,
    REVIEWED,
    NearPairs,
    Removal,
    collect,
    keeper_chain,
    survivor,
)
from dedup_assets.core.scoring.decisions import DISCARD, KEEP, NOT_DUPLICATE, REMOVE, BoundDecision, Decision


def decided(image, word, partner=None, images=None, **more):
    """A decision bound to the image it names, or to `images`."""
    decision = Decision(2, image, word, partner or "", **more)
    return BoundDecision(decision, (image,) if images is None else tuple(images), partner, "hash", None)


class Folder:
    """Contents by name, each with its images; duplicates of a content; near pairs."""

    def __init__(self, contents, near=(), duplicates=()):
        self.content_of = {image: name for name, images in contents.items() for image in images.split()}
        leads = {name: images.split()[0] for name, images in contents.items()}
        keeper = dict(duplicates)
        self.automatic = [
            Removal(image, leads[keeper.get(name, name)], IDENTICAL if name not in keeper else DUPLICATE, 0.0)
            for name, images in contents.items()
            for image in images.split()[0 if name in keeper else 1 :]
        ]
        self.near = [(*sorted((leads[a], leads[b])), distance) for a, b, distance in near]

    def collect(self, *decisions):
        columns = zip(*self.near, strict=True) if self.near else ((), (), ())
        return collect(self.automatic, NearPairs.of(*columns), decisions, self.content_of)

    def waiting(self, *decisions):
        return [pair[:2] for pair in self.collect(*decisions).waiting]

    def keepers(self, *decisions):
        return {image: removal.keeper_id for image, removal in self.collect(*decisions).removals.items()}


NEAR = Folder({"A": "a", "B": "b", "C": "c"}, near=[("A", "B", 0.02), ("B", "C", 0.01)])
COPIES = Folder({"A": "a1 a2 a3", "B": "b"})
STAR = Folder({"A": "a", "B": "b", "C": "c"}, duplicates=[("B", "A"), ("C", "A")])


def test_without_decisions_the_collection_is_what_the_rule_removes():
    assert STAR.keepers() == {"b": "a", "c": "a"}
    assert {removal.decided_by for removal in STAR.collect().removals.values()} == {BY_RULE}


def test_near_pairs_wait_for_a_person_nearest_first():
    assert NEAR.keepers() == {}
    assert NEAR.waiting() == [("b", "c"), ("a", "b")]


def test_near_pairs_are_put_in_order_and_know_the_images_that_are_left_in_them():
    pairs = NearPairs.of(["b", "a", "a"], ["d", "d", "b"], [0.02, 0.01, 0.02])
    assert list(pairs) == [("a", "d", 0.01), ("a", "b", 0.02), ("b", "d", 0.02)]
    assert pairs.only(pairs.distance < 0.02).images.tolist() == ["a", "d"]
    everyone = np.array(["a", "b", "c", "d"], object)
    some = NearPairs.within(everyone, np.array([1]), np.array([3]), np.array([0.02]))
    assert (list(some), some.ids.tolist()) == ([("b", "d", 0.02)], ["b", "d"])


# ---- keep


def test_an_image_to_keep_is_never_removed():
    assert STAR.keepers(decided("b", KEEP)) == {"c": "a"}


def test_keep_holds_for_the_file_it_names_and_not_for_its_copies():
    assert COPIES.keepers(decided("a3", KEEP)) == {"a2": "a1"}


def test_keep_is_stronger_than_a_decision_about_its_copies():
    assert COPIES.keepers(decided("a1", DISCARD), decided("a3", KEEP)) == {"a1": None, "a2": None}


def test_a_pair_of_which_both_are_kept_waits_no_more():
    assert NEAR.waiting(decided("a", KEEP), decided("b", KEEP)) == [("b", "c")]


# ---- not_duplicate


def test_what_is_no_duplicate_of_its_keeper_stays():
    assert STAR.keepers(decided("b", NOT_DUPLICATE, "a")) == {"c": "a"}


def test_it_does_not_matter_which_of_the_two_is_named_first():
    assert STAR.keepers(decided("a", NOT_DUPLICATE, "b")) == {"c": "a"}


def test_no_duplicate_of_another_image_changes_nothing():
    assert STAR.keepers(decided("b", NOT_DUPLICATE, "c")) == {"b": "a", "c": "a"}


def test_no_duplicate_of_any_stays_whatever_its_keeper():
    assert STAR.keepers(decided("b", NOT_DUPLICATE)) == {"c": "a"}


def test_no_duplicate_of_a_picture_that_is_gone_says_nothing_about_others():
    gone = BoundDecision(Decision(2, "b", NOT_DUPLICATE, "x"), ("b",), None, "hash", "other")
    assert STAR.keepers(gone) == {"b": "a", "c": "a"}


def test_a_pair_that_is_told_apart_waits_no_more():
    assert NEAR.waiting(decided("b", NOT_DUPLICATE, "a")) == [("b", "c")]
    assert NEAR.waiting(decided("b", NOT_DUPLICATE)) == []


def test_what_is_told_apart_is_not_found_as_the_partner_of_a_removal():
    decisions = [decided("b", REMOVE), decided("b", NOT_DUPLICATE, "c")]
    assert NEAR.keepers(*decisions) == {"b": "a"}


# ---- remove


def test_a_removal_names_the_partner_it_duplicates():
    removal = NEAR.collect(decided("b", REMOVE, "a", reviewer="Ann", note="blurred")).removals["b"]
    assert (removal.keeper_id, removal.reason, removal.distance) == ("a", REVIEWED, 0.02)
    assert (removal.decided_by, removal.note) == ("Ann", "blurred")


def test_a_removal_without_partner_finds_the_nearest_near_duplicate_that_stays():
    assert NEAR.keepers(decided("b", REMOVE)) == {"b": "c"}
    assert NEAR.keepers(decided("b", REMOVE), decided("c", REMOVE, "a")) == {"b": "a", "c": "a"}


def test_a_removal_whose_partner_is_gone_finds_another():
    gone = BoundDecision(Decision(2, "b", REMOVE, "x"), ("b",), None, "hash", "other")
    assert NEAR.keepers(gone) == {"b": "c"}


def test_a_removed_near_duplicate_leaves_the_list_of_those_that_wait():
    assert NEAR.waiting(decided("b", REMOVE)) == []


def test_a_reviewed_chain_leads_to_the_image_that_stays():
    removals = NEAR.collect(decided("c", REMOVE, "b"), decided("b", REMOVE, "a")).removals
    assert [removal.keeper_id for removal in keeper_chain(removals, "c")] == ["b", "a"]
    assert survivor(removals, "c") == survivor(removals, "a") == "a"


def test_the_copies_of_a_removed_picture_go_too():
    folder = Folder({"A": "a", "B": "b1 b2 b3"}, near=[("A", "B", 0.02)])
    found = folder.collect(decided("b2", REMOVE, "a")).removals
    assert sorted(found) == ["b1", "b2", "b3"]
    assert {survivor(found, image) for image in found} == {"a"}


def test_a_removed_copy_kept_apart_from_the_rule_leads_to_a_survivor_too():
    folder = Folder({"A": "a", "B": "b1 b2"}, near=[("A", "B", 0.02)])
    found = folder.collect(decided("b1", REMOVE, "a"), decided("b2", NOT_DUPLICATE, "b1")).removals
    assert {image: survivor(found, image) for image in found} == {"b1": "a", "b2": "a"}


@pytest.mark.parametrize("named", ["a1", "a2", "a3"])
def test_one_of_several_copies_may_be_removed_and_another_stays_instead(named):
    found = COPIES.collect(decided(named, REMOVE)).removals
    assert named in found
    assert len(found) == 2
    assert survivor(found, named) in {"a1", "a2", "a3"} - set(found)


def test_the_copy_that_a_removal_names_stays_instead():
    found = COPIES.collect(decided("a1", REMOVE, "a3")).removals
    assert {image: survivor(found, image) for image in found} == {"a1": "a3", "a2": "a3"}


def test_all_but_one_copy_may_be_removed_by_name():
    found = COPIES.collect(decided("a1", REMOVE), decided("a2", REMOVE)).removals
    assert {image: survivor(found, image) for image in found} == {"a1": "a3", "a2": "a3"}


def test_a_keeper_may_be_removed_for_the_image_the_rule_removed_in_its_favour():
    assert STAR.keepers(decided("a", REMOVE, "b")) == {"a": "b", "c": "a"}


def test_what_a_person_removed_stays_removed_when_the_rule_made_the_circle():
    folder = Folder({"A": "a", "B": "b", "C": "c"}, near=[("A", "C", 0.02)], duplicates=[("B", "A")])
    decisions = [decided("a", REMOVE, "c"), decided("c", REMOVE, "b")]
    assert folder.keepers(*decisions) == folder.keepers(*decisions[::-1]) == {"a": "c", "c": "b"}


def test_the_rule_gives_way_inside_a_circle_only():
    folder = Folder({name: name.lower() for name in "YABCDZ"}, duplicates=[("Z", "Y"), ("D", "Y")])
    named = {"a": "b", "b": "c", "c": "d", "y": "z"}
    found = folder.keepers(*(decided(image, REMOVE, partner) for image, partner in named.items()))
    assert found == {**named, "d": "y"}


@pytest.mark.parametrize(
    "decisions",
    [
        [("a", "b"), ("b", "a")],
        [("a", "b"), ("b", "c"), ("c", "a")],
        [("a", None), ("b", None), ("c", None)],
    ],
)
def test_removals_that_leave_no_survivor_stop_with_the_names(decisions):
    with pytest.raises(NoSurvivorError) as caught:
        NEAR.collect(*(decided(image, REMOVE, partner) for image, partner in decisions))
    assert "'a'" in str(caught.value)
    assert "discard" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_an_only_picture_cannot_be_removed_but_discarded():
    lone = Folder({"A": "a", "B": "b"})
    with pytest.raises(NoSurvivorError, match="no copy of 'a'"):
        lone.collect(decided("a", REMOVE))
    assert lone.keepers(decided("a", DISCARD)) == {"a": None}


def test_all_copies_of_a_picture_cannot_be_removed_by_name():
    with pytest.raises(NoSurvivorError):
        COPIES.collect(*(decided(image, REMOVE) for image in ("a1", "a2", "a3")))


def test_a_removal_in_favour_of_a_discarded_image_stops():
    with pytest.raises(NoSurvivorError, match="'b'"):
        NEAR.collect(decided("b", REMOVE, "a"), decided("a", DISCARD))


# ---- discard


def test_a_discarded_picture_goes_with_all_its_copies():
    found = COPIES.collect(decided("a2", DISCARD)).removals
    assert {image: removal.reason for image, removal in found.items()} == dict.fromkeys(["a1", "a2", "a3"], DISCARDED)


def test_what_the_rule_removed_in_favour_of_a_discarded_image_goes_with_it():
    found = STAR.collect(decided("a", DISCARD)).removals
    assert {image: survivor(found, image) for image in found} == dict.fromkeys("abc")


def test_a_discarded_duplicate_leaves_its_keeper():
    assert STAR.keepers(decided("b", DISCARD)) == {"b": None, "c": "a"}


def test_a_decision_without_images_changes_nothing():
    assert STAR.keepers(decided("x", DISCARD, images=())) == {"b": "a", "c": "a"}


# ---- whatever is decided


@st.composite
def folders_and_decisions(draw):
    names = "ABCDEF"[: draw(st.integers(1, 6))]
    contents = {name: " ".join(f"{name.lower()}{k}" for k in range(draw(st.integers(1, 3)))) for name in names}
    keepers = {name: draw(st.sampled_from(["", *names[:place]])) for place, name in enumerate(names)}
    duplicates = [(name, keeper) for name, keeper in keepers.items() if keeper and not keepers[keeper]]
    stays = [name for name in names if name not in dict(duplicates)]
    pairs = [(a, b) for place, a in enumerate(stays) for b in stays[place + 1 :]]
    near = [(*pair, draw(st.sampled_from([0.01, 0.02]))) for pair in pairs if draw(st.booleans())]
    folder = Folder(contents, near, duplicates)
    images = st.sampled_from(sorted(folder.content_of))
    decisions = []
    for image in draw(st.lists(images, unique=True, max_size=6)):
        word = draw(st.sampled_from([KEEP, REMOVE, REMOVE, DISCARD, NOT_DUPLICATE]))
        partner = draw(st.none() | images) if word in (REMOVE, NOT_DUPLICATE) else None
        decisions.append(decided(image, word, partner if partner != image else None))
    return folder, decisions


@settings(max_examples=400)
@given(folders_and_decisions())
def test_every_removed_image_leads_to_one_that_stays_or_was_discarded(case):
    folder, decisions = case
    try:
        removals = folder.collect(*decisions).removals
    except NoSurvivorError:
        return
    for image in removals:
        chain = keeper_chain(removals, image)
        end = chain[-1]
        if end.reason == DISCARDED:
            assert all(removal.decided_by == BY_RULE for removal in chain[:-1])
        else:
            assert end.keeper_id in folder.content_of
            assert end.keeper_id not in removals


@settings(max_examples=300)
@given(folders_and_decisions())
def test_what_is_named_is_done(case):
    folder, decisions = case
    try:
        removals = folder.collect(*decisions).removals
    except NoSurvivorError:
        return
    for entry in decisions:
        word, image = entry.decision.decision, entry.decision.image_id
        if word == KEEP:
            assert image not in removals
        elif word in (REMOVE, DISCARD):
            assert image in removals
        if word == REMOVE and entry.duplicate_of and removals[image].reason == REVIEWED:
            assert removals[image].keeper_id == entry.duplicate_of


@settings(max_examples=200)
@given(folders_and_decisions(), st.randoms(use_true_random=False))
def test_the_order_of_rows_and_lines_does_not_matter(case, random):
    folder, decisions = case

    def outcome():
        try:
            return folder.collect(*decisions).removals, folder.waiting(*decisions)
        except NoSurvivorError as error:
            return str(error)

    before = outcome()
    random.shuffle(folder.automatic)
    random.shuffle(folder.near)
    random.shuffle(decisions)
    folder.content_of = dict(random.sample(sorted(folder.content_of.items()), len(folder.content_of)))
    assert outcome() == before


# ---- decisions about files that are gone


@pytest.mark.parametrize("partner", [None, "a2"])
def test_a_copy_removed_by_name_and_then_deleted_takes_no_other_copy_with_it(partner):
    folder = Folder({"A": "a2", "B": "b"})
    assert folder.keepers(decided("a1", REMOVE, partner, images=["a2"])) == {}
    assert COPIES.keepers(decided("a0", REMOVE, partner, images=["a1", "a2", "a3"])) == {"a2": "a1", "a3": "a1"}


def test_the_copies_of_a_deleted_near_duplicate_still_go_in_favour_of_its_partner():
    folder = Folder({"A": "a2 a3", "B": "b"}, near=[("A", "B", 0.02)])
    assert folder.keepers(decided("a1", REMOVE, "b", images=["a2", "a3"])) == {"a2": "b", "a3": "b"}


def test_of_the_copies_of_a_deleted_image_to_keep_the_one_that_stays_is_kept():
    assert COPIES.keepers(decided("a0", KEEP, images=["a1", "a2", "a3"])) == {"a2": "a1", "a3": "a1"}


def test_what_is_decided_about_a_file_that_is_there_comes_before_what_was_about_one_that_is_gone():
    kept, gone = decided("a1", KEEP), decided("a0", REMOVE, "b", images=["a1", "a2"])
    assert Folder({"A": "a1 a2", "B": "b"}).keepers(gone, kept) == {"a2": "b"}
