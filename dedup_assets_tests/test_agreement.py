from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageEnhance, ImageFilter, ImageOps
from skimage import data

from dedup_assets.core.calibration.edits import EDITS, plant
from dedup_assets.core.detection import agreement
from dedup_assets.core.detection.judging import Judge, distances_of
from dedup_assets.core.images import SKETCH_SIZE, read_picture

SAME = 0.05


@pytest.fixture(scope="module")
def photos():
    pictures = (data.astronaut(), data.coffee(), data.chelsea())
    return [ImageOps.contain(Image.fromarray(picture), (300, 300)) for picture in pictures]


def prepared(picture, tmp_path, name="picture.png"):
    picture.save(tmp_path / name)
    return agreement.prepare(tmp_path / name)


def near(first, second, tmp_path):
    return agreement.distance_of(compared(first, second, tmp_path)) <= SAME


def judged(paths):
    """The distance that the whole second stage gives two pictures."""
    sketches = np.stack([read_picture(path, SKETCH_SIZE) for path in paths])
    sizes = [Image.open(path).size for path in paths]
    pair = np.array([0]), np.array([1])
    agreed = Judge().agreements(
        sketches, sizes, *pair, lambda asked: [agreement.compare(*map(agreement.prepare, paths)) for _ in asked]
    )
    return distances_of(agreed)[0]


def compared(first, second, tmp_path):
    return agreement.compare(prepared(first, tmp_path, "a.png"), prepared(second, tmp_path, "b.png"))


@pytest.mark.parametrize("edit", [edit for edit in EDITS if not edit.kept_aside], ids=lambda edit: edit.name)
def test_an_edited_photo_agrees_with_the_photo(photos, edit, tmp_path):
    photos[0].save(tmp_path / "a.png")
    edited = tmp_path / "edited"
    edited.write_bytes(plant(edit, photos[0], seed=1))
    assert judged([tmp_path / "a.png", edited]) <= SAME


def test_different_photos_do_not_agree(photos, tmp_path):
    for first, second in ((0, 1), (0, 2), (1, 2)):
        assert compared(photos[first], photos[second], tmp_path) < 0.5


def test_a_picture_agrees_wholly_with_itself(photos, tmp_path):
    assert compared(photos[0], photos[0], tmp_path) == pytest.approx(1)


def test_agreement_is_symmetric_to_the_last_bit(photos, tmp_path):
    pictures = [prepared(photo, tmp_path) for photo in photos]
    pictures += [prepared(ImageOps.mirror(photo.rotate(4)), tmp_path) for photo in photos]
    for first in pictures:
        for second in pictures:
            assert agreement.compare(first, second) == agreement.compare(second, first)


def test_agreement_is_the_same_in_every_thread(photos, tmp_path):
    first = prepared(photos[0], tmp_path)
    second = prepared(photos[0].rotate(5).crop((24, 24, 280, 275)), tmp_path)
    with ThreadPoolExecutor(8) as pool:
        answers = set(pool.map(lambda _: agreement.compare(first, second), range(64)))
    assert len(answers) == 1


def test_a_stronger_edit_of_the_same_kind_agrees_less(photos, tmp_path):
    agreed = [compared(photos[1], photos[1].filter(ImageFilter.GaussianBlur(sigma)), tmp_path) for sigma in (1, 7, 24)]
    assert agreed[0] > agreed[1] > agreed[2]


def test_flat_pictures_agree_only_in_the_same_colour(tmp_path):
    black, nearly, grey, red = (Image.new("RGB", (80, 60), colour) for colour in ("black", "#010101", "grey", "red"))
    assert near(black, black, tmp_path)
    assert near(black, nearly, tmp_path)
    assert not near(black, grey, tmp_path)
    assert not near(black, red, tmp_path)


def test_dark_frames_that_show_different_things_do_not_agree(tmp_path):
    frames = [Image.new("RGB", (192, 192)) for _ in range(2)]
    for frame, left in zip(frames, (30, 110), strict=True):
        ImageDraw.Draw(frame).ellipse((left, 60, left + 40, 140), "#303030")
    assert not near(*frames, tmp_path)


def test_a_blank_page_does_not_agree_with_a_written_one(tmp_path):
    blank = Image.new("RGB", (300, 400), "white")
    written = blank.copy()
    for line in range(20):
        ImageDraw.Draw(written).text((20, 20 + 18 * line), "All work and no play makes Jack a dull boy", "black")
    assert not near(blank, written, tmp_path)


def test_a_recoloured_picture_agrees(photos, tmp_path):
    assert near(photos[2], ImageEnhance.Color(photos[2]).enhance(0), tmp_path)


def test_prepared_pictures_are_small(photos, tmp_path):
    picture = prepared(photos[0], tmp_path)
    assert sum(array.nbytes for array in (picture.grey, picture.colour, picture.crops.starts)) < 30_000


def test_distance_falls_as_agreement_rises():
    distances = [agreement.distance_of(agreed) for agreed in np.linspace(0, 1, 101)]
    assert distances == sorted(distances, reverse=True)
    assert len(set(distances)) == 101
    assert distances[0] == 1
    assert 0 < distances[-1] < 0.01
