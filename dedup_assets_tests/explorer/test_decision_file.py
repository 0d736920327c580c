"""How decisions.csv is written from the Explorer, and put back."""

import subprocess
import sys

import pytest

from dedup_assets.core.errors import DecisionError
from dedup_assets.core.exploring.decision_file import DecisionFile, NewDecision
from dedup_assets.core.scoring.decisions import read_decisions
from dedup_assets_tests.explorer.support import record

HANDWRITTEN = 'decision,image_id,mood\r\nkeep,train/6.png,sunny\r\n\r\nKeep,"odd, name.png","two\r\nlines"\r\n'


def test_lines_and_columns_written_by_hand_keep_every_byte(tmp_path):
    path = tmp_path / "decisions.csv"
    path.write_bytes(HANDWRITTEN.encode())
    record(path, ("a.png", "remove", "b.png", "ff"))
    header, rest = path.read_bytes().decode().split("\r\n", 1)
    assert header == "decision,image_id,mood,duplicate_of,content_hash,reviewer,decided_at,note"
    assert rest.startswith(HANDWRITTEN.split("\r\n", 1)[1])
    assert rest.endswith("remove,a.png,,b.png,ff,ann,2026-01-02T03:04:05Z,\r\n")
    assert [decision.image_id for decision in read_decisions(path)] == ["train/6.png", "odd, name.png", "a.png"]


def test_undo_gives_the_file_back_as_it_was(tmp_path):
    path = tmp_path / "decisions.csv"
    record(path, ("a.png", "keep"))
    before = path.read_bytes()
    record(path, ("a.png", "remove", "b.png"), ("c.png", "discard"))
    assert DecisionFile(path).undo("ann") == ("a.png", "c.png")
    assert path.read_bytes() == before


def test_undo_takes_back_ones_own_changes_only(tmp_path):
    path = tmp_path / "decisions.csv"
    record(path, ("a.png", "keep"), reviewer="ann")
    record(path, ("b.png", "keep"), reviewer="bob")
    assert DecisionFile(path).undo("ann") == ("a.png",)
    assert [decision.image_id for decision in read_decisions(path)] == ["b.png"]
    assert DecisionFile(path).undo("ann") == ()


def test_what_was_changed_by_hand_since_is_not_undone(tmp_path):
    path = tmp_path / "decisions.csv"
    record(path, ("a.png", "keep"))
    path.write_text(path.read_text().replace("keep", "discard"))
    with pytest.raises(DecisionError, match="changed since"):
        DecisionFile(path).undo("ann")
    assert "discard" in path.read_text()


def test_a_new_word_about_an_image_replaces_the_old_one(tmp_path):
    path = tmp_path / "decisions.csv"
    record(path, ("a.png", "remove", "b.png"))
    record(path, ("a.png", "keep"))
    assert [(d.image_id, d.decision) for d in read_decisions(path)] == [("a.png", "keep")]


def test_a_word_about_a_pair_leaves_other_pairs_alone(tmp_path):
    path = tmp_path / "decisions.csv"
    record(path, ("a.png", "not_duplicate", "b.png"), ("a.png", "not_duplicate", "c.png"))
    record(path, ("b.png", "remove", "a.png"))
    said = [(d.image_id, d.decision, d.duplicate_of) for d in read_decisions(path)]
    assert said == [("a.png", "not_duplicate", "c.png"), ("b.png", "remove", "a.png")]


def test_a_refused_change_leaves_the_file_untouched(tmp_path):
    path = tmp_path / "decisions.csv"
    record(path, ("a.png", "keep"))
    before = path.read_bytes()

    def refuse(partial, images):
        assert images == ["b.png"]
        assert b"b.png" in partial.read_bytes()
        raise DecisionError("no")

    with pytest.raises(DecisionError):
        DecisionFile(path).record([NewDecision("b.png", "keep")], "ann", "", refuse)
    assert path.read_bytes() == before
    assert not list(tmp_path.glob(".*.partial"))


def test_two_processes_that_write_at_once_lose_nothing(tmp_path):
    path = tmp_path / "decisions.csv"
    code = (
        "import sys; from pathlib import Path\n"
        "from dedup_assets.core.exploring.decision_file import DecisionFile, NewDecision\n"
        "for n in range(30): DecisionFile(Path(sys.argv[1])).record("
        "[NewDecision(f'{sys.argv[2]}{n}.png', 'keep')], sys.argv[2], '')"
    )
    both = [subprocess.Popen([sys.executable, "-c", code, str(path), name]) for name in ("ann", "bob")]
    assert [process.wait() for process in both] == [0, 0]
    assert len(read_decisions(path)) == 60
