"""When a run is due: what is told from one look to the next."""

import json
import os
import time
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dedup_assets.core.living import covered as covered_module
from dedup_assets.core.living.changes import PATIENCE_SECONDS, Due, Memory, Sight, judge, look
from dedup_assets.core.living.configured import configured, steps_below, version_of_settings
from dedup_assets.core.living.covered import State, covered, covered_settings
from dedup_assets.core.project import project_of
from dedup_assets.core.settings import Thresholds
from dedup_assets.core.steps.record import STEPS
from dedup_assets.core.storage.store import Store
from dedup_assets_tests.chain import chain_in
from dedup_assets_tests.pictures import put_photos

A, B = State("a", "d"), State("b", "d")


def sight(state, *, fresh=False, files=3, seconds=0.0):
    return Sight(state, files, fresh, seconds)


def free():
    return None


def failed(_):
    return False


def looks(memory, stands, *sights, start=1000.0, every=30.0, busy=free, interrupted=failed):
    """The memory after looking so often, and what was due each time."""
    found = []
    for number, seen in enumerate(sights):
        memory, due, why = judge(memory, seen, stands, start + every * number, busy, interrupted)
        assert why
        found.append(due)
    return memory, found


def old(path, seconds=60):
    os.utime(path, (time.time() - seconds,) * 2)


def test_a_change_is_due_once_it_was_seen_twice():
    assert looks(Memory(), B, sight(A), sight(A), sight(A))[1] == [Due.NOTHING, Due.IMAGES, Due.NOTHING]


def test_edited_decisions_alone_make_the_decisions_due():
    edited = State("a", "other")
    assert looks(Memory(), A, sight(edited), sight(edited))[1] == [Due.NOTHING, Due.DECISIONS]


def with_settings(name, state=A):
    return replace(state, settings=name)


def test_changed_settings_are_due_once():
    stands, changed = with_settings("old"), sight(with_settings("new"))
    memory, due = looks(Memory(), stands, sight(stands), changed, changed, changed, changed)
    assert due == [*[Due.NOTHING] * 2, Due.SETTINGS, *[Due.NOTHING] * 2]
    assert looks(memory, with_settings("new"), changed, changed)[1] == [Due.NOTHING] * 2


def test_changed_settings_that_a_person_ran_already_are_not_due():
    memory, _ = looks(Memory(), with_settings("old"), sight(with_settings("old")))
    assert looks(memory, with_settings("new"), *[sight(with_settings("new"))] * 3)[1] == [Due.NOTHING] * 3


def test_a_run_by_hand_with_other_settings_stands_until_something_changes():
    configured = sight(with_settings("configured"))
    memory, _ = looks(Memory(), with_settings("configured"), configured)
    memory, due = looks(memory, with_settings("by hand"), *[configured] * 3)
    assert due == [Due.NOTHING] * 3
    come = sight(with_settings("configured", B))
    assert looks(memory, with_settings("by hand"), come, come)[1] == [Due.NOTHING, Due.IMAGES]


def test_settings_are_not_due_where_none_are_known_and_are_where_the_dataset_has_others():
    first = sight(with_settings("configured"))
    assert looks(Memory(), A, *[first] * 3)[1] == [Due.NOTHING] * 3
    assert looks(Memory(), with_settings("others"), *[first] * 3)[1] == [Due.NOTHING, Due.SETTINGS, Due.NOTHING]


def test_settings_that_changed_with_the_images_are_one_change():
    stands, both = with_settings("old"), sight(with_settings("new", B))
    memory, due = looks(Memory(), stands, sight(stands), both, both, both)
    assert due == [*[Due.NOTHING] * 2, Due.IMAGES, Due.NOTHING]
    assert looks(memory, both.state, both)[1] == [Due.NOTHING]


def test_images_and_decisions_that_changed_together_are_one_change():
    both = State("b", "other")
    assert looks(Memory(), A, sight(both), sight(both), sight(both))[1] == [Due.NOTHING, Due.IMAGES, Due.NOTHING]


def test_what_the_dataset_stands_for_is_never_due():
    assert looks(Memory(), A, *[sight(A)] * 4)[1] == [Due.NOTHING] * 4


def test_half_copied_files_wait():
    growing = [sight(State(name, "d")) for name in "abcd"]
    assert looks(Memory(), A, *growing, growing[-1])[1] == [*[Due.NOTHING] * 4, Due.IMAGES]


def test_a_file_that_was_just_written_waits():
    fresh = sight(B, fresh=True)
    assert looks(Memory(), A, fresh, fresh, sight(B))[1] == [Due.NOTHING, Due.NOTHING, Due.IMAGES]


def test_files_that_never_stop_coming_are_not_waited_for_for_ever():
    coming = [sight(State(str(number), "d"), fresh=True) for number in range(60)]
    _, due = looks(Memory(), A, *coming)
    assert due.index(Due.IMAGES) == PATIENCE_SECONDS // 30
    assert due.count(Due.IMAGES) == 2  # the next after as long again


