"""What counts as an image of a folder: suffixes, links, hidden files, stores, odd names. No picture is opened here."""

import os
from pathlib import Path

import pytest

from dedup_assets.core.errors import NoImagesError
from dedup_assets.core.sources.base import STORE_MARK
from dedup_assets.core.sources.folder import list_images, path_of


def touch(path, data=b"x", modified_ns=1_700_000_000_000_000_000):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    os.utime(path, ns=(modified_ns, modified_ns))
    return path


@pytest.fixture
def root(tmp_path):
    touch(tmp_path / "root" / "a.jpg")
    return tmp_path / "root"


@pytest.fixture
def outside(tmp_path):
    touch(tmp_path / "outside" / "far.png")
    return tmp_path / "outside"


def ids(root):
    return [file.image_id for file in list_images(root).files]


def test_nested_images_are_found_sorted_by_their_path(root):
    touch(root / "b" / "c" / "d.PNG")
    touch(root / "b" / "a.webp")
    touch(root / "b.tiff")
    assert ids(root) == ["a.jpg", "b.tiff", "b/a.webp", "b/c/d.PNG"]


def test_a_file_is_listed_with_its_size_and_time(root):
    file = list_images(root).files[0]
    assert (file.size_bytes, file.modified_ns) == (1, 1_700_000_000_000_000_000)


def test_other_suffixes_and_hidden_files_are_counted_as_ignored(root):
    for name in ("notes.txt", "no_suffix", ".hidden.jpg", ".cache/inner.jpg"):
        touch(root / name)
    listing = list_images(root)
    assert [file.image_id for file in listing.files] == ["a.jpg"]
    assert listing.ignored == 4


def test_empty_files_are_listed(root):
    touch(root / "empty.png", b"")
    assert "empty.png" in ids(root)


def test_a_link_to_a_file_inside_is_counted_once(root):
    (root / "0-link.jpg").symlink_to(root / "a.jpg")
    assert ids(root) == ["a.jpg"]


def test_two_links_to_one_file_outside_count_once_by_the_first_name(root, outside):
    for name in ("z.png", "b.png", "m.png"):
        (root / name).symlink_to(outside / "far.png")
    assert ids(root) == ["a.jpg", "b.png"]


def test_a_link_to_a_folder_outside_is_followed_once(root, outside):
    (root / "one").symlink_to(outside)
    (root / "two").symlink_to(outside)
    assert ids(root) == ["a.jpg", "one/far.png"]


def test_a_file_behind_a_link_and_behind_a_linked_folder_counts_once(root, outside):
    (root / "b.png").symlink_to(outside / "far.png")
    (root / "folder").symlink_to(outside)
    assert ids(root) == ["a.jpg", "b.png"]


def test_links_inside_a_linked_folder_are_followed(root, outside, tmp_path):
    touch(tmp_path / "third" / "x.gif")
    (outside / "more").symlink_to(tmp_path / "third")
    (root / "one").symlink_to(outside)
    assert ids(root) == ["a.jpg", "one/far.png", "one/more/x.gif"]


def test_link_loops_are_not_followed(root):
    (root / "sub").mkdir()
    touch(root / "sub" / "b.jpg")
    (root / "sub" / "back").symlink_to(root / "sub")
    (root / "self.jpg").symlink_to(root / "self.jpg")
    assert ids(root) == ["a.jpg", "sub/b.jpg"]


def test_links_to_the_root_or_above_it_are_not_followed(root, tmp_path):
    touch(tmp_path / "beside.jpg")
    (root / "root").symlink_to(root)
    (root / "above").symlink_to(tmp_path)
    assert ids(root) == ["a.jpg"]


def test_a_linked_folder_that_leads_back_is_followed_up_to_there(root, outside):
    (outside / "back").symlink_to(root)
    (root / "one").symlink_to(outside)
    assert ids(root) == ["a.jpg", "one/far.png"]


