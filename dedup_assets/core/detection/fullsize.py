"""Near zero: are two pictures of one size the same picture, stored differently?

Thumbnails cannot tell a slight blur from a re-encoded copy. At full size the two differ in kind: re-encoding leaves
the mean of every neighbourhood alone and errs little where little happens; an edit moves means, or takes structure.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from dedup_assets.core.images import DEEP, as_rgb

VERSION = "3"  # changes when an answer would
TINY_DISTANCE = 0.02  # vector distance up to which a pair of equal size is worth decoding in full

_BORDER = 1e-4  # the distance that stands for 'just the same picture'
_LEAST = 1e-6  # the distance of pictures that look the same in every block and are not identical
_UNSEEN = 2e-4  # and of those that may differ in what 8 bits a channel do not show: more than 'just the same'
_BLOCK = 16  # pixels a side
_LIGHT_SHIFT = 2.5  # grey levels: what re-encoding may move the mean light of a block by
_COLOUR_SHIFT = 4.5  # grey levels: the same for colour differences
_COLOUR_SHARE = 0.12  # and the share of how strong the colours of the block are, on top
_ERROR = 3.3  # grey levels: what it may err by (root mean square in a block) where the picture is smooth
_ERROR_SHARE = 0.32  # and the share of the fine structure of the block, on top

Plane = NDArray[np.float32]


@dataclass(frozen=True)
class FullSizeResult:
    """`identical`: same mode, size and pixels. `distance`: 0 then and only then; <= 0.0001 where the pictures are the
    same but for their encoding, more where they are not; None where the sizes differ, which says nothing."""

    identical: bool
    distance: float | None


def compare_full(first: Image.Image, second: Image.Image) -> FullSizeResult:
    """Compare two upright images in their original modes, pixel by pixel. Symmetric.

    The distance is 0.0001 times the worst block's difference, in units of what re-encoding may do to such a block; of
    pictures that are not the same, some block's. It is more than 0.0001 where a picture holds more than 8 bits a
    channel, of which only 8 are compared, and where one that is transparent hides colours that the other has not.
    """
    if first.size != second.size:
        return FullSizeResult(False, None)
    shown_in_full = not (first.info.get(DEEP) or second.info.get(DEEP))
    if shown_in_full and first.mode == second.mode and first.tobytes() == second.tobytes():
        return FullSizeResult(True, 0.0)
    worst = _worst(_planes(first), _planes(second))
    if _may_hide_colours(first) or _may_hide_colours(second):
        worst = max(worst, _worst(*(_planes(_bare(picture)) for picture in (first, second))))
    least = _UNSEEN if _holds_more(first) or _holds_more(second) else _LEAST
    return FullSizeResult(False, min(1.0, max(least, _BORDER * worst)))


def _holds_more(image: Image.Image) -> bool:
    """Whether it has more than the 8 bits a channel that are compared."""
    return bool(image.info.get(DEEP)) or image.mode.startswith(("I", "F"))


def _may_hide_colours(image: Image.Image) -> bool:
    return image.mode in ("RGBA", "RGBa", "LA", "La")


def _bare(image: Image.Image) -> Image.Image:
    """As it is for those who leave opacity out."""
    return image.convert("RGBA").convert("RGB") if _may_hide_colours(image) else image


class _Planes(NamedTuple):
    """Light, two colour differences and opacity, each (height, width) float32 in grey levels."""

    light: Plane
    red: Plane
    blue: Plane
    opacity: Plane | None


def _planes(image: Image.Image) -> _Planes:
    light, red, blue = cv2.split(cv2.cvtColor(np.asarray(as_rgb(image)), cv2.COLOR_RGB2YCrCb))
    opacity = None
    if "A" in image.mode or "a" in image.mode or "transparency" in image.info:
        opacity = np.asarray(image.convert("RGBA").getchannel("A"), np.float32)
    return _Planes(light.astype(np.float32), red.astype(np.float32), blue.astype(np.float32), opacity)


def _worst(first: _Planes, second: _Planes) -> float:
    """The largest difference of any block; 1 is what re-encoding may just do. Beyond that nothing more is looked at."""
    worst = 0.0
    for ratio in _ratios(first, second):
        worst = max(worst, float(ratio.max()))
        if worst > 1:
            break
    return worst


def _ratios(first: _Planes, second: _Planes) -> Iterator[Plane]:
    """One difference of all blocks after another, the cheapest first."""
    yield _light_shift(first.light, second.light)
    if first.opacity is not None or second.opacity is not None:
        opaque = np.full_like(first.light, 255)
        a, b = (opaque if planes.opacity is None else planes.opacity for planes in (first, second))
        yield np.asarray(_deviation(a - b) / _ERROR, np.float32)
    yield _error(first.light, second.light)
    yield _colour_shift(first.red, second.red)
    yield _colour_shift(first.blue, second.blue)


def _light_shift(first: Plane, second: Plane) -> Plane:
    return np.asarray(np.abs(_block_mean(first - second)) / _LIGHT_SHIFT, np.float32)


def _error(first: Plane, second: Plane) -> Plane:
    # the lesser structure of the two, so that neither blurring nor sharpening widens its own allowance
    structure = np.minimum(_fine_structure(first), _fine_structure(second))
    return np.asarray(_deviation(first - second) / (_ERROR + _ERROR_SHARE * structure), np.float32)


def _fine_structure(plane: Plane) -> Plane:
    return _deviation(plane - np.asarray(cv2.GaussianBlur(plane, (0, 0), 1.0), np.float32))


def _colour_shift(first: Plane, second: Plane) -> Plane:
    # strong colours that meet in a block lose some of their strength where colour is stored at half the size
    contrast = np.minimum(*(_deviation(plane - plane.mean()) for plane in (first, second)))
    shift = np.abs(_block_mean(first - second))
    return np.asarray(shift / (_COLOUR_SHIFT + _COLOUR_SHARE * contrast), np.float32)


def _block_mean(plane: Plane) -> Plane:
    height, width = (max(1, round(side / _BLOCK)) for side in plane.shape)
    return np.asarray(cv2.resize(plane, (width, height), interpolation=cv2.INTER_AREA), np.float32)


def _deviation(plane: Plane) -> Plane:
    """Root mean square of each block."""
    return np.asarray(np.sqrt(_block_mean(plane * plane)), np.float32)
