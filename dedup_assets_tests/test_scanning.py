"""The manifest of a folder: what is read, what is reused, who is identical to whom."""

import os
from datetime import datetime

import pytest

from dedup_assets.core import images as images_module
from dedup_assets.core import scanning
from dedup_assets.core.errors import DedupError, NoImagesError
from dedup_assets.core.run import Run
from dedup_assets.core.scanning import in_parallel, worker_count
from dedup_assets.core.steps import scan_images
from dedup_assets_tests.chain import chain_in
from dedup_assets_tests.pictures import exif, grain, photo, put, put_photos
from dedup_assets_tests.test_images import claims_size


@pytest.fixture
def chain(tmp_path):
    return chain_in(tmp_path)


@pytest.fixture
def decoded(monkeypatch):
    """The names of the files that Pillow opens."""
    names = []
    opened = images_module.Image.open

    def watched(source, *more):
        names.append(getattr(source, "name", "in memory"))
        return opened(source, *more)

    monkeypatch.setattr(images_module.Image, "open", watched)
    return names


def contents(chain):
    return {image: row["content_id"] for image, row in chain.rows().items()}


# ---- what is read


def test_every_file_has_a_row_and_bad_ones_say_why(chain):
    put_photos(chain.images, [1])
    (chain.images / "empty.jpg").touch()
    (chain.images / "text.jpg").write_text("text")
    summary = chain.scan()
    rows = chain.rows()
    assert {image: row["status"] for image, row in rows.items()} == {
        "001.png": "ok",
        "empty.jpg": "empty",
        "text.jpg": "unreadable",
    }
    assert rows["text.jpg"]["error"] == "not in an image format that can be read"
    assert (summary.files, summary.readable, summary.problems) == (3, 1, {"empty": 1, "unreadable": 1})


def test_a_row_tells_what_the_file_is(chain):
    path = put(photo(1), chain.images / "train" / "a.jpg", exif=exif(6))
    os.utime(path, ns=(1, 1_700_000_000_123_456_789))
    chain.scan()
    row = chain.rows()["train/a.jpg"]
    assert (row["format"], row["mode"], row["frames"], row["scaled"]) == ("JPEG", "RGB", 1, False)
    assert (row["width"], row["height"], row["size_bytes"]) == (48, 64, path.stat().st_size)
    assert (row["modified_ns"], row["split"]) == (1_700_000_000_123_456_789, "train")
    assert row["modified_at"].isoformat() == "2023-11-14T22:13:20.123456"


def test_rows_are_sorted_by_image_id(chain):
    for name in ("b.png", "a/z.png", "B.png", "a.png"):
        put(photo(1), chain.images / name)
    chain.scan()
    assert list(chain.rows()) == ["B.png", "a.png", "a/z.png", "b.png"]


def test_a_second_scan_opens_no_file(chain, decoded):
    put_photos(chain.images, [1, 2])
    for name in ("a.jpg", "b.jpg"):
        put(grain(1, (600, 400)), chain.images / name, exif=exif(text=name))
    (chain.images / "broken.jpg").write_text("text")
    claims_size(chain.images / "bomb.png", 60_000, 60_000)
    assert chain.scan().read == 6
    decoded.clear()
    summary = chain.scan()
    assert (summary.read, summary.changed, decoded) == (0, False, [])


def test_a_second_scan_has_the_same_version(chain):
    put_photos(chain.images, [1, 2])
    (chain.images / "broken.jpg").write_text("text")
    assert chain.scan().version == chain.scan().version


def test_only_new_and_changed_files_are_read(chain, decoded):
    put_photos(chain.images, [1, 2, 3])
    chain.scan()
    decoded.clear()
    put_photos(chain.images, [4])
    put(photo(9), chain.images / "002.png")
    (chain.images / "003.png").unlink()
    assert chain.scan().read == len(decoded) == 2
    assert list(chain.rows()) == ["001.png", "002.png", "004.png"]


def test_a_file_that_was_only_touched_keeps_its_version(chain):
    put_photos(chain.images, [1])
    before = chain.scan()
    os.utime(chain.images / "001.png", ns=(5, 5))
    after = chain.scan()
    assert (after.changed, after.version, chain.rows()["001.png"]["modified_ns"]) == (False, before.version, 5)


def test_a_file_that_was_denied_is_tried_again(chain, unprivileged):
    put_photos(chain.images, [1, 2])
    (chain.images / "002.png").chmod(0)
    chain.store.folder.mkdir()
    chain.store.folder.chmod(0o777)
    with unprivileged():
        chain.scan()
    assert chain.rows()["002.png"]["status"] == "denied"
    (chain.images / "002.png").chmod(0o644)
    chain.scan()
    assert chain.rows()["002.png"]["status"] == "ok"


def test_another_pixel_limit_is_applied_to_files_that_did_not_change(chain):
    put_photos(chain.images, [1])
    put(photo(2, (200, 100)), chain.images / "large.png")
    for limit, status in ((20_000, "ok"), (19_999, "too_large"), (20_000, "ok")):
        chain.settings["max_pixels"] = limit
        chain.scan()
        assert chain.rows()["large.png"]["status"] == status


def test_a_scan_that_was_killed_goes_on_where_it_was(chain, decoded, monkeypatch):
    monkeypatch.setattr(scanning, "CHUNK", 1)
    put_photos(chain.images, range(40))

    class KilledError(Exception):
        pass

    def progress(what, done, total):
        if done == 37:
            raise KilledError

    with pytest.raises(KilledError):
        scan_images(chain.project, Run(progress=progress))
    assert len(chain.rows()) == 0
    decoded.clear()
    assert chain.scan().read == len(decoded) == 8
    assert len(chain.rows()) == 40


