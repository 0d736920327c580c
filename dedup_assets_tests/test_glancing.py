"""What a glance at outlines tells of pairs: enough to rule most out, and never an edit of the same picture."""

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageEnhance, ImageOps
from skimage import data

from dedup_assets.core.detection.glancing import GLANCE, featureless, glance
from dedup_assets.core.detection.judging import Judge
from dedup_assets.core.detection.outlines import outline
from dedup_assets.core.images import SKETCH_SIZE, squash

PHOTOS = [Image.fromarray(picture) for picture in (data.astronaut(), data.coffee(), data.chelsea(), data.rocket())]


def outlines_of(pictures):
    return outline(np.stack([squash(picture, SKETCH_SIZE) for picture in pictures]))


def pairs(count):
    return np.array([(a, b) for b in range(count) for a in range(b)]).T


def parts():
    """64 different pictures: each photo in four rows of four."""
    for photo in PHOTOS:
        width, height = photo.size[0] // 4, photo.size[1] // 4
        for row in range(4):
            for column in range(4):
                yield photo.crop((column * width, row * height, (column + 1) * width, (row + 1) * height))


def edits(photo):
    width, height = photo.size
    covered, framed = photo.copy(), ImageOps.expand(photo, width // 8, "black")
    ImageDraw.Draw(covered).ellipse((width / 3, height / 3, width / 2, height / 2), "yellow")
    yield from (ImageOps.mirror(photo), photo.crop((width // 8, height // 10, width, height)), covered, framed)
    yield from (ImageOps.grayscale(photo).convert("RGB"), ImageEnhance.Brightness(photo).enhance(0.5), photo.rotate(4))


def test_edits_of_a_picture_are_worth_a_look():
    for photo in PHOTOS:
        pictures = [photo, *edits(photo)]
        rest = np.arange(1, len(pictures))
        assert Judge().worth_a_look(outlines_of(pictures), np.zeros_like(rest), rest).all()


def test_most_different_pictures_are_not():
    looked_at = Judge().worth_a_look(outlines_of(parts()), *pairs(64))
    assert looked_at.mean() < 0.3


def test_a_glance_is_symmetric_and_the_same_in_every_batch():
    pictures = [photo.rotate(turn) for photo in PHOTOS for turn in range(0, 30, 6)]
    pictures += [ImageOps.mirror(photo) for photo in PHOTOS] + PHOTOS
    outlines, (first, second) = outlines_of(pictures), pairs(len(pictures))
    together = glance(outlines, first, second)
    assert together.shape == (GLANCE, len(first))
    assert together.dtype == np.float32
    np.testing.assert_array_equal(together, glance(outlines, second, first))
    for rows in ([0], [1, 7, 250], range(100, 370)):
        np.testing.assert_array_equal(together[:, rows], glance(outlines, first[rows], second[rows]))
    alone = outlines_of([pictures[3], pictures[17]])
    pair = np.flatnonzero((first == 3) & (second == 17))
    np.testing.assert_array_equal(together[:, pair], glance(alone, np.array([0]), np.array([1])))


def test_pictures_without_light_and_shade_get_a_look():
    pictures = [Image.new("RGB", (60, 40), colour) for colour in ("black", "white", "red")] + PHOTOS[:1]
    outlines, (first, second) = outlines_of(pictures), pairs(4)
    assert featureless(glance(outlines, first, second)).all()
    assert Judge().worth_a_look(outlines, first, second).all()


def test_no_pairs_give_nothing_to_glance_at():
    none = np.empty(0, np.int64)
    assert glance(outlines_of(PHOTOS), none, none).shape == (GLANCE, 0)


@pytest.mark.parametrize("colour", [(255, 0, 0), (0, 255, 0), (0, 0, 255)])
def test_outlines_hold_the_strongest_colours(colour):
    outlines = outlines_of([Image.new("RGB", (60, 40), colour)])
    light = (77 * colour[0] + 150 * colour[1] + 29 * colour[2] + 128) >> 8
    blue, red = outlines.colour[0, 0].reshape(2, -1).astype(int)
    assert set(blue) == {np.clip(round((colour[2] - light) / 2), -127, 127)}
    assert set(red) == {np.clip(round((colour[0] - light) / 2), -127, 127)}
    assert not outlines.light.any()
