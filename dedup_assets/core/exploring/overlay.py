"""How one picture lies on another, so that the two can be laid over one another and what differs be seen."""

import io
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from dedup_assets.core.detection.agreement import PICTURE_SIZE, prepare_picture
from dedup_assets.core.detection.alignment import Matrix, Scales, likely_starts, refined
from dedup_assets.core.images import squash

_SIZES = (192, 512)  # pixels a side of the two alignments that follow the one of the detection
_WORTH = 0.7  # an alignment is used where it leaves this much of what does not correlate, or less
_LEAST = 0.8  # correlation
_MIRROR: Matrix = np.array([[-1.0, 0, 1], [0, 1, 0], [0, 0, 1]])
_QUARTER: Matrix = np.array([[0.0, -1, 1], [1, 0, 0], [0, 0, 1]])  # from a picture turned anticlockwise to itself


@dataclass(frozen=True, slots=True)
class Overlay:
    """`matrix`: (3, 3), from the unit square of the second picture to that of the first. `moved`: whether it is more
    than one frame upon the other; `mirrored`: whether left and right are swapped; `turned`: by a quarter or more."""

    matrix: Matrix
    moved: bool
    mirrored: bool
    turned: bool


def overlay(first: bytes, second: bytes) -> Overlay:
    """How the second picture (encoded) lies on the first: by an affine map, else frame upon frame."""
    a, b = (Image.open(io.BytesIO(data)).convert("RGB") for data in (first, second))
    best, matrix = _start(a, b)
    frames = 1.0
    for size in _SIZES:
        one, other = _grey(a, size), _grey(b, size)
        frames = _correlation(one, other)
        best, matrix = refined(one, other, matrix) or (best, matrix)
    if best < _LEAST or 1 - best > _WORTH * (1 - frames):
        return Overlay(np.eye(3), False, False, False)
    inverse = np.asarray(np.linalg.inv(matrix), np.float64)
    mirrored = bool(np.linalg.det(matrix[:2, :2]) < 0)
    return Overlay(inverse, True, mirrored, turned=bool(matrix[1, 1] < abs(matrix[1, 0])))


def _start(a: Image.Image, b: Image.Image) -> tuple[float, Matrix]:
    """Correlation and matrix (first to second) of the likeliest alignment of small pictures. The second one is turned
    where it does not fit as it is."""
    first, second = squash(a, PICTURE_SIZE), squash(b, PICTURE_SIZE)
    best, matrix = _likeliest(first, second)
    for turns in (1, 2, 3):
        if best >= _LEAST:
            break
        likeness, found = _likeliest(first, np.ascontiguousarray(np.rot90(second, turns)))
        if likeness > best:
            best, matrix = likeness, np.linalg.matrix_power(_QUARTER, turns) @ found
    return best, matrix


def _likeliest(first: NDArray[np.uint8], second: NDArray[np.uint8]) -> tuple[float, Matrix]:
    """Correlation and matrix of the likeliest alignment of two small pictures."""
    small = [prepare_picture(picture) for picture in (first, second)]
    scales = [Scales(one.grey) for one in small]
    found: list[tuple[float, Matrix]] = []
    for start in likely_starts(small[0].crops, small[1].crops, *scales):
        likeness, rough = start.coarse()
        matrix, swapped = start.fine(rough), start.picture is scales[0]
        template = scales[1 if swapped else 0]
        matrix = matrix if start.template is template else matrix @ _MIRROR
        found.append((likeness, np.asarray(np.linalg.inv(matrix), np.float64) if swapped else matrix))
    return max(found, key=lambda one: one[0])


def _grey(picture: Image.Image, size: int) -> NDArray[np.float32]:
    return np.asarray(picture.convert("L").resize((size, size), Image.Resampling.BOX), np.float32)


def _correlation(one: NDArray[np.float32], other: NDArray[np.float32]) -> float:
    """-1..1; 1 where one of them is of one shade, so that nothing can be laid otherwise."""
    a, b = (np.asarray(grey - grey.mean(), np.float64).ravel() for grey in (one, other))
    lengths = float(np.linalg.norm(a) * np.linalg.norm(b))
    return float(a @ b) / lengths if lengths else 1.0