def test_a_change_waits_for_the_run_that_may_cover_it():
    memory, due = looks(Memory(), A, *[sight(B)] * 3, busy=lambda: "a run goes on")
    assert due == [Due.NOTHING] * 3
    assert looks(memory, B, sight(B))[1] == [Due.NOTHING]  # it did
    assert looks(memory, A, sight(B))[1] == [Due.IMAGES]  # it did not


def test_a_run_that_failed_is_not_asked_for_again_until_something_changes():
    memory, due = looks(Memory(), A, *[sight(B)] * 10)
    assert due.count(Due.IMAGES) == 1
    mended = State("b", "mended")
    assert looks(memory, A, sight(mended), sight(mended))[1][-1] == Due.IMAGES


def test_a_run_that_was_asked_for_has_failed_only_once_it_has_ended():
    memory, _ = looks(Memory(), A, *[sight(B)] * 2)
    assert judge(memory, sight(B), A, 2000.0, lambda: "it goes on", failed)[1:] == (Due.NOTHING, "it goes on")
    assert "did not get to its end" in judge(memory, sight(B), A, 2000.0, free, failed)[2]


@pytest.mark.parametrize(
    ("change", "what"),
    [
        (B, Due.IMAGES),
        (State("a", "other"), Due.DECISIONS),
        (State("a", "d", "new"), Due.SETTINGS),
    ],
)
def test_a_run_that_was_interrupted_is_asked_for_again_a_few_times(change, what):
    stands = State("a", "d", "old" if change.settings else "")
    memory, _ = looks(Memory(), stands, sight(stands))
    keys = []

    def interrupted(key):
        keys.append(key)
        return True

    memory, due = looks(memory, stands, *[sight(change)] * 3, busy=lambda: "it goes on", interrupted=interrupted)
    assert (due, keys) == ([Due.NOTHING] * 3, [])
    memory, due = looks(memory, stands, *[sight(change)] * 10, interrupted=interrupted)
    assert [one for one in due if one is not Due.NOTHING] == [what] * 4
    assert len(set(keys)) == 3
    assert memory.key not in keys
    later = replace(change, decisions="later")
    assert looks(memory, stands, *[sight(later)] * 3, interrupted=interrupted)[1].count(Due.NOTHING) == 1


def test_a_cursor_of_before_interrupted_runs_were_asked_for_again_asks_for_none():
    memory, _ = looks(Memory(), A, *[sight(B)] * 2)
    said = {name: value for name, value in json.loads(memory.text).items() if name not in ("due", "again")}
    assert looks(Memory.of(json.dumps(said)), A, sight(B), interrupted=lambda _: True)[1] == [Due.NOTHING]


def test_a_change_that_is_taken_back_after_a_run_is_a_change():
    memory, _ = looks(Memory(), A, sight(B), sight(B))
    memory, due = looks(memory, B, sight(A), sight(A), sight(A))
    assert due == [Due.NOTHING, Due.IMAGES, Due.NOTHING]
    assert looks(memory, A, sight(A))[1] == [Due.NOTHING]


def test_a_run_that_covered_something_later_is_no_answer_to_what_came_after():
    memory, _ = looks(Memory(), State(), sight(A), sight(A))  # asked for A; the run found B; then A came back
    assert looks(memory, B, sight(A), sight(A))[1] == [Due.IMAGES, Due.NOTHING]


def test_an_empty_folder_is_nothing_to_begin_with_and_a_change_later():
    empty = sight(State("none", "d"), files=0)
    assert looks(Memory(), State(), empty, empty)[1] == [Due.NOTHING] * 2
    assert looks(Memory(), A, empty, empty)[1] == [Due.NOTHING, Due.IMAGES]


def test_two_runs_never_have_the_same_key():
    memory, keys, stands = Memory(), set(), State()
    for name in "abababab":
        memory, due = looks(memory, stands, *[sight(State(name, "d"))] * 2)
        assert due[-1] == Due.IMAGES
        keys.add(memory.key)
        stands = State(name, "d")
    assert len(keys) == 8
    assert Memory().key != Memory().key  # the cursor was thrown away


def test_a_large_folder_is_looked_at_less_often_while_nothing_changes():
    memory, _ = looks(Memory(), A, sight(A, seconds=10))
    assert memory.rests(1100)
    assert not memory.rests(1201)
    changed, _ = looks(memory, A, sight(B, seconds=10), start=1300)
    assert not changed.rests(1301)


@given(st.text() | st.sampled_from(["null", "[]", "{}", '{"seen": 3}', '{"other": 1}']))
def test_a_cursor_that_cannot_be_read_is_a_new_one(text):
    assert Memory.of(text).seen is None