# ---- who is identical


def test_identical_pictures_share_the_smallest_file_hash_as_content(chain):
    put(photo(1), chain.images / "a.png")
    put(photo(1), chain.images / "b.bmp")
    put(photo(2), chain.images / "c.png")
    summary = chain.scan()
    rows = chain.rows()
    hashes = {rows["a.png"]["file_hash"], rows["b.bmp"]["file_hash"]}
    assert contents(chain)["a.png"] == contents(chain)["b.bmp"] == min(hashes)
    assert contents(chain)["c.png"] == rows["c.png"]["file_hash"]
    assert summary.contents == 2


def test_large_jpegs_that_differ_in_their_text_only_are_identical(chain):
    for name in ("a.jpg", "b.jpg"):
        put(grain(1, (600, 400)), chain.images / name, exif=exif(text=name))
    put(grain(2, (600, 400)), chain.images / "c.jpg")
    chain.scan()
    rows = chain.rows()
    assert rows["a.jpg"]["scaled"]
    assert rows["a.jpg"]["file_hash"] != rows["b.jpg"]["file_hash"]
    assert contents(chain)["a.jpg"] == contents(chain)["b.jpg"] != contents(chain)["c.jpg"]


def test_large_jpegs_that_differ_below_the_scale_they_are_read_at_are_not_identical(chain):
    original = photo(1, (600, 400))
    speckled = original.copy()
    for x in range(0, 600, 75):
        speckled.putpixel((x, 200), (0, 0, 0))
    put(original, chain.images / "a.jpg", quality=95)
    put(speckled, chain.images / "b.jpg", quality=95)
    chain.scan()
    assert contents(chain)["a.jpg"] != contents(chain)["b.jpg"]


def test_a_black_picture_is_not_identical_to_one_of_another_shape(chain):
    put(photo(1).resize((64, 32)).point(lambda _: 0), chain.images / "wide.png")
    put(photo(1).resize((32, 64)).point(lambda _: 0), chain.images / "tall.png")
    put(photo(1), chain.images / "a.png")
    chain.scan()
    assert len(set(contents(chain).values())) == 3


def test_a_bad_file_is_identical_to_nothing(chain):
    put_photos(chain.images, [1])
    for name in ("a.jpg", "b.jpg"):
        (chain.images / name).write_text("same text")
    chain.scan()
    assert chain.store.read(scanning.schema.IMAGES, "status <> 'ok'")["content_id"].isna().all()


def test_the_hash_of_pixels_goes_with_the_copy_that_made_it_necessary(chain):
    for name in ("a.jpg", "b.jpg"):
        put(grain(1, (600, 400)), chain.images / name, exif=exif(text=name))
    put_photos(chain.images, [1])
    chain.scan()
    assert len(chain.rows()["a.jpg"]["pixel_hash"]) == 64
    (chain.images / "b.jpg").unlink()
    chain.scan()
    fresh = chain_in(chain.images.parent / "fresh", chain.images)
    fresh.scan()
    assert chain.results()["images"] == fresh.results()["images"]


# ---- when it was first seen


def first_seen(chain, day):
    scan_images(chain.project, Run(now=datetime(2024, 1, day)))
    return {image: row["first_seen_at"].day for image, row in chain.rows().items()}


def test_a_picture_keeps_the_time_it_was_first_seen(chain):
    put_photos(chain.images, [1])
    first_seen(chain, 1)
    put_photos(chain.images, [2])
    assert first_seen(chain, 2) == {"001.png": 1, "002.png": 2}


def test_a_renamed_picture_keeps_its_time_and_a_changed_one_does_not(chain):
    put_photos(chain.images, [1, 2])
    first_seen(chain, 1)
    (chain.images / "001.png").rename(chain.images / "new.png")
    put(photo(9), chain.images / "002.png")
    assert first_seen(chain, 2) == {"new.png": 1, "002.png": 2}


def test_a_copy_of_a_picture_that_is_still_there_is_new(chain):
    put_photos(chain.images, [1])
    first_seen(chain, 1)
    put(photo(1), chain.images / "copy.png")
    assert first_seen(chain, 2) == {"001.png": 1, "copy.png": 2}


# ---- folders without images


def test_an_empty_folder_is_one_sentence(chain):
    chain.images.mkdir()
    (chain.images / "notes.txt").touch()
    with pytest.raises(NoImagesError, match=r"there are no images under '.*' \(1 other files\)"):
        chain.scan()


def test_a_folder_of_broken_files_only_is_one_sentence(chain):
    chain.images.mkdir()
    (chain.images / "a.jpg").touch()
    (chain.images / "b.jpg").write_text("text")
    with pytest.raises(NoImagesError, match=r"none of the 2 images under '.*' can be read \(1 empty, 1 unreadable\)"):
        chain.scan()


def test_a_missing_folder_is_one_sentence(chain):
    with pytest.raises(NoImagesError, match="does not exist"):
        chain.scan()


def test_the_store_cannot_be_the_image_folder_itself(tmp_path):
    put_photos(tmp_path / "images", [1])
    chain = chain_in(tmp_path)
    chain.store.folder = chain.images
    with pytest.raises(DedupError, match="is the image folder itself"):
        chain.scan()


# ---- workers


def test_results_come_in_the_order_of_the_items_with_any_number_of_workers():
    for workers in (1, 4):
        assert list(in_parallel(lambda number: number * 2, range(50), workers)) == list(range(0, 100, 2))


def test_all_cores_are_used_unless_told_otherwise():
    assert worker_count(3) == 3
    assert 1 <= worker_count(None) <= (os.cpu_count() or 1)
