"""One file read: its status, its facts, and what counts as the same picture."""

import struct
import zlib

import numpy as np
import pytest
from PIL import Image, features

from dedup_assets.core.detection.fullsize import compare_full
from dedup_assets.core.images import SKETCH_SIZE, as_rgb, hash_pixels, read_full, read_image, read_picture
from dedup_assets_tests.pictures import exif, grain, photo, put


def identity(path):
    """What identity is decided by: pixels, mode and size."""
    facts = read_image(path)
    assert facts.status == "ok", facts.error
    assert facts.pixel_hash in (None, hash_pixels(path))
    return hash_pixels(path)


def claims_size(path, width, height):
    """A PNG whose header claims a size that its few bytes do not hold."""

    def chunk(name, data):
        body = name + data
        return struct.pack(">I", len(data)) + body + struct.pack(">I", zlib.crc32(body))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    chunks = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + chunks)
    return path


# ---- the same picture


@pytest.mark.parametrize("suffix", [".bmp", ".tiff", ".gif.png", ".ppm", ".tga"])
def test_lossless_formats_of_the_same_pixels_are_identical(tmp_path, suffix):
    assert identity(put(photo(1), tmp_path / "a.png")) == identity(put(photo(1), tmp_path / f"b{suffix}"))


def test_a_lossless_webp_is_identical_to_its_png(tmp_path):
    webp = put(photo(1), tmp_path / "b.webp", lossless=True)
    assert identity(put(photo(1), tmp_path / "a.png")) == identity(webp)


@pytest.mark.parametrize("suffix", [".heic", ".avif"])
def test_modern_formats_are_read_at_their_size(tmp_path, suffix):
    if suffix == ".heic":
        heif = pytest.importorskip("pillow_heif")
        path = tmp_path / "a.heic"
        heif.from_pillow(photo(1)).save(path, quality=90)
    else:
        if not features.check("avif"):
            pytest.skip("this Pillow cannot write AVIF")
        path = put(photo(1), tmp_path / "a.avif", quality=90)
    facts = read_image(path)
    assert (facts.status, facts.width, facts.height) == ("ok", 64, 48)
    original = read_picture(put(photo(1), tmp_path / "a.png"), 16).astype(int)
    assert np.abs(read_picture(path, 16) - original).mean() < 12


@pytest.mark.parametrize("orientation", range(2, 9))
def test_a_turned_picture_with_exif_that_turns_it_back_is_identical(tmp_path, orientation):
    turn_back = {2: "FLIP_LEFT_RIGHT", 3: "ROTATE_180", 4: "FLIP_TOP_BOTTOM", 5: "TRANSPOSE"}
    turn_back |= {6: "ROTATE_90", 7: "TRANSVERSE", 8: "ROTATE_270"}
    turned = photo(1).transpose(Image.Transpose[turn_back[orientation]])
    path = put(turned, tmp_path / "turned.png", exif=exif(orientation))
    assert identity(path) == identity(put(photo(1), tmp_path / "a.png"))
    facts = read_image(path)
    assert (facts.width, facts.height) == (64, 48)
    np.testing.assert_array_equal(facts.sketch, read_image(tmp_path / "a.png").sketch)


def test_the_same_pixels_turned_by_exif_are_not_identical(tmp_path):
    plain, turned = put(photo(1), tmp_path / "a.png"), put(photo(1), tmp_path / "b.png", exif=exif(3))
    assert identity(plain) != identity(turned)


def test_a_large_turned_jpeg_has_its_displayed_size(tmp_path):
    facts = read_image(put(photo(1, (600, 400)), tmp_path / "a.jpg", exif=exif(6)))
    assert (facts.width, facts.height, facts.scaled) == (400, 600, True)


def test_a_palette_is_identical_to_the_colours_it_stands_for(tmp_path):
    palette = photo(1).quantize(16)
    path = put(palette, tmp_path / "p.png")
    assert read_image(path).mode == "P"
    assert identity(path) == identity(put(palette.convert("RGB"), tmp_path / "rgb.png"))


def test_a_still_gif_is_identical_to_its_palette_png(tmp_path):
    palette = photo(1).quantize(16)
    assert identity(put(palette, tmp_path / "a.gif")) == identity(put(palette, tmp_path / "a.png"))


def test_grey_is_not_identical_to_the_same_grey_in_colour(tmp_path):
    grey = photo(1).convert("L")
    assert identity(put(grey, tmp_path / "l.png")) != identity(put(grey.convert("RGB"), tmp_path / "rgb.png"))


def test_a_black_picture_is_not_identical_to_a_black_one_of_another_shape(tmp_path):
    wide, tall = Image.new("RGB", (64, 32)), Image.new("RGB", (32, 64))
    assert identity(put(wide, tmp_path / "wide.png")) != identity(put(tall, tmp_path / "tall.png"))


