"""Decisions made in the Explorer: how they are checked and undone, and what the chain makes of them."""

import csv
import gc
import itertools
import threading

import pytest
from filelock import FileLock

from dedup_assets.core.exploring import decision_file
from dedup_assets.core.exploring.decision_file import DecisionFile
from dedup_assets.core.exploring.review import GroupState
from dedup_assets.core.project import remembered
from dedup_assets.core.storage import schema
from dedup_assets.core.storage.store import Store
from dedup_assets_tests.explorer.support import (
    COPIES,
    GROUPS,
    HOSTILE,
    Page,
    altered,
    apply_decisions,
    make_images,
    record,
    run_chain,
)
from dedup_assets_tests.pictures import put


def rows(store):
    with store.decisions_file.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def decide(page, group, action, image=None, keeper="", reviewer="ann", **more):
    body = {"group": group, "action": action, "image": image or group, "keeper": keeper, "reviewer": reviewer}
    return page.post("/api/review/decide", **body, **more)


def said(store):
    return [(row["image_id"], row["decision"], row["duplicate_of"], row["reviewer"]) for row in rows(store)]


# ---- the review


def test_the_review_lists_every_group_nearest_first(page):
    groups = page.get("/api/review").json()["groups"]
    assert len(groups) == GROUPS
    assert [entry[1] for entry in groups] == sorted(entry[1] for entry in groups)
    assert all(waits for *_, waits in groups)


def test_a_group_names_its_suggested_keeper_and_why(page):
    group = page.get("/api/review/group", id="test/3_small.png").json()
    assert group["id"] == "train/3.png"
    assert group["plan"] == {"test/3_again.png": "train/3.png", "test/3_small.png": "train/3.png"}
    assert group["reason"] == "larger picture (320x240 against 296x222)"


def test_what_a_group_was_after_each_of_many_decisions_is_not_kept_in_memory(page, store):
    explorer = page.app.state.explorer
    snapshot = explorer.snapshot()
    words = itertools.product(["keep", "remove", "discard", "not_duplicate"], ["train/3.png", "test/3_again.png"])
    for word, image in words:
        store.decisions_file.write_text(f"image_id,decision,duplicate_of\n{image},{word},test/3_small.png\n")
        assert len(explorer.review(snapshot).waiting) >= GROUPS - 1
    groups = explorer.review(snapshot).groups
    group = groups.by_leader[groups.group_of[snapshot.gallery.row_of["train/3.png"]]]
    assert 0 < sum(isinstance(one, GroupState) and one.group is group for one in gc.get_objects()) <= 3


def test_a_group_says_one_distance_for_each_image_however_many_pairs_it_has(page, store):
    pairs = {frozenset(row[:2]): row[2] for row in store.read(schema.PAIRS).itertuples(index=False, name=None)}
    for keeper in ("train/3.png", "test/3_again.png"):
        group = page.get("/api/review/group", id="train/3.png", keeper=keeper).json()
        assert (group["beside"], group["waits"]) == (keeper, 3)
        for member in group["members"]:
            assert member["distance"] == pairs.get(frozenset((keeper, member["id"])))
            assert member["waits"]
        assert not any(len(str(value)) > 200 for name, value in group.items() if name not in ("members", "plan"))


def test_the_reason_is_that_of_the_image_which_a_decision_keeps(page):
    group = decide(page, "train/2.png", "keep", "test/2_again.png").json()["group"]
    assert group["plan"] == {"train/2.png": "test/2_again.png"}
    assert (group["keeper"], group["reason"]) == ("test/2_again.png", "ann decided to keep it")


def test_a_keeper_chosen_against_the_order_has_no_reason_but_the_choice(page):
    chosen = page.get("/api/review/group", id="train/2.png", keeper="test/2_again.png").json()
    assert (chosen["keeper"], chosen["reason"]) == ("test/2_again.png", "")
    suggested = page.get("/api/review/group", id="train/2.png", keeper="train/2.png").json()
    assert suggested["reason"].startswith("larger picture")


def test_the_reason_is_told_of_the_images_that_are_left_to_decide(page):
    decide(page, "train/3.png", "not_duplicate", "train/3.png")
    group = page.get("/api/review/group", id="train/3.png").json()
    assert group["plan"] == {"test/3_small.png": "test/3_again.png"}
    assert (group["keeper"], group["reason"]) == ("test/3_again.png", "larger picture (296x222 against 200x150)")


