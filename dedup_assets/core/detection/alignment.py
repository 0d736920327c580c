"""Laying one small picture over another: where to start from, and aligning step by step.

G. D. Evangelidis, E. Z. Psarakis, "Parametric image alignment using enhanced correlation coefficient maximization",
PAMI 30(10), 2008, as in OpenCV. Neither gain nor offset of the light matters to it. Matrices are 3 x 3 and map the
unit square of the template to that of the picture, so that they hold at every size.
"""

from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from dedup_assets.core.detection.borders import Box, inside_borders

Grey = NDArray[np.float32]
Matrix = NDArray[np.float64]

INVERSE_LINEAR = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP

_START_SIZE, _COARSE, _FINE = 24, 32, 64  # pixels a side: choosing a start, first and second alignment
_STARTS_TRIED = 3
_FAR_BEHIND = 0.2  # correlation; a start this far behind the best is not tried
_START_LENGTH = 1000.0  # of the crops compared to choose a start
_COARSE_STOP = (cv2.TERM_CRITERIA_COUNT | cv2.TERM_CRITERIA_EPS, 20, 1e-3)
_FINE_STOP = (cv2.TERM_CRITERIA_COUNT | cv2.TERM_CRITERIA_EPS, 15, 1e-3)
_UNMOVED: Matrix = np.eye(3)


@dataclass(frozen=True, slots=True)
class Crops:
    """`boxes`: parts of one picture that another may show. `starts`: (k, 576) int8, each at 24 x 24, mean removed, of
    equal length."""

    boxes: tuple[Box, ...]
    starts: NDArray[np.int8]


def crops(grey: NDArray[np.uint8]) -> Crops:
    """The crops of a square picture that an alignment may start from."""
    small = cv2.resize(grey, (2 * _START_SIZE, 2 * _START_SIZE), interpolation=cv2.INTER_AREA).astype(np.float32)
    inside = inside_borders(grey)
    size = (_START_SIZE, _START_SIZE)
    cut = [cv2.warpAffine(small, matrix, size, flags=INVERSE_LINEAR) for matrix in (*_CUTS, _cut(inside))]
    starts = np.stack(cut).reshape(len(cut), -1).astype(np.float64)
    starts -= starts.mean(axis=1, keepdims=True)
    starts *= _START_LENGTH / (np.sqrt((starts**2).sum(axis=1, keepdims=True)) + 20)
    return Crops((*_BOXES, inside), np.asarray(np.clip(np.rint(starts), -127, 127), np.int8))


class Scales:
    """One picture at the sizes at which it is aligned, and mirrored."""

    def __init__(self, grey: NDArray[np.uint8]) -> None:
        self.full: Grey = grey.astype(np.float32)
        self.fine = _shrunk(self.full, _FINE)
        self.coarse = _shrunk(self.full, _COARSE)

    def mirrored(self) -> "Scales":
        """The same, left and right swapped."""
        twin = object.__new__(Scales)
        twin.full, twin.fine, twin.coarse = (
            np.ascontiguousarray(scale[:, ::-1]) for scale in (self.full, self.fine, self.coarse)
        )
        return twin


class Start(NamedTuple):
    """`template` is to be found in `picture`, first guess `matrix` (unit square to unit square)."""

    template: Scales
    picture: Scales
    matrix: Matrix
    likeness: float

    def coarse(self) -> tuple[float, Matrix]:
        """Likeness and matrix after alignment at 32 pixels; the first guess where that fails."""
        found = _ecc(self.template.coarse, self.picture.coarse, self.matrix, _COARSE_STOP, cv2.MOTION_AFFINE)
        return found or (self.likeness, self.matrix)

    def fine(self, rough: Matrix) -> Matrix:
        """`rough` made better at 64 pixels; `rough` where that fails."""
        found = _ecc(self.template.fine, self.picture.fine, rough, _FINE_STOP, cv2.MOTION_AFFINE)
        return found[1] if found else rough

    def skewed(self, matrix: Matrix) -> Matrix | None:
        """`matrix` made better with perspective; None where that fails."""
        found = _ecc(self.template.fine, self.picture.fine, matrix, _FINE_STOP, cv2.MOTION_HOMOGRAPHY)
        return found[1] if found else None


def refined(template: Grey, picture: Grey, matrix: Matrix) -> tuple[float, Matrix] | None:
    """Correlation and affine matrix after alignment of two square pictures of one size; None where that fails."""
    return _ecc(template, picture, matrix, _FINE_STOP, cv2.MOTION_AFFINE)


