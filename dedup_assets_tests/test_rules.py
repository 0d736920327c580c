"""The checks themselves: they hold for a sound store, and each way to break a promise is seen and named."""

import pandas as pd
import pytest

from dedup_assets.core.scoring.rules import RULES, StoreRows
from dedup_assets.core.scoring.uniqueness import DUPLICATE_LABEL
from dedup_assets.core.settings import DUPLICATES_TAG
from dedup_assets.core.storage import schema
from dedup_assets.core.storage.store import Store

THRESHOLD = 0.0001


def frame(table, rows):
    """Rows of a table, unnamed columns empty."""
    made = pd.DataFrame(rows, columns=table.names)
    times = [column.name for column in table.columns if column.type == "TIMESTAMP"]
    made[times] = made[times].astype("datetime64[us]")
    return made


def duplicate(keeper, distance=0.0):
    return {"uniqueness": 0.0, "label": DUPLICATE_LABEL, "keeper_id": keeper, "keeper_distance": distance}


class Sound:
    """Images a1, a2, a3 identical, b a duplicate of a1, c alone, x unreadable; a2, a3 and b removed."""

    def __init__(self, folder):
        self.store = Store(folder)
        self.images = {image: {"status": "ok", "content_id": image[0]} for image in ("a1", "a2", "a3", "b", "c")}
        self.images["x"] = {"status": "unreadable"}
        self.scores = {"a1": {"uniqueness": 0.4}, "c": {"uniqueness": 0.4}}
        self.scores |= {"a2": duplicate("a1"), "a3": duplicate("a1"), "b": duplicate("a1", 0.00009)}
        self.removals = {image: {"keeper_id": "a1", "reason": "duplicate"} for image in ("a2", "a3", "b")}
        self.tags = ["a2", "a3", "b"]
        self.more_scores = []

    def broken(self, threshold=THRESHOLD):
        """The rules that do not hold, with their examples."""
        scores = [{"image_id": image, **row} for image, row in self.scores.items()] + self.more_scores
        self.store.replace(
            {
                schema.IMAGES: frame(schema.IMAGES, [{"image_id": i, **row} for i, row in self.images.items()]),
                schema.SCORES: frame(schema.SCORES, scores),
                schema.REMOVALS: frame(schema.REMOVALS, [{"image_id": i, **row} for i, row in self.removals.items()]),
                schema.TAGS: frame(schema.TAGS, [{"image_id": i, "tag": DUPLICATES_TAG} for i in self.tags]),
            }
        )
        rows = StoreRows(self.store)
        results = {rule.name: rule.check(rows, threshold) for rule in RULES}
        assert all("\n" not in result.sentence for result in results.values())
        return {name: set(result.examples) for name, result in results.items() if not result.passed}


@pytest.fixture
def sound(tmp_path):
    return Sound(tmp_path / "store")


def test_all_rules_hold_for_a_sound_store(sound):
    assert sound.broken() == {}


def test_the_sentences_say_what_was_counted(sound):
    sound.broken()
    rows = StoreRows(sound.store)
    sentences = {rule.name: rule.check(rows, THRESHOLD).sentence for rule in RULES}
    assert sentences["n_minus_one_zeros"] == "3 duplicates score 0, each with its keeper"
    assert sentences["every_readable_image_has_one_score"] == "5 readable images, 5 scores"
    assert sentences["kept_and_removed_are_all"] == "2 kept + 3 removed = 5 readable images"


def test_all_rules_hold_for_an_empty_store(tmp_path):
    rows = StoreRows(Store(tmp_path / "store"))
    assert all(rule.check(rows, THRESHOLD).passed for rule in RULES)


def test_every_rule_belongs_to_an_asset_and_has_its_own_name():
    assert len({rule.name for rule in RULES}) == len(RULES)
    assert {rule.asset for rule in RULES} == {"uniqueness_scores", "duplicates"}


def test_two_of_three_identical_images_that_score_above_zero_are_seen(sound):
    sound.scores["a2"] = {"uniqueness": 0.4}
    assert sound.broken() == {"n_minus_one_zeros": {"a1", "a2", "a3"}}


def test_all_identical_images_may_be_duplicates_of_another(sound):
    sound.scores["a1"] = duplicate("c")
    sound.scores |= {image: duplicate("c") for image in ("a2", "a3", "b")}
    assert "n_minus_one_zeros" not in sound.broken()


