"""JPEG at first hand against Pillow: the same pixels to the bit, and Pillow's word where anything is amiss."""

import io
from unittest import mock

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageFile, ImageOps

from dedup_assets.core.images import SKETCH_SIZE, read_image, squash
from dedup_assets.core.jpeg import decode_jpeg
from dedup_assets_tests.pictures import exif, grain, photo, put

SIDES = st.sampled_from([1, 2, 7, 8, 9, 15, 16, 17, 47, 63, 64, 65, 127, 128, 130, 257, 520, 1031])


def encoded(image, **options):
    file = io.BytesIO()
    with mock.patch.object(ImageFile, "MAXBLOCK", 1 << 24):  # Pillow's buffer may be too small for the best quality
        image.save(file, "JPEG", **options)
    return file.getvalue()


def opened(data, least=0):
    image = Image.open(io.BytesIO(data))
    size = image.size
    if least:
        image.draft(None, (least, least))
    return image, image.size != size


@given(
    width=SIDES,
    height=SIDES,
    seed=st.integers(0, 99),
    mode=st.sampled_from(["RGB", "L"]),
    quality=st.sampled_from([5, 50, 75, 90, 100]),
    subsampling=st.sampled_from([0, 1, 2]),
    progressive=st.booleans(),
    least=st.sampled_from([0, 64]),
)
def test_pixels_are_those_of_pillow(width, height, seed, mode, quality, subsampling, progressive, least):
    picture = Image.blend(photo(seed, (width, height)), grain(seed, (width, height)), 0.2).convert(mode)
    chroma = {"subsampling": subsampling} if mode == "RGB" else {}
    data = encoded(picture, quality=quality, progressive=progressive, **chroma)
    image, scaled = opened(data, least)
    pixels = decode_jpeg(image, data, scaled)
    image.load()
    assert image.mode == mode
    np.testing.assert_array_equal(pixels, np.asarray(image))


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("size", [(60, 40), (500, 300)])
def test_a_turned_jpeg_is_read_as_it_is_shown(tmp_path, orientation, size):
    path = put(photo(1, size), tmp_path / "a.jpg", exif=exif(orientation))
    image, _ = opened(path.read_bytes(), 64)
    facts = read_image(path)
    assert (facts.width, facts.height) == (size if orientation < 5 else size[::-1])
    np.testing.assert_array_equal(facts.sketch, squash(ImageOps.exif_transpose(image), SKETCH_SIZE))


def test_what_is_no_jpeg_in_grey_or_rgb_is_left_to_pillow(tmp_path):
    for data in (encoded(photo(1).convert("CMYK")), put(photo(1), tmp_path / "a.png").read_bytes()):
        assert decode_jpeg(*opened(data)[:1], data, False) is None


@pytest.mark.parametrize("cut", [1, 2, 100, 2000])
def test_what_is_cut_short_is_left_to_pillow(cut):
    data = encoded(grain(1, (200, 200)), progressive=True)[:-cut]
    assert decode_jpeg(opened(data)[0], data, False) is None


def test_a_damaged_jpeg_is_what_pillow_makes_of_it(tmp_path):
    data = bytearray(encoded(grain(1, (200, 200))))
    data[len(data) // 2 : len(data) // 2 + 20] = b"\x55" * 20
    path = tmp_path / "a.jpg"
    path.write_bytes(data)
    image, _ = opened(bytes(data), 64)
    facts = read_image(path)
    assert facts.status == "ok"
    np.testing.assert_array_equal(facts.sketch, squash(image, SKETCH_SIZE))