def test_a_dangling_link_is_ignored(root):
    (root / "gone.jpg").symlink_to(root / "nowhere.jpg")
    assert ids(root) == ["a.jpg"]


def test_what_is_no_file_is_passed_over_even_behind_a_link(root):
    os.mkfifo(root / "pipe.jpg")
    (root / "to_pipe.jpg").symlink_to(root / "pipe.jpg")
    (root / "endless.jpg").symlink_to("/dev/zero")
    assert ids(root) == ["a.jpg"]


def test_hard_links_are_files_of_their_own(root):
    os.link(root / "a.jpg", root / "b.jpg")
    assert ids(root) == ["a.jpg", "b.jpg"]


def test_the_root_may_be_a_link_itself(root, tmp_path):
    (tmp_path / "link").symlink_to(root)
    assert ids(tmp_path / "link") == ["a.jpg"]


def test_a_store_inside_the_folder_is_passed_over(root):
    touch(root / "dedup_store" / STORE_MARK)
    touch(root / "dedup_store" / "thumbnails" / "t.jpg")
    assert ids(root) == ["a.jpg"]


def test_a_folder_that_is_itself_a_store_is_refused(root):
    touch(root / STORE_MARK)
    with pytest.raises(NoImagesError, match="is a store"):
        list_images(root)


def test_names_that_are_no_utf8_become_text_and_lead_back_to_the_file(root):
    name = os.fsdecode(b"caf\xe9 \xff.jpg")
    touch(root / name, b"four")
    image_id = r"caf\xe9 \xff.jpg"
    assert image_id in ids(root)
    assert image_id.encode("utf-8")
    assert path_of(root, image_id).read_bytes() == b"four"


def test_a_name_with_a_real_backslash_leads_back_to_its_file(root):
    touch(root / r"\xe9.jpg", b"five!")
    assert path_of(root, r"\xe9.jpg").read_bytes() == b"five!"


@pytest.mark.parametrize("name", ['quote".jpg', "comma,.jpg", "new\nline.jpg", "späß ✓.jpg", " lead.jpg", "a.b..jpg"])
def test_odd_names_are_kept_as_they_are(root, name):
    touch(root / name)
    assert name in ids(root)
    assert path_of(root, name).exists()


def test_a_folder_that_cannot_be_listed_is_an_error_that_names_it(root, unprivileged):
    touch(root / "locked" / "b.jpg")
    (root / "locked").chmod(0)
    try:
        with unprivileged(), pytest.raises(NoImagesError, match=r"cannot list the folder '.*locked': Permission"):
            list_images(root)
    finally:
        (root / "locked").chmod(0o755)


def test_a_missing_folder_is_named(tmp_path):
    with pytest.raises(NoImagesError, match="nowhere' does not exist"):
        list_images(tmp_path / "nowhere")


def test_a_file_in_place_of_the_folder_is_named(root):
    with pytest.raises(NoImagesError, match="is a file, not a folder"):
        list_images(root / "a.jpg")


def test_an_empty_folder_lists_nothing(tmp_path):
    assert list_images(tmp_path).files == ()


def test_the_version_is_steady(root):
    assert list_images(root).version == list_images(root).version


@pytest.mark.parametrize(
    "change",
    [
        lambda root: touch(root / "a.jpg", b"longer"),
        lambda root: touch(root / "a.jpg", modified_ns=1_700_000_000_000_000_001),
        lambda root: (root / "a.jpg").rename(root / "b.jpg"),
        lambda root: touch(root / "new.jpg"),
        lambda root: (root / "a.jpg").unlink(),
    ],
    ids=["size", "time", "name", "added", "removed"],
)
def test_the_version_changes_with_any_file(root, change):
    before = list_images(root).version
    change(root)
    assert list_images(root).version != before


def test_the_version_does_not_change_with_other_files(root):
    before = list_images(root).version
    touch(Path(root) / "notes.txt")
    assert list_images(root).version == before
