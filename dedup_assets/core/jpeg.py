"""JPEG from libjpeg-turbo at first hand: bit for bit the pixels that Pillow loads, for less."""

from typing import NamedTuple

import numpy as np
import simplejpeg
from numpy.typing import NDArray
from PIL import Image

_COLOURS = {"RGB": "RGB", "L": "GRAY"}  # Pillow's names, and simplejpeg's
_MODES = {"YCbCr": "RGB", "RGB": "RGB", "Gray": "L"}  # simplejpeg's names of what a file holds, and Pillow's
_SCALES = (8, 4, 2)
_START = b"\xff\xd8\xff"
_MORE = (b"Exif\0", b"http://ns.adobe.com/xap/", b"MPF\0")  # how it is turned, and that there are other pictures in it
_SMALL = 1 << 20  # bytes; in larger files looking for these takes longer than it saves


class PlainJpeg(NamedTuple):
    """A picture that is shown as it is stored. `pixels`: as of `decode_jpeg`; `mode`: Pillow's; the others: the file's,
    and whether the pixels are at a smaller scale."""

    pixels: NDArray[np.uint8]
    mode: str
    width: int
    height: int
    scaled: bool


def read_plain_jpeg(data: bytes, least: int, max_pixels: int) -> PlainJpeg | None:
    """The picture at the smallest scale of 1, 1/2, 1/4, 1/8 with both sides at least `least` pixels.

    None where there may be more to know of it than its pixels, where it has more than `max_pixels`, or where anything
    is amiss: then it is for Pillow to read it.
    """
    if not data.startswith(_START) or len(data) > _SMALL or any(mark in data for mark in _MORE):
        return None
    try:
        height, width, colours, _ = simplejpeg.decode_jpeg_header(data)
    except ValueError:
        return None
    mode = _MODES.get(colours)
    if mode is None or width * height > max_pixels:
        return None
    scale = next((scale for scale in _SCALES if min(width, height) // least >= scale), 1)
    pixels = _decoded(data, mode, -(-width // scale), -(-height // scale), scale > 1)
    return None if pixels is None else PlainJpeg(pixels, mode, width, height, scale > 1)


def decode_jpeg(image: Image.Image, data: bytes, scaled: bool) -> NDArray[np.uint8] | None:
    """(height, width, 3) or (height, width): the picture `image` was opened from, as stored, at the scale it is set to.

    `scaled`: whether that is a smaller one. None where this is no JPEG in grey or RGB, or anything about it is amiss:
    then it is for Pillow to say what it is worth.
    """
    if image.format != "JPEG" or image.mode not in _COLOURS:
        return None
    return _decoded(data, image.mode, image.width, image.height, scaled)


def _decoded(data: bytes, mode: str, width: int, height: int, scaled: bool) -> NDArray[np.uint8] | None:
    least = {"min_width": width, "min_height": height} if scaled else {}
    try:
        pixels: NDArray[np.uint8] = simplejpeg.decode_jpeg(data, _COLOURS[mode], **least)
    except ValueError:
        return None
    if pixels.shape[:2] != (height, width):
        return None
    return pixels if mode == "RGB" else pixels[..., 0]
