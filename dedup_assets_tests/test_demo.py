"""The demo folder: what is planted in it, and what it leaves alone."""

import sys
from pathlib import Path

import pytest
from PIL import Image

from dedup_assets.core.errors import DedupError
from dedup_assets.core.images import hash_pixels, read_image
from dedup_assets.core.sources.folder import list_images
from dedup_assets.demo import ALTERED_KINDS, BROKEN_KINDS, IDENTICAL_KINDS, ORIGINAL, make_demo_images


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    return make_demo_images(tmp_path_factory.mktemp("demo"))


def state(folder):
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder): (path.read_bytes(), path.stat().st_mtime_ns) for path in files}


def test_the_truth_lists_every_image_of_the_folder(demo):
    assert list(demo.images) == [file.image_id for file in list_images(demo.folder).files]
    assert 45 <= len(demo.images) <= 60
    assert {image_id.partition("/")[0] for image_id in demo.images} == {"camera_roll", "downloads", "scans"}


def test_the_folder_is_small(demo):
    assert sum(len(data) for data, _ in state(demo.folder).values()) < 10_000_000


def test_every_kind_is_planted_and_every_version_has_an_original_as_source(demo):
    kinds = {planted.kind for planted in demo.images.values()}
    assert kinds == {ORIGINAL, *IDENTICAL_KINDS, *ALTERED_KINDS, *BROKEN_KINDS}
    originals = demo.of_kind(ORIGINAL)
    assert len(originals) >= 22
    assert {demo.images[image_id].source for image_id in demo.of_kind(*IDENTICAL_KINDS, *ALTERED_KINDS)} <= set(
        originals
    )


def test_copies_have_the_bytes_of_their_source(demo):
    for image_id in demo.of_kind("copy"):
        source = demo.images[image_id].source
        assert (demo.folder / image_id).read_bytes() == (demo.folder / source).read_bytes()


def test_one_picture_is_there_four_times(demo):
    sources = [demo.images[image_id].source for image_id in demo.of_kind("copy")]
    assert sources.count("camera_roll/cat.jpg") == 3


def test_identical_kinds_have_the_pixels_of_their_source_and_other_bytes(demo):
    for image_id in demo.of_kind("same_pixels", "turned"):
        path, source = demo.folder / image_id, demo.folder / demo.images[image_id].source
        assert hash_pixels(path) == hash_pixels(source), image_id
        assert path.read_bytes() != source.read_bytes()


def test_turned_images_are_stored_on_their_side(demo):
    for image_id in demo.of_kind("turned"):
        with Image.open(demo.folder / image_id) as image:
            assert image.getexif()[0x0112] in (6, 8)


def test_nothing_else_is_identical(demo):
    distinct = demo.of_kind(ORIGINAL, *ALTERED_KINDS)
    assert len({hash_pixels(demo.folder / image_id) for image_id in distinct}) == len(distinct)


def test_broken_files_cannot_be_read_and_all_others_can(demo):
    status = {image_id: read_image(demo.folder / image_id).status for image_id in demo.images}
    broken = {image_id: word for image_id, word in status.items() if word != "ok"}
    assert set(broken) == set(demo.of_kind(*BROKEN_KINDS))
    assert {broken[image_id] for image_id in demo.of_kind("truncated", "not_an_image")} == {"unreadable"}
    assert {broken[image_id] for image_id in demo.of_kind("empty")} == {"empty"}


def test_two_folders_are_the_same_to_the_byte_and_the_time(demo, tmp_path):
    make_demo_images(tmp_path / "new" / "folder")
    assert state(tmp_path / "new" / "folder") == state(demo.folder)


def test_making_it_again_touches_nothing(demo):
    def inodes():
        return {path: (path.stat().st_ino, path.stat().st_ctime_ns) for path in demo.folder.rglob("*")}

    before = inodes()
    assert make_demo_images(demo.folder) == demo
    assert inodes() == before


def test_what_is_missing_or_was_changed_is_made_again(demo, tmp_path):
    make_demo_images(tmp_path)
    (tmp_path / "camera_roll" / "cat.jpg").unlink()
    (tmp_path / "downloads" / "coffee.jpg").write_bytes(b"half a fi")
    make_demo_images(tmp_path)
    assert state(tmp_path) == state(demo.folder)


def test_a_folder_with_other_files_is_refused_and_left_alone(tmp_path):
    (tmp_path / "mine.jpg").write_bytes(b"mine")
    with pytest.raises(DedupError, match=r"holds 'mine\.jpg', which the demo did not make"):
        make_demo_images(tmp_path)
    assert list(tmp_path.iterdir()) == [tmp_path / "mine.jpg"]


def test_a_file_that_only_bears_a_name_of_the_demo_is_not_overwritten(tmp_path):
    (tmp_path / "downloads").mkdir()
    (tmp_path / "downloads" / "cat.jpg").write_bytes(b"mine")
    with pytest.raises(DedupError, match=r"holds 'downloads/cat\.jpg', which the demo did not make"):
        make_demo_images(tmp_path)
    assert (tmp_path / "downloads" / "cat.jpg").read_bytes() == b"mine"


def test_hidden_files_of_a_file_browser_do_not_matter(tmp_path):
    make_demo_images(tmp_path)
    (tmp_path / "scans" / ".DS_Store").write_bytes(b"\0")
    make_demo_images(tmp_path)


@pytest.mark.parametrize("place", ["file", "file/below"])
def test_a_place_that_is_no_folder_is_one_sentence(tmp_path, place):
    (tmp_path / "file").write_text("words")
    with pytest.raises(DedupError, match="file"):
        make_demo_images(tmp_path / place)


def test_without_scikit_image_the_remedy_is_named(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "skimage", None)
    with pytest.raises(DedupError, match=r'pip install "dedup-assets\[demo\]"'):
        make_demo_images(tmp_path)
    assert not list(tmp_path.iterdir())


def test_the_folder_says_where_each_photograph_is_from(demo):
    about = (demo.folder / "ABOUT.txt").read_text(encoding="utf-8")
    assert about.count("CC0") + about.count("public domain") >= 12
    assert str(Path.home()) not in about
