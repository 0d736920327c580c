"""How one picture lies on another."""

import io

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageEnhance

from dedup_assets.core.exploring.overlay import overlay
from dedup_assets_tests.explorer.support import scene

SIZE = (320, 240)
CORNERS = np.array([[0, 0, 1], [1, 0, 1], [0, 1, 1], [1, 1, 1]], float)


def encoded(picture):
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", quality=85)
    return buffer.getvalue()


def laid(first, second):
    return overlay(encoded(first), encoded(second))


def corners(found):
    """Where the corners of the second picture come to lie in the unit square of the first."""
    return (CORNERS @ found.matrix.T)[:, :2]


def box(left, top, right, bottom):
    return np.array([[left, top], [right, top], [left, bottom], [right, bottom]]) / SIZE


def mirrored(picture):
    return picture.transpose(Image.Transpose.FLIP_LEFT_RIGHT)


@pytest.mark.parametrize("seed", range(3))
def test_a_crop_lies_where_it_was_cut_out(seed):
    whole = scene(seed)
    part = ImageEnhance.Brightness(whole.crop((40, 12, 300, 231))).enhance(1.1)
    found = laid(whole, part)
    assert found.moved
    assert not found.mirrored
    assert not found.turned
    assert np.abs(corners(found) - box(40, 12, 300, 231)).max() < 0.004


def test_the_whole_lies_around_its_crop():
    whole = scene(3)
    both = laid(whole, whole.crop((40, 12, 300, 231))).matrix @ laid(whole.crop((40, 12, 300, 231)), whole).matrix
    assert np.abs(both - np.eye(3)).max() < 0.01


def test_a_mirrored_picture_is_laid_mirrored():
    found = laid(scene(4), mirrored(scene(4)))
    assert found.mirrored
    assert np.abs(corners(found) - box(320, 0, 0, 240)).max() < 0.004


@pytest.mark.parametrize("turns", [1, 2, 3])
@pytest.mark.parametrize("mirror", [False, True])
def test_a_turned_picture_is_laid_turned(turns, mirror):
    whole, part = scene(6), scene(6).crop((16, 12, 304, 228))
    part = part.rotate(90 * turns, expand=True)
    found = laid(whole, mirrored(part) if mirror else part)
    assert found.turned
    assert found.mirrored == mirror
    lies = corners(found)
    assert np.abs(lies[np.lexsort(lies.round(1).T)] - box(16, 12, 304, 228)).max() < 0.004


def drawn_upon(picture):
    picture = picture.copy()
    ImageDraw.Draw(picture).rectangle((100, 80, 160, 130), fill="red")
    return picture


@pytest.mark.parametrize("alter", [drawn_upon, lambda picture: picture.resize((100, 75)), lambda _: scene(50)])
def test_what_was_not_moved_and_what_is_another_picture_lies_frame_upon_frame(alter):
    found = laid(scene(5), alter(scene(5)))
    assert not found.moved
    assert (found.matrix == np.eye(3)).all()


def test_a_picture_without_structure_lies_frame_upon_frame():
    assert not laid(Image.new("RGB", (1, 1), "grey"), Image.new("RGB", (64, 48), "grey")).moved


def test_how_pictures_lie_is_told_over_http(page):
    tiles = {tile["id"]: tile["hash"] for tile in page.get("/api/images", limit=400).json()["tiles"]}
    answer = page.get("/api/overlay", first=tiles["train/2.png"], second=tiles["test/2_again.png"]).json()
    assert answer["moved"]
    assert np.allclose(answer["matrix"], [296 / 320, 0, 12 / 320, 0, 222 / 240, 9 / 240], atol=0.004)
    assert page.get("/api/overlay", first="0" * 64, second=tiles["train/2.png"]).status_code == 404