@given(st.lists(st.tuples(st.sampled_from("abc"), st.booleans(), st.sampled_from(["ok", "fails", "by hand", "-"]))))
def test_whatever_comes_every_change_is_covered_once_and_none_twice(days):
    """Each day: the folder changes (or not), is looked at until nothing more is due, runs end well or not."""
    memory, stands, now = Memory(), State(), 1000.0
    for name, _, how in days:
        state = State(name, "d")
        if how == "by hand":
            stands = state
        needed = state != stands
        asked = 0
        for _ in range(4):
            memory = Memory.of(memory.text)
            memory, due, _ = judge(memory, sight(state), stands, now, free, failed)
            now += 30
            if due is not Due.NOTHING:
                asked += 1
                stands = state if how != "fails" else stands
        assert asked <= 1
        assert asked == 1 or not needed or memory.asked == state  # one that failed before is not tried again


def test_a_look_tells_new_changed_and_vanished_files_and_edited_decisions(tmp_path):
    chain = chain_in(tmp_path)
    files = put_photos(chain.images, range(3))
    seen = [look(chain.project).state]
    put_photos(chain.images, [3])
    seen.append(look(chain.project).state)
    files[0].write_bytes(files[1].read_bytes() + b" ")
    seen.append(look(chain.project).state)
    files[2].unlink()
    seen.append(look(chain.project).state)
    chain.decide("000.png,keep,")
    seen.append(look(chain.project).state)
    assert len(set(seen)) == 5
    assert seen[-1].images == seen[-2].images
    assert look(chain.project).state == seen[-1]


def test_a_look_knows_files_of_the_last_seconds_and_clocks_that_are_wrong(tmp_path):
    chain = chain_in(tmp_path)
    files = put_photos(chain.images, range(2))
    assert look(chain.project).fresh
    for file in files:
        old(file)
    assert not look(chain.project).fresh
    old(files[0], -3600)
    assert not look(chain.project).fresh
    chain.decide("000.png,keep,")
    assert look(chain.project).fresh


def test_a_folder_that_cannot_be_listed_is_a_state_of_its_own_with_its_reason(tmp_path):
    project = project_of(tmp_path / "nowhere", tmp_path / "store")
    seen = look(project)
    assert "does not exist" in seen.problem
    memory, due = looks(Memory(), State(), *[seen] * 3)
    assert due == [Due.NOTHING, Due.IMAGES, Due.NOTHING]
    assert looks(memory, A, sight(A))[1] == [Due.NOTHING]  # it is back as it was


def test_the_memory_stays_small(tmp_path):
    memory, _ = looks(Memory(), A, *[sight(State(*[word * 16] * 3), files=10**6) for word in "fed"])
    assert len(memory.text) < 500


# ---- what the dataset stands for


@pytest.fixture
def ran_store(ran):
    return ran.store


def carry_through(store, run_id, *, scan=True, decisions="d", dataset=True, settings=None):
    if scan:
        covered_module.note_scan(store, run_id)
    if decisions:
        covered_module.note_decisions(store, run_id, decisions)
    if dataset:
        covered_module.note_dataset(store, run_id, settings or {})


def test_a_whole_run_covers_the_listing_that_it_scanned(ran):
    carry_through(ran.store, "run")
    assert covered(ran.store) == State(ran.project.images.listing().version, "d")


def test_a_run_of_the_last_two_steps_covers_the_decisions_alone(ran_store):
    carry_through(ran_store, "run")
    before = covered(ran_store)
    carry_through(ran_store, "later", scan=False, decisions="new")
    assert covered(ran_store) == State(before.images, "new")


def test_a_run_that_stops_half_way_covers_nothing(ran_store):
    carry_through(ran_store, "run", dataset=False)
    assert covered(ran_store) == State()
    covered_module.note_dataset(ran_store, "another", {})
    assert covered(ran_store) == State()


def test_the_settings_of_each_step_are_covered_by_the_last_run_of_that_step(ran):
    before = configured(ran.project, Thresholds())
    carry_through(ran.store, "run", settings=before)
    now = configured(ran.project, Thresholds(0.0001, 0.02))
    carry_through(ran.store, "later", scan=False, settings={step: now[step] for step in STEPS[4:]})
    assert steps_below(now, covered_settings(ran.store)) == STEPS[3:]
    carry_through(ran.store, "last", scan=False, decisions=None, settings={step: now[step] for step in STEPS[3:]})
    assert steps_below(now, covered_settings(ran.store)) == ()
    assert covered(ran.store) == State(ran.project.images.listing().version, "d", version_of_settings(now))


def test_settings_of_some_steps_alone_are_not_what_the_dataset_stands_for(ran):
    settings = configured(ran.project, Thresholds())
    carry_through(ran.store, "run", scan=False, settings={step: settings[step] for step in STEPS[3:]})
    assert covered(ran.store).settings == ""
    assert steps_below(settings, covered_settings(ran.store)) == STEPS


def test_a_store_that_was_never_written_to_covers_nothing(tmp_path):
    assert covered(Store(tmp_path)) == State()
    (tmp_path / "covered.json").write_text("[")
    assert covered(Store(tmp_path)) == State()