def test_one_changed_pixel_is_another_picture(tmp_path):
    changed = photo(1)
    changed.putpixel((3, 3), (1, 2, 3))
    assert identity(put(photo(1), tmp_path / "a.png")) != identity(put(changed, tmp_path / "b.png"))


def test_an_animation_is_not_identical_to_its_first_frame(tmp_path):
    frames = [photo(seed).quantize(16) for seed in (1, 2)]
    still = put(frames[0], tmp_path / "still.gif")
    moving = put(frames[0], tmp_path / "moving.gif", save_all=True, append_images=frames[1:])
    assert identity(still) != identity(moving)
    assert (read_image(still).frames, read_image(moving).frames) == (1, 2)
    np.testing.assert_array_equal(read_image(still).sketch, read_image(moving).sketch)


def test_animations_that_differ_in_a_later_frame_are_not_identical(tmp_path):
    first, second, third = (photo(seed).quantize(16) for seed in (1, 2, 3))
    a = put(first, tmp_path / "a.gif", save_all=True, append_images=[second])
    b = put(first, tmp_path / "b.gif", save_all=True, append_images=[third])
    assert identity(a) != identity(b)


@pytest.mark.parametrize("mode", ["RGB", "L"])
def test_a_colour_declared_transparent_makes_another_picture(tmp_path, mode):
    image = Image.new(mode, (20, 20), 0)
    image.paste(255 if mode == "L" else (255, 0, 0), (0, 0, 10, 20))
    solid = put(image, tmp_path / "solid.png")
    holes = put(image, tmp_path / "holes.png", transparency=0 if mode == "L" else (0, 0, 0))
    assert identity(solid) != identity(holes)


def test_16_bit_pixels_are_compared_in_full_and_across_formats(tmp_path):
    deep = np.arange(400, dtype=np.uint16).reshape(20, 20) * 100
    close = deep.copy()
    close[0, 0] += 1
    png = put(Image.fromarray(deep), tmp_path / "a.png")
    assert identity(png) == identity(put(Image.fromarray(deep), tmp_path / "a.tiff"))
    assert identity(png) != identity(put(Image.fromarray(close), tmp_path / "b.png"))


@pytest.mark.parametrize("channels", [3, 4])
def test_colours_of_16_bits_are_told_apart_below_what_is_seen(tmp_path, channels):
    import cv2

    high = np.random.default_rng(0).integers(0, 256, (70, 70, channels)).astype(np.uint16) << 8
    for name, pixels in (("a.png", high + 3), ("b.png", high + 200), ("c.tif", high + 3)):
        cv2.imwrite(str(tmp_path / name), pixels)
    cv2.imwrite(str(tmp_path / "d.png"), high + 3, [cv2.IMWRITE_PNG_COMPRESSION, 9])
    a, b, c, d = (read_image(tmp_path / name) for name in ("a.png", "b.png", "c.tif", "d.png"))
    assert a.status == b.status == "ok"
    assert np.array_equal(a.sketch, b.sketch)
    assert a.pixel_hash != b.pixel_hash
    assert a.pixel_hash == c.pixel_hash == d.pixel_hash == hash_pixels(tmp_path / "d.png")
    assert a.file_hash != d.file_hash
    seen = compare_full(read_full(tmp_path / "a.png"), read_full(tmp_path / "b.png"))
    assert not seen.identical
    assert seen.distance > 0.0001, "nothing is removed for what 8 bits show"


def test_byte_order_of_16_bit_tiffs_does_not_matter(tmp_path):
    deep = np.arange(400, dtype=np.uint16).reshape(20, 20) * 100
    little = put(Image.fromarray(deep), tmp_path / "little.tiff")
    swapped = Image.frombytes("I;16B", (20, 20), deep.astype(">u2").tobytes())
    big = put(swapped, tmp_path / "big.tiff")
    assert Image.open(big).mode == "I;16B"
    assert identity(little) == identity(big)


# ---- facts of every kind of picture


