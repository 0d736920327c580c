import io

import cv2
import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageEnhance, ImageFilter
from skimage import data

from dedup_assets.core.detection.fullsize import compare_full

SAME = 0.0001


@pytest.fixture(scope="module")
def photo():
    return Image.fromarray(data.coffee())


def encoded(picture, kind, **options):
    file = io.BytesIO()
    picture.save(file, kind, **options)
    return Image.open(file)


def shifted(picture, pixels):
    matrix = np.array([[1, 0, pixels], [0, 1, 0]], np.float64)
    return Image.fromarray(cv2.warpAffine(np.asarray(picture), matrix, picture.size, borderMode=cv2.BORDER_REPLICATE))


def retouched(picture):
    changed, side = picture.copy(), round(0.03 * picture.width)
    ImageDraw.Draw(changed).rectangle((200, 150, 200 + side, 150 + side), "grey")
    return changed


def noisy(picture):
    noise = np.random.default_rng(2).normal(0, 8, (picture.height, picture.width, 3))
    return Image.fromarray(np.clip(np.asarray(picture) + noise, 0, 255).astype(np.uint8))


COPIES = {
    "JPEG q 90": ("JPEG", {"quality": 90}),
    "JPEG q 90, full colour": ("JPEG", {"quality": 90, "subsampling": 0}),
    "JPEG q 95, progressive": ("JPEG", {"quality": 95, "progressive": True}),
    "WebP q 90": ("WEBP", {"quality": 90}),
}
EDITS = {
    "blur, sigma 2": lambda picture: picture.filter(ImageFilter.GaussianBlur(2)),
    "blur, sigma 1": lambda picture: picture.filter(ImageFilter.GaussianBlur(1)),
    "brightness +20 %": lambda picture: ImageEnhance.Brightness(picture).enhance(1.2),
    "brightness -5 %": lambda picture: ImageEnhance.Brightness(picture).enhance(0.95),
    "contrast +20 %": lambda picture: ImageEnhance.Contrast(picture).enhance(1.2),
    "saturation +50 %": lambda picture: ImageEnhance.Color(picture).enhance(1.5),
    "shift by 2 %": lambda picture: shifted(picture, 12),
    "shift by a pixel": lambda picture: shifted(picture, 1),
    "a small retouch": retouched,
    "noise": noisy,
}


@pytest.mark.parametrize("kind", ["PNG", "BMP", "TIFF"])
def test_a_lossless_copy_is_identical(photo, kind):
    result = compare_full(photo, encoded(photo, kind))
    assert result.identical
    assert result.distance == 0


@pytest.mark.parametrize("copy", COPIES)
def test_a_copy_in_another_encoding_is_the_same_picture(photo, copy):
    kind, options = COPIES[copy]
    result = compare_full(photo, encoded(photo, kind, **options))
    assert not result.identical
    assert 0 < result.distance <= SAME


@pytest.mark.parametrize("edit", EDITS)
def test_an_edit_is_not_the_same_picture(photo, edit):
    result = compare_full(photo, EDITS[edit](photo))
    assert not result.identical
    assert result.distance > SAME


def test_grey_saved_as_colour_is_the_same_picture_but_not_identical(photo):
    grey = photo.convert("L")
    result = compare_full(grey, grey.convert("RGB"))
    assert not result.identical
    assert result.distance <= SAME


def test_other_opacity_is_another_picture(photo):
    half = photo.copy()
    half.putalpha(128)
    opaque = photo.copy()
    opaque.putalpha(255)
    assert compare_full(opaque, half).distance > SAME
    assert compare_full(photo, half).distance > SAME
    assert compare_full(photo, opaque).distance <= SAME


def test_hidden_colours_under_full_transparency_are_another_picture(photo):
    first, second = (Image.new("RGBA", (20, 20), (*colour, 0)) for colour in ((255, 0, 0), (0, 0, 255)))
    assert not compare_full(first, second).identical
    assert compare_full(first, second).distance > SAME
    clear, other = photo.copy(), photo.transpose(Image.Transpose.ROTATE_180)
    for picture in (clear, other):
        picture.putalpha(0)
    assert compare_full(clear, other).distance > SAME
    assert compare_full(clear, clear.copy()).identical


@pytest.mark.parametrize("scale", [1, 257])
def test_what_8_bits_do_not_show_is_never_just_the_same(photo, scale):
    grey = np.asarray(photo.convert("L")).astype(np.uint16) // 2
    deep, other = (Image.fromarray(values * np.uint16(scale)) for values in (grey, grey[::-1].copy()))
    assert deep.mode == "I;16"
    assert compare_full(deep, deep.copy()).identical
    for second in (other, Image.fromarray(grey.astype(np.uint8))):
        assert compare_full(deep, second).distance > SAME
        assert compare_full(second, deep).distance > SAME
    floats = Image.fromarray(grey.astype(np.float32) / 100_000)
    assert compare_full(floats, Image.fromarray(grey[::-1].astype(np.float32) / 100_000)).distance > SAME


@pytest.mark.parametrize("mode", ["RGBA", "CMYK", "LA"])
def test_only_identical_pictures_are_at_no_distance(photo, mode):
    grey = photo.convert("L").convert("RGB")
    assert 0 < compare_full(grey, grey.convert(mode)).distance <= SAME


def test_another_size_gives_no_verdict(photo):
    result = compare_full(photo, photo.resize((300, 200)))
    assert not result.identical
    assert result.distance is None


def test_the_comparison_is_symmetric(photo):
    blurred = photo.filter(ImageFilter.GaussianBlur(1))
    assert compare_full(photo, blurred) == compare_full(blurred, photo)


@pytest.mark.parametrize("mode", ["L", "LA", "I;16", "F", "CMYK"])
def test_every_mode_can_be_compared(mode):
    values = np.random.default_rng(3).integers(0, 256, (40, 40), dtype=np.uint8)
    picture = Image.fromarray(values)
    picture = Image.fromarray(values.astype(np.uint16) * 257) if mode == "I;16" else picture.convert(mode)
    assert compare_full(picture, picture.copy()).identical
    assert compare_full(picture, picture.transpose(Image.Transpose.ROTATE_90)).distance > SAME


def test_a_picture_smaller_than_a_block_can_be_compared():
    black, white = Image.new("RGB", (3, 2)), Image.new("RGB", (3, 2), "white")
    assert compare_full(black, white).distance > SAME