def test_a_zero_without_keeper_is_seen(sound):
    sound.scores["c"] = {"uniqueness": 0.0}
    assert sound.broken() == {"n_minus_one_zeros": {"c"}, "range_holds_no_keeper": {"c"}}


def test_a_zero_without_its_label_is_seen(sound):
    sound.scores["b"]["label"] = "Near duplicate image"
    assert sound.broken() == {"n_minus_one_zeros": {"b"}}


def test_a_keeper_that_is_a_duplicate_itself_is_seen(sound):
    sound.scores["b"]["keeper_id"] = "a2"
    assert sound.broken() == {"n_minus_one_zeros": {"b"}}


def test_a_duplicate_farther_from_its_keeper_than_the_threshold_is_seen(sound):
    assert sound.broken(0.00009) == {}
    assert sound.broken(0.00008) == {"n_minus_one_zeros": {"b"}}


def test_a_keeper_within_the_range_of_duplicates_is_seen(sound):
    sound.scores["c"] = {"uniqueness": 0.0001}
    assert sound.broken() == {"range_holds_no_keeper": {"c"}}


@pytest.mark.parametrize("value", [1.1, -0.1, None])
def test_a_score_outside_zero_to_one_is_seen(sound, value):
    sound.scores["c"] = {"uniqueness": value}
    assert "c" in sound.broken()["range_holds_no_keeper"]


def test_a_readable_image_without_score_is_seen(sound):
    del sound.scores["c"]
    assert sound.broken() == {"every_readable_image_has_one_score": {"c"}}


def test_an_image_with_two_scores_is_seen(sound):
    sound.more_scores.append({"image_id": "c", "uniqueness": 0.4})
    assert sound.broken()["every_readable_image_has_one_score"] == {"c"}


def test_an_unreadable_file_with_a_score_is_seen(sound):
    sound.scores["x"] = {"uniqueness": 0.4}
    assert sound.broken()["every_readable_image_has_one_score"] == {"x"}


def test_a_score_of_a_file_that_is_not_there_is_seen(sound):
    sound.scores["gone"] = {"uniqueness": 0.4}
    assert sound.broken()["every_readable_image_has_one_score"] == {"gone"}


def test_a_removal_whose_keeper_is_removed_too_must_lead_on(sound):
    sound.removals["a1"] = {"keeper_id": "c", "reason": "reviewed"}
    sound.tags.append("a1")
    assert sound.broken() == {}


def test_removals_in_a_circle_are_seen(sound):
    sound.removals["a1"] = {"keeper_id": "b", "reason": "reviewed"}
    sound.tags.append("a1")
    assert sound.broken() == {"every_removal_has_a_survivor": {"a1", "a2", "a3", "b"}}


@pytest.mark.parametrize("keeper", ["gone", "x", None])
def test_a_removal_whose_keeper_is_not_there_is_seen(sound, keeper):
    sound.removals["b"]["keeper_id"] = keeper
    assert sound.broken() == {"every_removal_has_a_survivor": {"b"}}


def test_a_discarded_picture_needs_no_survivor_nor_what_was_removed_for_it(sound):
    sound.removals["a1"] = {"keeper_id": None, "reason": "discarded"}
    sound.tags.append("a1")
    assert sound.broken() == {}


def test_a_removal_that_is_not_in_the_collection_is_seen(sound):
    sound.tags.remove("b")
    assert sound.broken() == {"kept_and_removed_are_all": {"b"}}


def test_an_image_in_the_collection_that_was_not_removed_is_seen(sound):
    sound.tags.append("c")
    assert sound.broken() == {"kept_and_removed_are_all": {"c"}}


def test_a_removed_file_that_cannot_be_read_is_seen(sound):
    sound.removals["x"] = {"keeper_id": "a1", "reason": "duplicate"}
    sound.tags.append("x")
    assert sound.broken() == {"kept_and_removed_are_all": {"x"}}


@pytest.mark.parametrize("closed", ["restored_at", "superseded_at"])
def test_removals_that_are_no_longer_in_force_do_not_count(sound, closed):
    sound.removals["b"][closed] = pd.Timestamp("2024-01-01")
    sound.tags.remove("b")
    assert sound.broken() == {}


def test_removals_of_images_that_left_the_folder_do_not_count(sound):
    sound.removals["gone"] = {"keeper_id": "gone too", "reason": "duplicate"}
    assert sound.broken() == {}
