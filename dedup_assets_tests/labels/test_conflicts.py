"""Labels of duplicates: compared where that means something, listed where they differ, merged only when asked."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dedup_assets.core.errors import DecisionError, LabelError, ProtectedError
from dedup_assets.core.labels.conflicts import Comparison, Frame
from dedup_assets.core.labels.exporting import export_dataset
from dedup_assets.core.labels.model import Annotation, Box, Label
from dedup_assets.core.lineage.image_history import history
from dedup_assets.core.lineage.why import explain
from dedup_assets.core.living.plan import full_plan
from dedup_assets.core.report import overview
from dedup_assets.core.run import Run
from dedup_assets.core.scoring.collection import DUPLICATE, IDENTICAL, REVIEWED, Removal
from dedup_assets.core.storage import schema
from dedup_assets.terminal import overview_lines
from dedup_assets_tests.chain import chain_in
from dedup_assets_tests.explorer.support import Page
from dedup_assets_tests.labels.support import SIZE, put_all, read, voc_object, voc_xml, write
from dedup_assets_tests.pictures import grain, photo, put

CAT = Label("cat", Box(10, 10, 20, 20))


def annotation(image, *labels, **more):
    return Annotation(image, labels, "it", **more)


def compared(keeper, removed, *, reason=IDENTICAL, distance=0.0, union=False, frames=None, turned=None):
    """The conflicts between `keeper` and one removed image 'b'."""
    frames = frames or {"a": Frame("1", "a", SIZE), "b": Frame("1", "b", SIZE)}
    annotations = {one.image_id: one for one in (keeper, removed) if one is not None}
    comparison = Comparison(frames, annotations, lambda image: (turned or {}).get(image, 1), union, 0.5)
    return comparison.conflicts({"b": Removal("b", "a", reason, distance)})


def differences(*labels, keeper=(CAT,), **more):
    return [one.difference for one in compared(annotation("a", *keeper), annotation("b", *labels), **more)]


def test_the_same_labels_are_no_conflict():
    assert differences(CAT) == []
    assert differences(Label("cat", Box(10.004, 10, 20, 20))) == []


def test_every_kind_of_difference_has_its_word():
    moved, other = Label("cat", Box(12, 10, 20, 20)), Label("dog", Box(10, 10, 20, 20))
    assert differences(moved) == ["moved"]
    assert differences(other) == ["category"]
    assert differences() == ["only_keeper"]
    assert differences(CAT, Label("cat", Box(40, 30, 9, 9))) == ["only_removed"]
    assert differences(Label("dog"), keeper=(Label("cat"),)) == ["class"]
    hard = Label("cat", CAT.box, {"voc": "<object>1</object>"}, ("difficult",))
    assert differences(hard) == ["details"]


def test_boxes_are_matched_one_to_one_those_of_one_class_first():
    near = Label("cat", Box(11, 10, 20, 20))
    found = compared(annotation("a", CAT, near), annotation("b", Label("dog", near.box), near, CAT))
    assert [(one.difference, one.keeper_place, one.removed_place) for one in found] == [("only_removed", None, 0)]


def test_a_removed_image_nobody_annotated_loses_nothing():
    assert compared(annotation("a", CAT), annotation("b", annotated=False)) == []
    assert compared(annotation("a", CAT), None) == []


def test_labels_on_the_removed_image_alone_are_listed():
    (only,) = compared(None, annotation("b", CAT))
    assert (only.difference, only.outcome) == ("only_removed", "dropped")
    (added,) = compared(None, annotation("b", CAT), union=True)
    assert added.outcome == "added"


@pytest.mark.parametrize(
    ("more", "note"),
    [
        ({"reason": REVIEWED, "distance": 0.02}, "show one picture in different ways"),
        ({"reason": DUPLICATE, "distance": 0.0002}, "show one picture in different ways"),
        ({"turned": {"b": 3}}, "turned differently"),
    ],
)
def test_boxes_in_another_frame_are_never_merged(more, note):
    frames = {"a": Frame("1" if "turned" in more else "2", "a", SIZE), "b": Frame("1", "b", SIZE)}
    (found,) = compared(annotation("a", CAT), annotation("b", CAT, CAT), union=True, frames=frames, **more)
    assert (found.difference, found.outcome) == ("not_comparable", "dropped")
    assert note in found.note


def test_boxes_of_an_annotation_made_at_another_size_are_not_compared():
    (found,) = compared(annotation("a", CAT), annotation("b", CAT, size=(640, 480)))
    assert found.note == "'b' is 64x48, its annotation says 640x480"


def test_the_same_picture_saved_again_is_compared():
    frames = {"a": Frame("1", "a", SIZE), "b": Frame("2", "b", SIZE)}
    assert differences(CAT, Label("cat", Box(50, 40, 5, 5)), frames=frames, reason=DUPLICATE, distance=0.0001) == [
        "only_removed"
    ]


def test_classes_are_compared_whatever_the_geometry():
    frames = {"a": Frame("1", "a", SIZE), "b": Frame("2", "b", (10, 10))}
    found = differences(Label("dog"), keeper=(Label("cat"),), frames=frames, reason=REVIEWED, distance=0.04)
    assert found == ["class"]


@given(st.tuples(*[st.floats(0, 40), st.floats(0, 40), st.floats(0.5, 20), st.floats(0.5, 20)] * 2))
def test_overlap_is_symmetric_and_one_for_the_same_box_alone(sides):
    one, other = Box(*sides[:4]), Box(*sides[4:])
    assert one.overlap(other) == pytest.approx(other.overlap(one))
    assert 0 <= one.overlap(other) <= 1
    assert one.overlap(one) == 1


def pair_of(folder):
    """Two identical pictures and another; the boxes of the two differ, and one has a box more."""
    put_all(folder / "images", "a.png")
    put(photo(0, SIZE), folder / "images" / "copy.png")
    put(photo(7, SIZE), folder / "images" / "other.png")
    more = voc_object("cat", (10, 10, 30, 40)) + voc_object("dog", (50, 5, 60, 20))
    write(folder / "annotations/a.xml", voc_xml("a.png", voc_object("cat", (12, 10, 30, 40))))
    write(folder / "annotations/copy.xml", voc_xml("copy.png", more))
    write(folder / "annotations/other.xml", voc_xml("other.png", ""))
    return folder


def ran(tmp_path, **settings):
    chain = chain_in(tmp_path, **settings)
    pair_of(chain.images)
    return chain, chain.run()


def test_the_keeper_keeps_its_own_labels_and_the_rest_is_listed(tmp_path):
    chain, summaries = ran(tmp_path)
    assert summaries["duplicates"].label_conflicts == {"moved": 1, "only_removed": 1}
    assert any(line.split()[:3] == ["labels", "differ", "2"] for line in overview_lines(overview(chain.store)))
    rows = chain.store.read(schema.LABEL_CONFLICTS)
    assert set(rows["image_id"]) == {"images/copy.png"}
    assert set(rows["outcome"]) == {"dropped"}
    export_dataset(chain.store, "voc", tmp_path / "out")
    assert [label.category for one in read(tmp_path / "out").annotations for label in one.labels] == ["cat"]


def test_union_adds_what_only_the_copy_has(tmp_path):
    chain, _ = ran(tmp_path, labels="union")
    export_dataset(chain.store, "voc", tmp_path / "out")
    found = [(label.category, label.box.x) for one in read(tmp_path / "out").annotations for label in one.labels]
    assert found == [("cat", 12), ("dog", 50)]


def test_another_policy_runs_the_collection_again(tmp_path):
    chain, first = ran(tmp_path)
    chain.settings["labels"] = "union"
    second = chain.run()
    assert second["duplicates"].changed
    assert first["deduplicated_dataset"].dataset_version != second["deduplicated_dataset"].dataset_version


def test_the_policy_conflict_stops_before_the_dataset(tmp_path):
    with pytest.raises(LabelError, match=r"the labels of 1 removed image differ .* first 'images/copy.png' and"):
        ran(tmp_path, labels="conflict")
    assert not (tmp_path / "store" / "datasets").exists()


def test_the_annotated_copy_stays_and_says_why(tmp_path):
    chain = chain_in(tmp_path)
    pair_of(chain.images)
    (chain.images / "annotations/a.xml").unlink()
    chain.run()
    row = chain.rows(schema.SCORES)["images/a.png"]
    assert row["keeper_id"] == "images/copy.png"
    assert row["keeper_reason"] == "it carries 2 labels, the other is without any"


def protected(tmp_path, **settings):
    """test/ and gold/ each hold a picture that train/ has too, and one of their own twice."""
    chain = chain_in(tmp_path, **settings)
    put_all(chain.images, "test/a.png", "gold/b.png", "train/c.png")
    put(photo(0, SIZE), chain.images / "train" / "a.png")
    put(photo(1, SIZE), chain.images / "train" / "b.png")
    put(grain(5), chain.images / "test" / "x.png")
    put(grain(5), chain.images / "test" / "y.png")
    return chain


def test_a_protected_split_loses_nothing_and_says_what_stayed(tmp_path):
    chain = protected(tmp_path, protect=["test"], reference=["gold"])
    summary = chain.run()["duplicates"]
    assert set(chain.store.read(schema.TAGS)["image_id"]) == {"train/a.png", "train/b.png"}
    assert summary.protected_duplicates == 1
    reasons = chain.store.read(schema.REMOVALS).set_index("image_id")["keeper_reason"]
    assert reasons["train/b.png"] == "it is protected (reference folder gold)"


def test_where_the_same_image_stays_for_another_reason_record_why_history_and_plan_say_so(tmp_path):
    chain = protected(tmp_path)
    chain.run()
    chain.settings["reference"] = ["gold"]
    assert full_plan(chain.project, Run()).outcome.other_ground == 1
    chain.run()
    record = chain.store.read(schema.REMOVALS).query("image_id == 'train/b.png'")
    now = "it is protected (reference folder gold)"
    assert record["keeper_reason"].tolist() == ["first by name", now]
    assert record["superseded_at"].isna().tolist() == [False, True]
    why = explain(chain.store, "train/b.png")
    assert [entry.keeper_reason for entry in (*why.chain, *why.history)] == [now, "first by name"]
    told = [entry.sentence for entry in history(chain.store, "train/b.png").happenings if entry.what == "removed"]
    assert [sentence.partition("gold/b.png stays: ")[2].partition(";")[0] for sentence in told] == [
        "first by name",
        now,
    ]
    assert full_plan(chain.project, Run()).changes_nothing


def test_without_protection_the_first_by_name_stays(tmp_path):
    chain = protected(tmp_path)
    chain.run()
    assert set(chain.store.read(schema.TAGS)["image_id"]) == {"train/a.png", "train/b.png", "test/y.png"}


def test_two_identical_reference_images_are_an_error(tmp_path):
    chain = protected(tmp_path, reference=["test"])
    with pytest.raises(ProtectedError, match=r"'test/x\.png' and 'test/y\.png' are identical and both in a reference"):
        chain.run()


@pytest.mark.parametrize("line", ["gold/b.png,remove,train/c.png", "gold/b.png,discard,"])
def test_no_decision_removes_a_reference_image(line, tmp_path):
    chain = protected(tmp_path, reference=["gold"])
    chain.decide(line)
    with pytest.raises(DecisionError, match=r"line 2 says .* reference folder and is never removed"):
        chain.run()


def test_a_protected_copy_stays_when_its_picture_is_decided_on_elsewhere(tmp_path):
    chain = protected(tmp_path, protect=["test"])
    chain.decide("train/a.png,discard,")
    chain.run()
    assert "test/a.png" not in set(chain.store.read(schema.TAGS)["image_id"])


def test_the_explorer_draws_the_boxes_of_both_over_both(tmp_path):
    chain, _ = ran(tmp_path)
    text = Page(chain.store).get("/labels").text
    assert text.count('class="own moved"') == text.count('class="other moved"') == 2
    assert text.count('class="own only_removed"') == text.count('class="other only_removed"') == 1
    assert "dog is on the removed image alone; it is left out" in text
    assert 'class="own' not in Page(chain.store).get("/labels", kind="category").text
