"""The reviewed file: how it is read, how its errors are named, and how decisions follow the pictures."""

import pytest

from dedup_assets.core.errors import DecisionError
from dedup_assets.core.exploring.decision_file import DecisionFile, NewDecision
from dedup_assets.core.scoring.decisions import Library, bind, file_version, read_decisions

HEADER = "image_id,decision,duplicate_of,content_hash,reviewer,decided_at,note\n"


@pytest.fixture
def path(tmp_path):
    return tmp_path / "decisions.csv"


@pytest.fixture
def read(path):
    """The decisions of a file with this text."""

    def write_and_read(text, encoding="utf-8"):
        path.write_bytes(text.encode(encoding))
        return read_decisions(path)

    return write_and_read


def library(unreadable=(), **hash_of):
    """Images by name without suffix, `a="hash"`; `unreadable` ones are known but show nothing."""
    found = {f"{name}.jpg": content for name, content in hash_of.items()}
    return Library(found, frozenset([*found, *unreadable]))


@pytest.fixture
def bound(path, read):
    def read_and_bind(text, images, remembered=None):
        return bind(path, read(text), images, remembered or {})

    return read_and_bind


def problem(caught):
    text = str(caught.value)
    assert "\n" not in text
    assert text.endswith("Nothing was changed")
    return text


# ---- reading


def test_two_columns_are_enough(read):
    (decision,) = read("image_id,decision\na.jpg,keep\n")
    assert (decision.line, decision.image_id, decision.decision) == (2, "a.jpg", "keep")
    assert decision.duplicate_of == decision.content_hash == decision.reviewer == decision.note == ""


def test_every_column_is_read(read):
    (decision,) = read(HEADER + "a.jpg,remove,b.jpg,abc,Ann,2024-05-01,too dark\n")
    assert decision.duplicate_of == "b.jpg"
    assert (decision.content_hash, decision.reviewer) == ("abc", "Ann")
    assert (decision.decided_at, decision.note) == ("2024-05-01", "too dark")


def test_columns_may_come_in_any_order_beside_others(read):
    (decision,) = read("colour,decision, image_id \nred,discard,a.jpg\n")
    assert (decision.image_id, decision.decision) == ("a.jpg", "discard")


def test_no_file_holds_no_decisions(path):
    assert read_decisions(path) == []


@pytest.mark.parametrize("text", ["", "\n", HEADER, HEADER + "\n\n", HEADER + ",,,\n"])
def test_a_file_without_rows_holds_no_decisions(read, text):
    assert read(text) == []


def test_a_byte_order_mark_is_no_part_of_the_first_column(read):
    assert read("image_id,decision\na.jpg,keep\n", "utf-8-sig")[0].image_id == "a.jpg"


@pytest.mark.parametrize("newline", ["\r\n", "\r", "\n"])
def test_any_line_ending_is_read(read, newline):
    decisions = read(f"image_id,decision{newline}a.jpg,keep{newline}b.jpg,keep")
    assert [(decision.line, decision.image_id) for decision in decisions] == [(2, "a.jpg"), (3, "b.jpg")]


def test_quoted_commas_quotes_and_newlines_belong_to_the_cell(read):
    decisions = read(HEADER + '"a, b.jpg",remove,"c ""d"".jpg",,,,"first\nsecond"\nz.jpg,keep\n')
    assert (decisions[0].image_id, decisions[0].duplicate_of) == ("a, b.jpg", 'c "d".jpg')
    assert decisions[0].note == "first\nsecond"
    assert decisions[1].line == 4


def test_blank_lines_count_as_lines(read):
    assert [decision.line for decision in read("image_id,decision\n\na.jpg,keep\n,\n\nb.jpg,keep\n")] == [3, 6]


def test_spaces_around_cells_and_capitals_in_words_do_not_matter(bound):
    (entry,) = bound("image_id,decision,duplicate_of\n a.jpg , REMOVE, b.jpg\n", library(a="1", b="2"))
    assert (entry.decision.image_id, entry.decision.decision, entry.duplicate_of) == ("a.jpg", "remove", "b.jpg")
    assert entry.image_ids == ("a.jpg",)