def test_a_decision_is_on_the_disk_before_it_is_answered(page, store):
    answer = decide(page, "train/2.png", "remove", "test/2_again.png", "train/2.png").json()
    assert answer["waiting"] == GROUPS - 1
    (row,) = rows(store)
    facts = store.read(schema.IMAGES, "image_id = 'test/2_again.png'")
    assert row["image_id"] == "test/2_again.png"
    assert (row["decision"], row["duplicate_of"], row["reviewer"]) == ("remove", "train/2.png", "ann")
    assert row["content_hash"] == facts["file_hash"].iloc[0]
    assert row["decided_at"].endswith("Z")


@pytest.mark.parametrize(
    ("action", "image", "written"),
    [
        ("accept", None, [("test/2_again.png", "remove", "train/2.png")]),
        ("keep", "test/2_again.png", [("test/2_again.png", "keep", "")]),
        ("discard", "train/2.png", [("train/2.png", "discard", "")]),
        ("not_duplicate", "test/2_again.png", [("test/2_again.png", "not_duplicate", "train/2.png")]),
        ("remove", "train/2.png", [("train/2.png", "remove", "test/2_again.png")]),
    ],
)
def test_each_action_writes_its_word(page, store, action, image, written):
    assert decide(page, "train/2.png", action, image).status_code == 200
    assert [(row["image_id"], row["decision"], row["duplicate_of"]) for row in rows(store)] == written


def test_removing_the_last_of_a_group_is_refused_with_a_sentence(page, store):
    decide(page, "train/2.png", "remove", "test/2_again.png")
    answer = decide(page, "train/2.png", "remove", "train/2.png")
    assert answer.status_code in (400, 409)
    assert "would leave no copy" in answer.json()["error"]
    assert len(rows(store)) == 1


BY_ANN = {
    "accept": ("test/2_again.png", "remove", "train/2.png", "ann"),
    "remove": ("test/2_again.png", "remove", "train/2.png", "ann"),
    "keep": ("test/2_again.png", "keep", "", "ann"),
    "discard": ("test/2_again.png", "discard", "", "ann"),
    "not_duplicate": ("test/2_again.png", "not_duplicate", "train/2.png", "ann"),
}
OPPOSITE = [
    *(("accept", other) for other in ("not_duplicate", "keep", "discard")),
    *(("not_duplicate", other) for other in ("accept", "remove", "keep", "discard")),
    *(("discard", other) for other in ("accept", "keep", "not_duplicate")),
]


def from_two_tabs(page, first, second):
    """Both show the group as it was at first; the two answers."""
    shown = page.get("/api/review/group", id="train/2.png").json()
    seen = {"seen": shown["seen"], "removes": list(shown["plan"])}
    by_ann = decide(page, "train/2.png", first, "test/2_again.png", "train/2.png", "ann", **seen)
    return by_ann, decide(page, "train/2.png", second, "test/2_again.png", "train/2.png", "bob", **seen)


@pytest.mark.parametrize(("first", "second"), OPPOSITE)
def test_the_other_decision_of_a_second_reviewer_is_refused_and_names_the_first(page, store, first, second):
    by_ann, by_bob = from_two_tabs(page, first, second)
    assert (by_ann.status_code, by_bob.status_code) == (200, 409)
    assert by_bob.json()["error"].startswith("ann decided to ")
    assert "'test/2_again.png'" in by_bob.json()["error"]
    assert said(store) == [BY_ANN[first]]


@pytest.mark.parametrize("action", BY_ANN)
def test_the_same_decision_of_a_second_reviewer_is_harmless(page, store, action):
    assert [answer.status_code for answer in from_two_tabs(page, action, action)] == [200, 200]
    assert said(store) == [BY_ANN[action]]


def test_a_decision_that_finds_nothing_waiting_is_not_taken_for_done(page, store):
    decide(page, "train/2.png", "accept")
    again = decide(page, "train/2.png", "not_duplicate", reviewer="bob")
    assert again.status_code == 409
    assert "ann decided to remove 'test/2_again.png' in favour of 'train/2.png'" in again.json()["error"]


def test_whoever_has_seen_the_standing_decision_may_overrule_it(page, store):
    decide(page, "train/2.png", "accept")
    seen = page.get("/api/review/group", id="train/2.png").json()["seen"]
    assert decide(page, "train/2.png", "keep", "test/2_again.png", reviewer="bob", seen=seen).status_code == 200
    assert said(store) == [("test/2_again.png", "keep", "", "bob")]


def test_a_decision_upon_one_that_was_taken_back_is_refused(page, store):
    decide(page, "train/2.png", "accept")
    seen = page.get("/api/review/group", id="train/2.png").json()["seen"]
    page.post("/api/review/undo", reviewer="ann")
    answer = decide(page, "train/2.png", "keep", "test/2_again.png", reviewer="bob", seen=seen)
    assert "taken back" in answer.json()["error"]
    assert rows(store) == []