def likely_starts(first: Crops, second: Crops, a: Scales, b: Scales) -> list[Start]:
    """The best few of all crops of one in the whole of the other, mirrored or not."""
    likeness = np.stack([_likeness(first, second), _likeness(second, first)]).ravel()
    order = np.argsort(-likeness, kind="stable")[:_STARTS_TRIED]
    starts = []
    for place in order.tolist():
        if likeness[place] < likeness[order[0]] - _FAR_BEHIND:
            break
        swapped, box, mirrored = np.unravel_index(place, (2, len(first.boxes), 2))
        template, picture = (b, a) if swapped else (a, b)
        matrix = _box_matrix((first if swapped else second).boxes[box]) if box else _UNMOVED
        starts.append(Start(template.mirrored() if mirrored else template, picture, matrix, float(likeness[place])))
    return starts


def _likeness(whole: Crops, cropped: Crops) -> Matrix:
    """(k, 2) correlation of each crop of one with the other, as it is and mirrored: exact sums of integers."""
    frame = whole.starts[0].reshape(_START_SIZE, _START_SIZE)
    targets = np.stack([frame.ravel(), frame[:, ::-1].ravel()], axis=1).astype(np.float32)
    return np.asarray(cropped.starts.astype(np.float32) @ targets, np.float64) / _START_LENGTH**2


def _ecc(
    template: Grey, picture: Grey, start: Matrix, stop: tuple[int, int, float], motion: int
) -> tuple[float, Matrix] | None:
    """Correlation and matrix after alignment; None where it fails or runs off."""
    size = template.shape[0]
    guess = in_pixels(start, size, size).astype(np.float32)
    guess = guess[:2].copy() if motion == cv2.MOTION_AFFINE else guess
    everywhere = np.ones(picture.shape, np.uint8)
    try:
        correlation, found = cv2.findTransformECC(template, picture, guess, motion, stop, everywhere, 1)
    except cv2.error:  # no overlap, or it does not converge
        return None
    matrix = np.eye(3)
    matrix[: len(guess)] = found
    if not np.isfinite(matrix).all() or not 0.3 < abs(np.linalg.det(matrix[:2, :2])) < 3:
        return None
    return float(correlation), _in_units(matrix, size)


def _shrunk(grey: Grey, size: int) -> Grey:
    return np.asarray(cv2.resize(grey, (size, size), interpolation=cv2.INTER_AREA))


def _boxes() -> list[Box]:
    """Top, bottom, left, right (0..1) of the crops that an alignment may start from; the full frame first."""
    boxes: list[Box] = [(0, 1, 0, 1), (0.075, 0.925, 0.075, 0.925), (0.14, 0.86, 0.14, 0.86)]
    for kept in (0.9, 0.8):
        ends = ((0, kept), (1 - kept, 1))
        boxes += [(*rows, *columns) for rows in ends for columns in ends]
    for rows in ((0, 0.86), (0.14, 1), (0.07, 0.93), (0.14, 0.86)):
        boxes += [(*rows, 0, 1), (0, 1, *rows)]
    return boxes


_BOXES = _boxes()


def _box_matrix(box: Box) -> Matrix:
    """From the unit square to the box within it."""
    top, bottom, left, right = box
    return np.array([[right - left, 0, left], [0, bottom - top, top], [0, 0, 1.0]])


def in_pixels(matrix: Matrix, to_size: int, from_size: int) -> Matrix:
    """A matrix of unit squares as one from pixels of a picture of `to_size` to those of one of `from_size`."""
    return np.asarray(_pixel_centres(from_size)[1] @ matrix @ _pixel_centres(to_size)[0])


def _in_units(matrix: Matrix, size: int) -> Matrix:
    to_units, to_pixels = _pixel_centres(size)
    return np.asarray(to_units @ matrix @ to_pixels)


@lru_cache
def _pixel_centres(size: int) -> tuple[Matrix, Matrix]:
    """From pixels to the unit square, and back."""
    to_units = np.array([[1 / size, 0, 0.5 / size], [0, 1 / size, 0.5 / size], [0, 0, 1]])
    return to_units, np.linalg.inv(to_units)


def _cut(box: Box) -> Matrix:
    """The matrix that cuts the box out of a picture twice as large as a start."""
    return in_pixels(_box_matrix(box), _START_SIZE, 2 * _START_SIZE)[:2]


_CUTS = tuple(_cut(box) for box in _BOXES)
