"""JPEG at first hand against Pillow: the same pixels to the bit, and Pillow's word where anything is amiss."""

import io
from unittest import mock

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageFile, ImageOps

from dedup_assets.core import images
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


def check_facts(path, plain):
    """What is read of the file is the same whether or not Pillow opens it. `plain`: whether it need not."""
    facts = read_image(path)
    with mock.patch.object(images, "read_plain_jpeg", return_value=None):
        slowly = read_image(path)
    assert facts == slowly
    assert (facts.sketch is None) == (slowly.sketch is None)
    if facts.sketch is not None:
        np.testing.assert_array_equal(facts.sketch, slowly.sketch)
    with mock.patch.object(images.Image, "open", side_effect=AssertionError):
        assert (read_image(path).status == "ok") == plain


@given(
    width=SIDES,
    height=SIDES,
    seed=st.integers(0, 99),
    mode=st.sampled_from(["RGB", "L", "CMYK"]),
    quality=st.sampled_from([5, 75, 95]),
    subsampling=st.sampled_from([0, 1, 2]),
    progressive=st.booleans(),
    keep_rgb=st.booleans(),
)
def test_what_is_read_of_a_plain_jpeg_is_what_pillow_would_say(
    width, height, seed, mode, quality, subsampling, progressive, keep_rgb, tmp_path_factory
):
    picture = Image.blend(photo(seed, (width, height)), grain(seed, (width, height)), 0.2).convert(mode)
    chroma = {"subsampling": 0 if keep_rgb else subsampling, "keep_rgb": keep_rgb} if mode == "RGB" else {}
    path = tmp_path_factory.mktemp("plain") / "a.png"
    path.write_bytes(encoded(picture, quality=quality, progressive=progressive, **chroma))
    check_facts(path, plain=mode != "CMYK")


XMP = b'<x:xmpmeta xmlns:tiff="http://ns.adobe.com/tiff/1.0/"><tiff:Orientation>6</tiff:Orientation></x:xmpmeta>'


@pytest.mark.parametrize(
    ("plain", "change"),
    [
        (True, lambda data: data + b"more"),
        (True, lambda data: data[:2] + b"\xff\xfe\0\x06note" + data[2:]),
        (False, lambda data: data[:2] + b"\xff\xe1\0\x20Exif\0\0" + bytes(24) + data[2:]),
        (False, lambda data: data[:2] + segment(b"\xe1", b"http://ns.adobe.com/xap/1.0/\0" + XMP) + data[2:]),
        (False, lambda data: data[:-2]),
        (False, lambda data: data[:300]),
        (False, lambda data: data[:-300] + b"\x55" * 298 + data[-2:]),
        (False, lambda data: data[:1] + data[2:]),
        (False, lambda data: b"\xff\xd8\xff" + b"nothing of the kind"),
        (False, lambda data: data.replace(b"\xff\xc0\0\x11\x08", b"\xff\xc0\0\x11\x0c")),
    ],
    ids=["trailing", "comment", "exif", "xmp", "cut", "cut early", "damaged", "start", "no jpeg", "12 bits"],
)
@pytest.mark.parametrize("size", [(60, 44), (300, 210)])
def test_a_jpeg_with_more_to_it_is_what_pillow_says(plain, change, size, tmp_path):
    path = tmp_path / "a.jpg"
    path.write_bytes(change(encoded(photo(1, size))))
    check_facts(path, plain)


def segment(marker, content):
    return b"\xff" + marker + (len(content) + 2).to_bytes(2, "big") + content


def test_of_several_pictures_in_one_jpeg_pillow_tells(tmp_path):
    path = tmp_path / "a.jpg"
    photo(1).save(path, "MPO", save_all=True, append_images=[photo(2)])
    check_facts(path, plain=False)
    assert read_image(path).format == "MPO"


def test_a_plain_jpeg_that_is_too_large_is_told_as_any_other(tmp_path):
    path = put(photo(1, (300, 200)), tmp_path / "a.jpg")
    assert read_image(path, 50_000).status == "too_large"
    assert "300x200 is more than 50,000 pixels" in read_image(path, 50_000).error


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