def test_accepting_is_refused_where_a_part_of_what_was_shown_was_decided_otherwise(page, store):
    shown = page.get("/api/review/group", id="train/3.png").json()
    decide(page, "train/3.png", "not_duplicate", "test/3_small.png")
    seen = {"seen": shown["seen"], "removes": list(shown["plan"])}
    assert decide(page, "train/3.png", "accept", keeper="train/3.png", reviewer="bob", **seen).status_code == 409
    assert {row["decision"] for row in rows(store)} == {"not_duplicate"}


def test_a_group_that_a_run_made_larger_is_not_accepted_as_it_was(tmp_path):
    make_images(tmp_path / "images")
    store = Store(tmp_path / "store")
    run_chain(tmp_path / "images", store)
    page = Page(store)
    shown = page.get("/api/review/group", id="train/4.png").json()
    put(altered(4).resize((150, 112)), tmp_path / "images" / "test" / "4_small.png")
    run_chain(tmp_path / "images", store)
    page.app.state.explorer.watch.fresh()
    for action in ("accept", "not_duplicate", "remove"):
        answer = decide(page, "train/4.png", action, "test/4_again.png", seen=shown["seen"], removes=[*shown["plan"]])
        assert "a run changed the images of this group" in answer.json()["error"]
    assert not store.decisions_file.exists()
    now = page.get("/api/review/group", id="train/4.png").json()
    assert len(now["plan"]) == 2
    assert decide(page, "train/4.png", "accept", seen=now["seen"], removes=[*now["plan"]]).status_code == 200


def test_no_more_is_accepted_than_what_was_shown_as_going(page, store):
    shown = page.get("/api/review/group", id="train/3.png").json()
    fewer = {"seen": shown["seen"], "removes": ["test/3_small.png"]}
    assert decide(page, "train/3.png", "accept", **fewer).status_code == 409
    assert not store.decisions_file.exists()


def test_of_two_explorers_that_decide_at_once_the_second_is_told_of_the_first(page, store):
    seen, answers = page.get("/api/review/group", id="train/2.png").json()["seen"], []

    def by_bob():
        answers.append(decide(page, "train/2.png", "keep", "test/2_again.png", reviewer="bob", seen=seen))

    bob = threading.Thread(target=by_bob)
    with DecisionFile(store.decisions_file).held():  # as the other one does from looking to writing
        bob.start()
        bob.join(1)
        record(store.decisions_file, BY_ANN["remove"][:3])
    bob.join()
    assert answers[0].json()["error"].startswith("ann decided to remove 'test/2_again.png'")
    assert said(store) == [BY_ANN["remove"]]


def test_a_decisions_file_that_another_process_keeps_is_told(page, store, monkeypatch):
    monkeypatch.setattr(decision_file, "_LOCK_SECONDS", 0.05)
    with FileLock(store.folder / ".decisions.csv.lock"):
        answer = decide(page, "train/2.png", "accept")
    assert answer.status_code == 409
    assert "has been in use by another process" in answer.json()["error"]


def test_a_decision_that_cannot_be_written_says_so(page, store):
    store.decisions_file.with_name(".decisions.csv.lock").mkdir()
    answer = decide(page, "train/2.png", "accept")
    assert answer.status_code == 409
    assert f"cannot write '{store.decisions_file}'" in answer.json()["error"]


def test_undo_never_leaves_a_picture_without_a_copy(page, store):
    decide(page, "train/2.png", "remove", "test/2_again.png", "train/2.png")
    decide(page, "train/2.png", "keep", "test/2_again.png")
    decide(page, "train/2.png", "remove", "train/2.png", "test/2_again.png", reviewer="bob")
    before = store.decisions_file.read_bytes()
    answer = page.post("/api/review/undo", reviewer="ann")
    assert "would leave no copy" in answer.json()["error"]
    assert store.decisions_file.read_bytes() == before
    assert page.get("/api/review").json()["error"] is None


def test_undo_about_an_image_leaves_later_changes_about_others(page, store):
    page.post("/api/decide", images=["train/6.png"], decision="keep", reviewer="ann")
    page.post("/api/decide", images=["train/7.png"], decision="discard", reviewer="ann")
    assert page.post("/api/review/undo", reviewer="ann", image="train/6.png").json()["undone"] == 1
    assert [line[:2] for line in said(store)] == [("train/7.png", "discard")]


def test_undo_about_an_image_leaves_what_was_decided_of_many_at_once(page, store):
    plan = page.get("/api/review/suggestions", distance=0.05).json()
    page.post("/api/review/accept", distance=0.05, seen=plan["seen"], reviewer="ann")
    assert page.post("/api/review/undo", reviewer="ann", image="test/2_again.png").json()["undone"] == 0
    assert len(rows(store)) == 5