@pytest.mark.parametrize(
    ("name", "image"),
    [
        ("deep.png", Image.fromarray(np.arange(600, dtype=np.uint16).reshape(20, 30) * 100)),
        ("deep.tiff", Image.fromarray(np.arange(600, dtype=np.int32).reshape(20, 30) * 100_000)),
        ("flat_deep.tiff", Image.fromarray(np.full((20, 30), 100_000, np.int32))),
        ("float.tiff", Image.fromarray(np.linspace(-5, 5, 600, dtype=np.float32).reshape(20, 30))),
        ("flat_float.tiff", Image.fromarray(np.full((20, 30), -3.5, np.float32))),
        ("not_a_number.tiff", Image.fromarray(np.full((20, 30), np.nan, np.float32))),
        ("infinite.tiff", Image.fromarray(np.array([[-np.inf, 0, np.inf]] * 3, np.float32))),
        ("cmyk.jpg", photo(1).convert("CMYK")),
        ("cmyk.tiff", photo(1).convert("CMYK")),
        ("lab.tiff", Image.new("LAB", (30, 20), (128, 10, 10))),
        ("alpha.png", photo(1).convert("RGBA")),
        ("grey_alpha.png", photo(1).convert("LA")),
        ("palette.png", photo(1).quantize(7)),
        ("palette_alpha.png", photo(1).convert("RGBA").quantize(7)),
        ("bits.png", photo(1).convert("1")),
        ("one.png", photo(1, (1, 1))),
        ("one.jpg", photo(1, (1, 1))),
        ("one.gif", photo(1, (1, 1)).quantize(2)),
        ("flat.png", photo(1, (5000, 1))),
        ("thin.jpg", photo(1, (1, 5000))),
        ("icon.ico", photo(1, (32, 32))),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_every_mode_is_readable(tmp_path, name, image):
    path = put(image, tmp_path / name)
    facts = read_image(path)
    assert (facts.status, facts.error) == ("ok", None)
    assert (facts.width, facts.height) == image.size
    assert facts.sketch.shape == (SKETCH_SIZE, SKETCH_SIZE, 3)
    assert len(hash_pixels(path)) == 64
    assert as_rgb(read_full(path)).mode == "RGB"


def test_transparency_is_shown_over_white(tmp_path):
    clear = Image.new("RGBA", (8, 8), (255, 0, 0, 0))
    assert (read_image(put(clear, tmp_path / "clear.png")).sketch == 255).all()


def test_deep_greys_keep_their_brightness(tmp_path):
    half = put(Image.fromarray(np.full((20, 20), 32768, np.uint16)), tmp_path / "half.png")
    assert (read_image(half).sketch == 128).all()


def test_large_jpegs_are_decoded_at_a_smaller_scale(tmp_path):
    facts = read_image(put(photo(1, (600, 400)), tmp_path / "a.jpg"))
    assert (facts.scaled, facts.pixel_hash, facts.width, facts.height) == (True, None, 600, 400)


def test_the_sketch_is_the_picture_that_is_read_again_at_that_size(tmp_path):
    for path in (put(grain(1, (600, 400)), tmp_path / "a.jpg"), put(photo(2).quantize(9), tmp_path / "b.png")):
        np.testing.assert_array_equal(read_image(path).sketch, read_picture(path, SKETCH_SIZE))


@pytest.mark.filterwarnings("ignore:Corrupt EXIF")
def test_broken_exif_counts_as_none(tmp_path):
    path = put(photo(1), tmp_path / "a.jpg", exif=b"Exif\x00\x00MM\x00*\x00\x00\x00\x08\xff\xff\xff")
    assert read_image(path).status == "ok"


# ---- what cannot be used


def test_an_empty_file_is_empty(tmp_path):
    (tmp_path / "a.jpg").touch()
    assert read_image(tmp_path / "a.jpg").status == "empty"


def test_text_named_jpg_is_unreadable(tmp_path):
    (tmp_path / "a.jpg").write_text("not a picture")
    facts = read_image(tmp_path / "a.jpg")
    assert (facts.status, facts.error) == ("unreadable", "not in an image format that can be read")
    assert facts.file_hash


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp", ".gif", ".bmp", ".tiff", ".avif"])
def test_a_truncated_file_is_unreadable_and_says_why_in_one_line(tmp_path, suffix):
    path = put(grain(1, (200, 200)), tmp_path / f"a{suffix}")
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    facts = read_image(path)
    assert (facts.status, facts.pixel_hash, facts.sketch) == ("unreadable", None, None)
    assert facts.error
    assert "\n" not in facts.error


def test_a_file_that_is_gone_has_vanished(tmp_path):
    assert read_image(tmp_path / "gone.jpg").status == "vanished"


def test_a_file_without_permission_is_denied(tmp_path, unprivileged):
    path = put(photo(1), tmp_path / "a.png")
    path.chmod(0)
    with unprivileged():
        facts = read_image(path)
    assert (facts.status, facts.error, facts.file_hash) == ("denied", "Permission denied", None)


def test_more_pixels_than_allowed_are_too_large(tmp_path):
    path = put(photo(1), tmp_path / "a.png")
    assert read_image(path, 64 * 48).status == "ok"
    facts = read_image(path, 64 * 48 - 1)
    assert (facts.status, facts.error) == ("too_large", "64x48 is more than 3,071 pixels")
    assert (facts.width, facts.height, facts.sketch) == (64, 48, None)


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
@pytest.mark.parametrize("side", [15_000, 60_000])
def test_a_header_that_claims_far_too_many_pixels_is_too_large_and_takes_no_memory(tmp_path, side):
    resource = pytest.importorskip("resource")
    before_kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert read_image(claims_size(tmp_path / "bomb.png", side, side)).status == "too_large"
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before_kib < 50_000
