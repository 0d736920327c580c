"""The keeper order: which image stays first, by which term, and the words that say so."""

from datetime import datetime

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dedup_assets.core.errors import SettingsError
from dedup_assets.core.scoring.keepers import (
    KeeperPolicy,
    check_protection,
    may_go,
    protected_levels,
    rank,
    split_of,
    why_kept,
)


def images(*rows):
    """Images that are alike but for what is given."""
    alike = {"width": 10, "height": 10, "size_bytes": 100, "split": None, "label_count": None}
    alike["first_seen_at"] = datetime(2024, 1, 1)
    frame = pd.DataFrame([{"image_id": f"{place}.jpg", **alike, **row} for place, row in enumerate(rows)])
    return frame.astype({"first_seen_at": "datetime64[us]", "split": object, "label_count": "Int32"})


def order(frame, policy=None):
    return np.argsort(rank(frame, policy or KeeperPolicy())).tolist()


def why(frame, policy=None):
    return why_kept(frame, np.array([0]), np.array([1]), policy or KeeperPolicy())[0]


def test_an_annotated_image_stays_first_whatever_its_size():
    frame = images({"width": 1000}, {"label_count": 2}, {"label_count": 0, "width": 500})
    assert order(frame) == [1, 0, 2]


def test_of_two_annotated_images_the_other_terms_decide():
    assert order(images({"label_count": 9}, {"label_count": 1, "width": 11})) == [1, 0]


def test_a_protected_split_comes_before_every_term():
    frame = images({"split": "train", "label_count": 3, "width": 99}, {"split": "val"}, {"split": "test"})
    assert order(frame, KeeperPolicy(protect=("test", "val"))) == [2, 1, 0]


def test_a_reference_folder_comes_before_protected_splits():
    frame = images({"split": "test"}, {"image_id": "gold/a.jpg"}, {"image_id": "golden/a.jpg", "width": 99})
    assert order(frame, KeeperPolicy(protect=("test",), reference=("gold/",))) == [1, 0, 2]


@pytest.mark.parametrize("folder", ["", "/", "/data/gold", "../gold"])
def test_a_reference_folder_lies_inside_the_image_folder(folder):
    with pytest.raises(SettingsError, match="name a folder inside the image folder"):
        KeeperPolicy(reference=(folder,))


@pytest.mark.parametrize("folder", ["gold", "gold/", "./gold", "gold/.", "old/../gold"])
def test_a_reference_folder_may_be_written_in_any_way(folder):
    assert KeeperPolicy(reference=(folder,)).reference == ("gold",)


def test_protection_that_no_image_has_is_refused():
    frame = images({"image_id": "gold/a.jpg", "split": "Test"}, {"image_id": "golden/b.jpg"}).assign(
        content_id=["a", "b"]
    )
    check_protection(frame, KeeperPolicy(protect=("test",), reference=("gold",)))
    check_protection(frame[:0], KeeperPolicy(protect=("test",), reference=("gold",)))
    with pytest.raises(SettingsError, match="'tset', and no image is in it; the splits here are test"):
        check_protection(frame, KeeperPolicy(protect=("tset",)))
    with pytest.raises(SettingsError, match="no image here is in any split"):
        check_protection(frame[1:], KeeperPolicy(protect=("test",)))
    with pytest.raises(SettingsError, match="the folder 'Gold', and no readable image lies in it"):
        check_protection(frame, KeeperPolicy(reference=("gold", "Gold")))


def test_protected_images_go_only_for_stronger_ones():
    policy = KeeperPolicy(protect=("test", "val"), reference=("gold",))
    frame = images({"image_id": "gold/a"}, {"split": "test"}, {"split": "val"}, {"split": "train"})
    levels = protected_levels(frame, policy)
    gold, test, val, train = frame["image_id"]
    assert list(levels) == [gold, test, val]
    assert may_go(levels, train, val)
    assert may_go(levels, train, "anything")
    assert may_go(levels, val, test)
    assert not may_go(levels, test, val)
    assert not may_go(levels, val, val)
    assert not may_go(levels, gold, gold)
    assert not may_go(levels, val, train)
    assert not may_go(levels, val, None)


def test_the_larger_picture_stays_first():
    frame = images({"width": 20, "height": 9}, {"width": 12, "height": 14}, {"width": 13, "height": 14})
    assert order(frame) == [2, 0, 1]