def test_undo_brings_the_group_back(page, store):
    decide(page, "train/2.png", "accept")
    answer = page.post("/api/review/undo", reviewer="ann").json()
    assert (answer["group"], answer["waiting"]) == ("train/2.png", GROUPS)
    assert rows(store) == []
    assert page.post("/api/review/undo", reviewer="ann").json()["undone"] == 0


def test_choosing_another_keeper_changes_the_suggestion(page):
    group = page.get("/api/review/group", id="train/2.png", keeper="test/2_again.png").json()
    assert group["plan"] == {"train/2.png": "test/2_again.png"}
    decide(page, "train/2.png", "accept", keeper="test/2_again.png")
    assert page.get("/api/review/group", id="train/2.png").json()["waits"] == 0


def test_accepting_many_does_what_the_preview_said_and_undoes_as_one(page, store):
    decide(page, "train/2.png", "keep", "train/2.png")
    plan = page.get("/api/review/suggestions", distance=0.05).json()
    assert plan["groups"] == GROUPS - 1
    answer = page.post("/api/review/accept", distance=0.05, seen=plan["seen"], reviewer="ann").json()
    assert answer["removed"] == plan["removes"] == 4
    assert len(rows(store)) == 5
    assert page.post("/api/review/undo", reviewer="ann").json()["undone"] == 4


def test_accepting_many_is_refused_when_it_would_do_other_than_the_preview_said(page, store):
    plan = page.get("/api/review/suggestions", distance=0.05).json()
    decide(page, "train/2.png", "keep", "test/2_again.png", reviewer="bob")
    answer = page.post("/api/review/accept", distance=0.05, seen=plan["seen"], reviewer="ann")
    assert "changed since the preview" in answer.json()["error"]
    assert said(store) == [("test/2_again.png", "keep", "", "bob")]


def test_a_broken_decisions_file_is_told_and_not_overwritten(page, store):
    store.decisions_file.write_text("image_id,decision\ntrain/2.png,burn\n")
    assert "unknown decision 'burn'" in page.get("/api/review").json()["error"]
    assert decide(page, "train/2.png", "accept").status_code in (400, 409)
    assert store.decisions_file.read_text() == "image_id,decision\ntrain/2.png,burn\n"


UNKNOWN = "image_id,decision\ntrain/nowhere.png,keep\n"


@pytest.mark.parametrize("path", ["/", "/review", "/grid", "/audit"])
def test_a_broken_decisions_file_is_told_at_the_top_of_every_page(page, store, path):
    hidden = 'role="alert" data-banner hidden></p>'
    assert hidden in page.get(path).text
    store.decisions_file.write_text(UNKNOWN)
    text = page.get(path).text
    assert hidden not in text
    assert text.count("unknown image &#39;train/nowhere.png&#39;") == 1


@pytest.mark.parametrize("broken", [UNKNOWN, "image_id,decision\ntrain/2.png,burn\n"])
def test_the_plan_says_that_a_run_would_stop_at_a_broken_decisions_file(page, store, broken):
    store.decisions_file.write_text(broken)
    plan = page.get("/api/plan").json()["plan"]
    assert "decisions.csv line 2: unknown" in plan["problem"]
    assert "data-banner hidden" in page.get("/plan").text  # the plan says it in its own notice


def test_the_chain_applies_what_the_review_decided(page, store):
    decide(page, "train/2.png", "accept")
    decide(page, "train/5.png", "discard", HOSTILE)
    decide(page, "train/4.png", "not_duplicate", "train/4.png")
    assert page.get("/api/run").json()["pending"] == 3
    apply_decisions(remembered(store))
    page.app.state.explorer.watch.fresh()
    assert page.get("/api/run").json()["pending"] == 0
    assert set(page.ids(tag="Duplicates")) == {*COPIES, "test/2_again.png", HOSTILE}


def test_restoring_from_the_audit_is_a_decision_to_keep(page, store):
    assert page.post("/api/decide", images=[COPIES[1]], decision="keep", reviewer="ann").json() == {"decided": 1}
    apply_decisions(remembered(store))
    page.app.state.explorer.watch.fresh()
    assert COPIES[1] not in page.ids(tag="Duplicates")
    assert "restored" in page.get("/audit", state="restored").text


def test_the_run_from_here_materialises_what_decisions_change(page, store):
    decide(page, "train/2.png", "accept")
    assert page.post("/api/run").json() == {"assets": ["duplicates", "deduplicated_dataset"]}
    job = page.app.state.explorer.job
    for thread in [thread for thread in threading.enumerate() if thread.name == "run"]:
        thread.join(90)
    assert (job.running, job.failed) == (False, None)
    assert "test/2_again.png" in set(store.read(schema.TAGS)["image_id"])