def test_a_name_that_begins_with_a_space_is_meant_where_there_is_such_an_image(bound):
    both = Library({"a.jpg": "1", " a.jpg": "2"}, frozenset({"a.jpg", " a.jpg"}))
    (entry,) = bound('image_id,decision\n" a.jpg",discard\n', both)
    assert entry.image_ids == (" a.jpg",)
    gone = bound('image_id,decision\n" a.jpg",discard\n', library(a="1"), {(" a.jpg", "discard", ""): ("2", "")})
    assert gone[0].image_ids == (), "the picture that was discarded is gone; the other was never decided on"


def test_names_may_hold_any_letters(read):
    assert read("image_id,decision\nspäß/✓.jpg,keep\n")[0].image_id == "späß/✓.jpg"


# ---- errors of the text


@pytest.mark.parametrize("missing", ["image_id", "decision"])
def test_a_missing_column_is_named(read, missing):
    with pytest.raises(DecisionError, match=f"no column '{missing}'"):
        read(HEADER.replace(missing + ",", "") + "x,y\n")


@pytest.mark.parametrize("mark", [";", "\t"])
def test_what_spreadsheets_write_in_place_of_commas_is_read(read, mark):
    rows = ["\ufeffimage_id", "decision", "duplicate_of"], ["a,b.jpg", "remove", "c.jpg"]
    (decision,) = read("\r\n".join(mark.join(row) for row in rows))
    assert (decision.image_id, decision.decision, decision.duplicate_of) == ("a,b.jpg", "remove", "c.jpg")


def test_a_file_with_semicolons_is_written_on_with_semicolons(path, read):
    read("Image_ID;Decision\r\na,b.jpg;keep\r\n")
    DecisionFile(path).record([NewDecision("c.jpg", "remove", "a,b.jpg")], "Ann", "")
    assert [(one.image_id, one.duplicate_of) for one in read_decisions(path)] == [("a,b.jpg", ""), ("c.jpg", "a,b.jpg")]
    assert path.read_bytes().startswith(b"Image_ID;Decision;duplicate_of;content_hash;reviewer;decided_at;note\r\n")


ABOVE = ["sep=;\r\n", '"SEP=;"\r\n', "sep=;;;;\r\n", "\r\n", "\ufeffsep=;\r\n;;\r\n"]


@pytest.mark.parametrize("above", ABOVE)
def test_what_spreadsheets_put_above_the_columns_is_passed_over_and_counted(read, above):
    (decision,) = read(f"{above}image_id;decision\r\na,b.jpg;keep\r\n")
    lines = above.count("\n")
    assert (decision.image_id, decision.decision, decision.line) == ("a,b.jpg", "keep", lines + 2)
    with pytest.raises(DecisionError, match=f"line {lines + 3}: unknown decision 'destroy'"):
        read(f"{above}image_id;decision\r\na;keep\r\nb;destroy\r\n")


def test_the_separator_that_a_file_names_holds_whatever_else_is_in_its_columns(read):
    assert read("sep=|\nimage_id|decision|a,b;c\na;1,2.jpg|keep|\n")[0].image_id == "a;1,2.jpg"


@pytest.mark.parametrize("above", ABOVE)
def test_a_file_is_written_on_below_what_spreadsheets_put_above_the_columns(path, read, above):
    read(f"{above}image_id;decision\r\na,b.jpg;keep\r\n")
    DecisionFile(path).record([NewDecision("c.jpg", "remove", "a,b.jpg")], "Ann", "")
    assert [one.image_id for one in read_decisions(path)] == ["a,b.jpg", "c.jpg"]
    assert path.read_bytes().decode().startswith(f"{above}image_id;decision;duplicate_of;")
    assert DecisionFile(path).undo("Ann") == ("c.jpg",)
    assert [one.image_id for one in read_decisions(path)] == ["a,b.jpg"]


@pytest.mark.parametrize("nothing", ["", "\ufeff", "\n", "sep=;\n"])
def test_a_file_with_nothing_in_it_can_be_written_to(path, read, nothing):
    assert read(nothing) == []
    DecisionFile(path).record([NewDecision("a.jpg", "keep")], "Ann", "")
    assert [one.image_id for one in read_decisions(path)] == ["a.jpg"]


def test_capitals_in_the_names_of_columns_do_not_matter(read):
    assert read("Image_ID,DECISION\na.jpg,keep\n")[0].image_id == "a.jpg"


