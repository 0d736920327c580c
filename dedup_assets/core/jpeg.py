"""JPEG from libjpeg-turbo at first hand: bit for bit the pixels that Pillow loads, for less."""

import numpy as np
import simplejpeg
from numpy.typing import NDArray
from PIL import Image

_COLOURS = {"RGB": "RGB", "L": "GRAY"}  # Pillow's names, and simplejpeg's


def decode_jpeg(image: Image.Image, data: bytes, scaled: bool) -> NDArray[np.uint8] | None:
    """(height, width, 3) or (height, width): the picture `image` was opened from, as stored, at the scale it is set to.

    `scaled`: whether that is a smaller one. None where this is no JPEG in grey or RGB, or anything about it is amiss:
    then it is for Pillow to say what it is worth.
    """
    if image.format != "JPEG" or image.mode not in _COLOURS:
        return None
    least = {"min_width": image.width, "min_height": image.height} if scaled else {}
    try:
        pixels: NDArray[np.uint8] = simplejpeg.decode_jpeg(data, _COLOURS[image.mode], **least)
    except ValueError:
        return None
    if pixels.shape[:2] != (image.height, image.width):
        return None
    return pixels if image.mode == "RGB" else pixels[..., 0]
