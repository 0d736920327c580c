"""The audit record: rows are only added and closed, never lost, whatever comes and goes."""

from datetime import datetime, timedelta

import pandas as pd
import pytest

from dedup_assets.core.lineage.audit import removal_rows, removals_after
from dedup_assets.core.run import Run
from dedup_assets.core.scoring.collection import IDENTICAL, REVIEWED, Removal
from dedup_assets.core.settings import Thresholds
from dedup_assets.core.storage import schema
from dedup_assets.core.storage.store import Store

START = datetime(2024, 5, 1, 12)


class Record:
    """The record of a store, changed by one run after the other."""

    def __init__(self, folder):
        self.store = Store(folder)
        self.runs = 0

    def run(self, *removals, images="abc", contents=None, thresholds=None):
        """One more run in which `removals` are in force; what changed."""
        self.runs += 1
        run = Run(run_id=f"run-{self.runs}", now=START + timedelta(days=self.runs))
        contents = contents or {}
        present = pd.DataFrame(
            {"image_id": list(images), "file_hash": [contents.get(image, f"#{image}") for image in images]}
        )
        by_image = {removal.image_id: removal for removal in removals}
        new = removal_rows(by_image, present, thresholds or Thresholds(), "embedder-1", run)
        rows, change = removals_after(self.rows(), new, present, run)
        self.store.replace({schema.REMOVALS: rows})
        return change

    def rows(self):
        return self.store.read(schema.REMOVALS)

    def states(self):
        """(image, keeper, run that removed it, state) of each row."""
        return [
            (row.image_id, row.keeper_id, row.run_id, self._state(row)) for row in self.rows().itertuples(index=False)
        ]

    @staticmethod
    def _state(row):
        if not pd.isna(row.restored_at):
            return "restored"
        return "in force" if pd.isna(row.superseded_at) else "superseded"


@pytest.fixture
def record(tmp_path):
    return Record(tmp_path / "store")


def identical(image, keeper, **more):
    return Removal(image, keeper, IDENTICAL, 0.0, **more)


B_OF_A, C_OF_A, B_OF_C = identical("b", "a"), identical("c", "a"), identical("b", "c")


def test_a_removal_is_recorded_with_its_grounds(record):
    removal = Removal("b", "a", REVIEWED, 0.02, "larger file", "Ann", "2024-04-30", "blurred")
    record.run(removal, thresholds=Thresholds(0.001, 0.07))
    row = record.rows().iloc[0]
    assert (row["image_id"], row["keeper_id"], row["reason"], row["distance"]) == ("b", "a", "reviewed", 0.02)
    assert (row["duplicate_threshold"], row["near_duplicate_threshold"]) == (0.001, 0.07)
    assert (row["embedder"], row["run_id"], row["content_hash"]) == ("embedder-1", "run-1", "#b")
    assert (row["decided_by"], row["note"], row["keeper_reason"]) == ("Ann", "blurred", "larger file")
    assert row["decided_at"] == pd.Timestamp("2024-04-30")
    assert row["removed_at"] == pd.Timestamp(START + timedelta(days=1))


@pytest.mark.parametrize(
    ("written", "understood"),
    [
        ("2024-04-30T10:00:00Z", "2024-04-30T10:00:00"),
        ("2024-04-30T12:00:00+02:00", "2024-04-30T10:00:00"),
        ("", None),
        ("last spring", None),
        ("99999-01-01", None),
        ("NaT", None),
    ],
)
def test_the_time_of_a_decision_is_utc_and_now_where_it_cannot_be_understood(record, written, understood):
    record.run(identical("b", "a", decided_at=written))
    row = record.rows().iloc[0]
    assert row["decided_at"] == (row["removed_at"] if understood is None else pd.Timestamp(understood))


def test_rows_are_sorted_by_image(record):
    record.run(C_OF_A, B_OF_A)
    assert [row[0] for row in record.states()] == ["b", "c"]


def test_what_stays_removed_keeps_its_time_and_run(record):
    record.run(B_OF_A)
    change = record.run(B_OF_A, C_OF_A)
    assert record.states() == [("b", "a", "run-1", "in force"), ("c", "a", "run-2", "in force")]
    assert (change.added, change.restored) == (1, 0)