@pytest.mark.parametrize("column", ["image_id", "decision"])
def test_two_columns_of_one_name_are_refused(read, column):
    with pytest.raises(DecisionError, match=f"two columns '{column}'"):
        read(f"image_id,decision,{column}\na.jpg,keep,remove\n")


def test_a_file_without_a_header_is_refused(read):
    with pytest.raises(DecisionError, match="its first line must name the columns"):
        read("a.jpg,keep\n")


def test_an_unknown_word_is_named_with_its_line_and_the_known_ones(read):
    with pytest.raises(DecisionError) as caught:
        read("image_id,decision\na.jpg,keep\nb.jpg,delete\n")
    assert "decisions.csv line 3: unknown decision 'delete'; it may be keep, remove, discard, not_duplicate" in problem(
        caught
    )


def test_an_empty_image_id_is_named_with_its_line(read):
    with pytest.raises(DecisionError, match="line 3: the image_id is empty"):
        read("image_id,decision\na.jpg,keep\n,remove\n")


def test_a_duplicate_of_itself_is_refused(read):
    with pytest.raises(DecisionError, match=r"line 2: 'a.jpg' is called a duplicate of itself"):
        read(HEADER + "a.jpg,remove,a.jpg\n")


def test_every_bad_line_is_named_and_many_are_counted(read):
    with pytest.raises(DecisionError) as caught:
        read("image_id,decision\n" + "a.jpg,what\n" * 14)
    assert "line 2: " in problem(caught)
    assert "line 11: " in problem(caught)
    assert "line 12: " not in problem(caught)
    assert "and 4 more" in problem(caught)


def test_an_unclosed_quote_is_named_with_its_line(read):
    with pytest.raises(DecisionError, match=r"line [23]: .*mend the quotes"):
        read('image_id,decision\n"a.jpg,keep\n')


def test_a_file_that_is_not_utf8_is_refused(read):
    with pytest.raises(DecisionError, match="is not UTF-8 text"):
        read("image_id,decision\ncafé.jpg,keep\n", "latin-1")


def test_a_file_that_cannot_be_read_is_named(path, read, unprivileged):
    read(HEADER)
    path.chmod(0)
    with unprivileged():
        with pytest.raises(DecisionError, match=r"cannot read '.*decisions.csv': Permission denied"):
            read_decisions(path)
        with pytest.raises(DecisionError, match=r"cannot read '.*decisions.csv': Permission denied"):
            file_version(path)


def test_a_folder_in_place_of_the_file_is_refused(path):
    path.mkdir()
    with pytest.raises(DecisionError, match="cannot read"):
        read_decisions(path)


def test_the_version_changes_with_the_text(path, read):
    assert file_version(path) == "none"
    read(HEADER)
    before = file_version(path)
    assert file_version(path) == before
    read(HEADER + "a.jpg,keep\n")
    assert file_version(path) != before


# ---- binding to pictures


def test_a_decision_binds_to_the_image_it_names(bound):
    (entry,) = bound("image_id,decision\na.jpg,keep\n", library(a="1", b="1"))
    assert (entry.image_ids, entry.content_hash, entry.duplicate_of) == (("a.jpg",), "1", None)


def test_a_named_partner_is_bound_too(bound):
    (entry,) = bound(HEADER + "a.jpg,remove,b.jpg\n", library(a="1", b="2"))
    assert (entry.duplicate_of, entry.duplicate_of_hash) == ("b.jpg", "2")


def test_a_decision_with_a_hash_follows_a_renamed_picture(bound):
    (entry,) = bound(HEADER + "old.jpg,keep,,1\n", library(new="1"))
    assert entry.image_ids == ("new.jpg",)


def test_a_decision_applies_to_all_that_show_the_content_where_its_path_is_gone(bound):
    (entry,) = bound(HEADER + "old.jpg,discard,,1\n", library(b="1", a="1", c="2"))
    assert entry.image_ids == ("a.jpg", "b.jpg")


def test_a_decision_does_not_pass_to_another_picture_under_the_old_name(bound):
    (entry,) = bound(HEADER + "a.jpg,discard,,1\n", library(a="2", moved="1"))
    assert entry.image_ids == ("moved.jpg",)


def test_a_decision_without_a_hash_is_remembered_with_its_content(bound):
    remembered = {("a.jpg", "remove", "b.jpg"): ("1", "2")}
    (entry,) = bound(HEADER + "a.jpg,remove,b.jpg\n", library(x="1", y="2"), remembered)
    assert (entry.image_ids, entry.duplicate_of) == (("x.jpg",), "y.jpg")