def test_of_equally_large_pictures_the_larger_file_stays_first():
    assert order(images({"size_bytes": 1}, {"size_bytes": 3}, {"size_bytes": 2})) == [1, 2, 0]


def test_then_the_one_seen_in_an_earlier_scan():
    assert order(images({"first_seen_at": datetime(2025, 1, 1)}, {"first_seen_at": datetime(2024, 6, 1)})) == [1, 0]


def test_then_the_first_by_name():
    assert order(images({"image_id": "b"}, {"image_id": "B"}, {"image_id": "a/z"})) == [1, 2, 0]


def test_a_split_counts_only_where_a_priority_is_given():
    frame = images({"split": "train"}, {"split": "test"}, {})
    assert order(frame) == [0, 1, 2]
    assert order(frame, KeeperPolicy(split_priority=("test", "train"))) == [1, 0, 2]


def test_a_split_comes_before_size():
    frame = images({"split": "train", "width": 1000}, {"split": "test"})
    assert order(frame, KeeperPolicy(split_priority=("test",))) == [1, 0]


def test_the_order_of_terms_is_what_the_policy_says():
    frame = images({"width": 99}, {"size_bytes": 999})
    assert order(frame, KeeperPolicy(("bytes", "resolution"))) == [1, 0]


def test_the_image_id_always_ends_the_order():
    assert KeeperPolicy(("bytes",)).order == ("bytes", "image_id")


def test_an_unknown_term_is_refused_with_the_known_ones():
    with pytest.raises(
        SettingsError, match="'beauty'; it may hold annotated, split, resolution, bytes, first_seen, image_id"
    ):
        KeeperPolicy(("beauty",))


def test_very_large_pictures_are_compared_in_full():
    assert order(images({"width": 70_000, "height": 70_000}, {"width": 10, "height": 10})) == [0, 1]


@given(st.permutations(range(6)))
def test_the_rank_of_an_image_does_not_depend_on_the_order_of_the_rows(permutation):
    frame = images({}, {"width": 5}, {"size_bytes": 7}, {"width": 5, "size_bytes": 7}, {}, {"split": "test"})
    moved = frame.iloc[list(permutation)].reset_index(drop=True)
    by_id = dict(zip(moved["image_id"], rank(moved, KeeperPolicy()), strict=True))
    assert [by_id[image] for image in frame["image_id"]] == rank(frame, KeeperPolicy()).tolist()


@pytest.mark.parametrize(
    ("first", "second", "words"),
    [
        ({"label_count": 2}, {}, "it carries 2 labels, the other is without any"),
        ({"label_count": 1}, {"label_count": 0}, "it carries 1 label, the other is annotated as empty"),
        ({"width": 20}, {}, "larger picture (20x10 against 10x10)"),
        ({"size_bytes": 2000}, {}, "larger file (2,000 against 100 bytes)"),
        ({}, {"first_seen_at": datetime(2025, 1, 1)}, "seen in an earlier scan"),
        ({}, {}, "first by name"),
    ],
)
def test_the_reason_is_the_first_term_that_differs(first, second, words):
    assert why(images(first, second)) == words


def test_the_reason_names_the_protection():
    policy = KeeperPolicy(protect=("test",), reference=("gold",))
    assert why(images({"split": "test"}, {}), policy) == "it is protected (split test)"
    assert why(images({"image_id": "gold/a.jpg"}, {}), policy) == "it is protected (reference folder gold)"


def test_the_reason_names_both_splits():
    policy = KeeperPolicy(split_priority=("test",))
    assert why(images({"split": "test"}, {"split": "train"}), policy) == "its split 'test' comes before 'train'"
    assert why(images({"split": "test"}, {}), policy) == "its split 'test' comes before 'none'"


@pytest.mark.parametrize(
    ("image_id", "split"),
    [
        ("train/a.jpg", "train"),
        ("data/Val/deep/a.jpg", "val"),
        ("test/train/a.jpg", "test"),
        ("train.jpg", None),
        ("training_set/a.jpg", None),
        ("a.jpg", None),
    ],
)
def test_the_split_is_the_first_folder_named_so(image_id, split):
    assert split_of(image_id) == split