def test_another_threshold_alone_changes_no_row(record):
    record.run(B_OF_A)
    record.run(B_OF_A, thresholds=Thresholds(0.01, 0.2))
    assert record.rows()["duplicate_threshold"].tolist() == [0.0001]


def test_an_image_that_is_no_longer_removed_is_restored(record):
    record.run(B_OF_A)
    change = record.run()
    assert record.states() == [("b", "a", "run-1", "restored")]
    assert record.rows()["restored_at"].iloc[0] == pd.Timestamp(START + timedelta(days=2))
    assert (change.added, change.restored) == (0, 1)


def test_an_image_removed_again_after_it_was_restored_has_two_rows(record):
    record.run(B_OF_A)
    record.run()
    change = record.run(B_OF_A)
    assert record.states() == [("b", "a", "run-1", "restored"), ("b", "a", "run-3", "in force")]
    assert (change.added, change.restored) == (1, 0)


def test_removal_on_other_grounds_supersedes_the_row(record):
    record.run(B_OF_A)
    change = record.run(B_OF_C)
    assert record.states() == [("b", "a", "run-1", "superseded"), ("b", "c", "run-2", "in force")]
    assert (change.added, change.restored) == (0, 0)


def test_another_reason_why_the_same_image_stays_supersedes_the_row(record):
    record.run(identical("b", "a", keeper_reason="first by name"))
    change = record.run(identical("b", "a", keeper_reason="it is protected (reference folder gold)"))
    record.run(identical("b", "a", keeper_reason="it is protected (reference folder gold)"))
    assert record.states() == [("b", "a", "run-1", "superseded"), ("b", "a", "run-2", "in force")]
    assert record.rows()["keeper_reason"].tolist() == ["first by name", "it is protected (reference folder gold)"]
    assert (change.added, change.restored) == (0, 0)


def test_a_row_of_an_older_release_that_gives_no_reason_stays(record):
    record.run(B_OF_A)
    record.run(identical("b", "a", keeper_reason="first by name"))
    assert record.states() == [("b", "a", "run-1", "in force")]


def test_a_person_who_confirms_the_rule_supersedes_it(record):
    record.run(B_OF_A)
    record.run(identical("b", "a", decided_by="Ann"))
    assert record.rows()["decided_by"].tolist() == ["rule", "Ann"]


def test_an_image_that_left_the_folder_keeps_its_row_in_force(record):
    record.run(B_OF_A)
    record.run(images="ac")
    assert record.states() == [("b", "a", "run-1", "in force")]


def test_an_image_that_came_back_unchanged_goes_on_with_its_row(record):
    record.run(B_OF_A)
    record.run(images="ac")
    record.run(B_OF_A)
    assert record.states() == [("b", "a", "run-1", "in force")]


def test_another_picture_under_a_removed_name_is_another_removal(record):
    record.run(B_OF_A)
    record.run(B_OF_A, contents={"b": "#other"})
    assert record.states() == [("b", "a", "run-1", "superseded"), ("b", "a", "run-2", "in force")]


def test_another_picture_under_a_removed_name_that_stays_restores_it(record):
    record.run(B_OF_A)
    record.run(contents={"b": "#other"})
    assert record.states() == [("b", "a", "run-1", "restored")]


def test_a_discarded_image_has_no_keeper(record):
    record.run(Removal("b", None, "discarded", None))
    record.run(Removal("b", None, "discarded", None))
    assert [(image, run, state) for image, _, run, state in record.states()] == [("b", "run-1", "in force")]
    assert record.rows()["keeper_id"].isna().all()


def test_no_row_is_ever_lost(record):
    sizes = []
    for removals in ([B_OF_A, C_OF_A], [B_OF_C], [], [C_OF_A], [B_OF_A], []):
        record.run(*removals)
        sizes.append(len(record.rows()))
    assert sizes == [2, 3, 3, 4, 5, 5]
    assert [state for *_, state in record.states()] == ["superseded", "restored", "restored", "restored", "restored"]


def test_one_row_at_most_is_in_force_for_an_image(record):
    for removals in ([B_OF_A], [B_OF_C], [B_OF_A], [B_OF_C], [], [B_OF_C]):
        record.run(*removals)
        in_force = [row[0] for row in record.states() if row[-1] == "in force"]
        assert len(in_force) == len(set(in_force)) == len(removals)