def test_a_picture_that_is_gone_leaves_a_decision_without_images(bound):
    (entry,) = bound(HEADER + "a.jpg,keep,,1\n", library(b="2"))
    assert (entry.image_ids, entry.content_hash) == ((), "1")


def test_an_unknown_image_is_named_with_its_line(bound):
    with pytest.raises(DecisionError) as caught:
        bound("image_id,decision\na.jpg,keep\nb.jpg,keep\n", library(a="1"))
    assert "line 3: unknown image 'b.jpg'; it is not under the image folder" in problem(caught)


def test_an_unknown_partner_is_named_with_its_line(bound):
    with pytest.raises(DecisionError, match=r"line 2: unknown image 'b.jpg'"):
        bound(HEADER + "a.jpg,remove,b.jpg\n", library(a="1"))


@pytest.mark.parametrize("said", ["./a.jpg", "/data/photos/a.jpg", "C:\\photos\\a.jpg", "A.JPG"])
def test_an_image_called_by_another_path_is_told_by_its_name(bound, said):
    with pytest.raises(DecisionError) as caught:
        bound(f"image_id,decision\n{said},keep\n", library(a="1", b="2"))
    assert f"unknown image '{said}'; 'a.jpg' is what it is called from the image folder on" in problem(caught)


def test_nothing_can_be_decided_about_an_unreadable_image(bound):
    with pytest.raises(DecisionError, match=r"line 2: 'b.jpg' cannot be read"):
        bound("image_id,decision\nb.jpg,keep\n", library(a="1", unreadable=["b.jpg"]))


# ---- contradictions


def contradiction(bound, *rows, images=None):
    with pytest.raises(DecisionError) as caught:
        bound(HEADER + "".join(row + "\n" for row in rows), images or library(a="1", b="2", c="3"))
    return problem(caught)


def test_two_words_about_one_image_are_named_with_both_lines(bound):
    said = contradiction(bound, "a.jpg,keep", "b.jpg,keep", "a.jpg,discard")
    assert "line 4: 'a.jpg' is to 'discard', but line 2 says 'keep'" in said


def test_two_partners_of_one_removal_are_a_contradiction(bound):
    said = contradiction(bound, "a.jpg,remove,b.jpg", "a.jpg,remove,c.jpg")
    assert "line 3: 'a.jpg' is to 'remove'" in said
    assert "line 2 says 'remove' as a duplicate of 'b.jpg'" in said


def test_a_renamed_image_decided_about_twice_is_a_contradiction(bound):
    said = contradiction(bound, "old.jpg,keep,,1", "new.jpg,discard", images=library(new="1"))
    assert "line 3: 'new.jpg' is to 'discard', but line 2 says 'keep'" in said


@pytest.mark.parametrize("apart", ["a.jpg,not_duplicate,b.jpg", "b.jpg,not_duplicate,a.jpg", "a.jpg,not_duplicate"])
def test_a_removal_of_what_is_said_to_be_no_duplicate_is_a_contradiction(bound, apart):
    said = contradiction(bound, "a.jpg,remove,b.jpg", apart)
    assert "line 2: 'a.jpg' is removed as a duplicate of 'b.jpg', but line 3 says" in said


def test_a_removal_without_partner_of_what_is_no_duplicate_of_any_is_a_contradiction(bound):
    assert "line 2: 'a.jpg' is removed, but line 3 says" in contradiction(bound, "a.jpg,remove", "a.jpg,not_duplicate")


@pytest.mark.parametrize(
    "rows",
    [
        ("a.jpg,keep", "a.jpg,keep"),
        ("a.jpg,keep", "a.jpg,not_duplicate,b.jpg"),
        ("a.jpg,not_duplicate,b.jpg", "a.jpg,not_duplicate,c.jpg"),
        ("a.jpg,remove,b.jpg", "a.jpg,not_duplicate,c.jpg"),
        ("a.jpg,remove,b.jpg", "b.jpg,not_duplicate"),
        ("a.jpg,discard", "a.jpg,not_duplicate"),
    ],
)
def test_what_can_hold_together_is_no_contradiction(bound, rows):
    assert len(bound(HEADER + "".join(row + "\n" for row in rows), library(a="1", b="2", c="3"))) == 2
