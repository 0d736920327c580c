"""The second stage: lay one picture over the other, look window by window, and say how far they agree.

Vectors tell what looks alike. Whether two pictures are the same one, moved, cropped, recoloured or drawn upon, shows
only when they are aligned and compared locally: in edits of one picture nearly every window that holds structure
correlates almost perfectly, in look-alikes many do so only roughly.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from dedup_assets.core.detection.alignment import (
    INVERSE_LINEAR,
    Crops,
    Grey,
    Matrix,
    Scales,
    Start,
    crops,
    in_pixels,
    likely_starts,
)
from dedup_assets.core.images import read_picture
from dedup_assets.core.sources.base import Readable

PICTURE_SIZE = 96
VERSION = "2"  # changes when an answer would


_SAME = 0.873  # agreement from which two pictures count as near duplicates
_KNOTS_AGREEMENT = (0.0, 0.7, _SAME, 1.0)
_KNOTS_DISTANCE = (1.0, 0.1, 0.05, 0.001)

_SURE, _CLEAR = 0.97, 0.92  # agreement: look no further; settle for it
_ALIKE, _BEHIND = 0.95, 0.1  # correlation: surely the right start; too far behind the best one
_DOUBTFUL, _HOPELESS = 0.5, 0.2  # agreement: worth refining from here on; not worth a second look under this
_UNLIKE, _ASTRAY = 0.8, 0.3  # correlation, agreement of small pictures: under both not worth refining at all

_WINDOWS = 8  # to a side
_MATCH = 0.88  # correlation from which a window agrees
_SMALL_MATCH = 0.7  # the same of small pictures
_CONTRADICTION = 0.7  # correlation under which a window may belong to something laid over the picture
_NOISE = 1.5  # grey levels, damps the correlation of windows that hold little else
_FAINT, _STRONG = 1.5, 31.5  # grey levels of deviation in a window: no weight, full weight
_FEATURELESS = 1.0  # mean weight under which colours decide
_LESSER = 0.3  # how far a window's weight follows the picture that holds less there, not the one that holds more
_OVERLAYS = 3  # contradicting areas that may be something laid over the picture
_JOIN = np.ones((3, 3), np.uint8)  # contradicting windows this near are one area
_MOST_HIDDEN, _MOST_COVERED = 0.45, 0.35  # share of structure, and of all windows, that overlays may hide
_CHARGE = 0.3  # what hiding all structure would cost
_SOFTEN = 0.8  # pixels; how much softer a picture gets when alignment enlarges it to twice its area
_COLOUR_CELLS, _COLOUR_RANGE = 12, 20.0  # cells a side; grey levels at which colours do not agree at all


@dataclass(frozen=True, slots=True)
class Prepared:
    """What is kept of one picture, about 22 kB.

    `grey`: (96, 96) uint8, slightly smoothed. `colour`: (12, 12, 3) uint8. `crops`: where alignment may start.
    """

    grey: NDArray[np.uint8]
    colour: NDArray[np.uint8]
    crops: Crops


def prepare(file: Readable, turns: int = 0) -> Prepared:
    """The picture, turned by so many quarters, as `compare` wants it. Raises what the decoder raises."""
    return prepare_picture(np.ascontiguousarray(np.rot90(read_picture(file, PICTURE_SIZE), turns)))


def prepare_picture(picture: NDArray[np.uint8]) -> Prepared:
    """The same from (96, 96, 3) uint8 RGB."""
    grey = np.asarray(cv2.GaussianBlur(cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY), (0, 0), 0.8), np.uint8)
    cells = (_COLOUR_CELLS, _COLOUR_CELLS)
    colour = np.asarray(cv2.resize(picture, cells, interpolation=cv2.INTER_AREA), np.uint8)
    return Prepared(grey, colour, crops(grey))


def compare(first: Prepared, second: Prepared) -> float:
    """Agreement, 0..1, 1 = same picture. Symmetric; the same in every thread and on every call.

    It is the share of structure (local deviation of light) whose windows correlate by 0.88 or more once the pictures
    are aligned. A few compact areas that contradict, such as a sticker or a caption, count little if all else
    agrees. Pictures without structure agree as far as their colours do.
    """
    if second.grey.tobytes() < first.grey.tobytes():
        first, second = second, first
    a, b = Scales(first.grey), Scales(second.grey)
    whole = _Local(a.full, b.full)
    if whole.structure < _FEATURELESS:
        colours = _colour_agreement(first, second)
        return min(colours, whole.agreement()) if whole.structure > 0.05 else colours
    best = whole.agreement()
    if best >= _SURE:
        return best
    if best > _DOUBTFUL:
        best = max(best, whole.agreement(nudge=True))
    if best >= _CLEAR:
        return best
    for laid in _alignments(first, second, a, b):
        best = max(best, laid)
        if best >= _CLEAR:
            break
    return best


def distance_of(agreement: float) -> float:
    """Distance, 0..1, 0 = same picture: 0.05 where pictures begin to count as near duplicates, falling all the way."""
    return float(np.interp(agreement, _KNOTS_AGREEMENT, _KNOTS_DISTANCE))


def _alignments(first: Prepared, second: Prepared, a: Scales, b: Scales) -> Iterator[float]:
    """The agreement under one alignment after another, the likelier first."""
    coarse = []
    for start in likely_starts(first.crops, second.crops, a, b):
        likeness, rough = start.coarse()
        coarse.append((likeness, start, rough))
        if likeness > _ALIKE:
            break
    coarse.sort(key=lambda one: -one[0])
    for likeness, start, rough in coarse[:2]:
        if likeness < coarse[0][0] - _BEHIND:
            break
        if likeness < _UNLIKE and _laid(start.template.coarse, start.picture.coarse, rough).roughly() < _ASTRAY:
            continue
        matrix = start.fine(rough)
        agreement = _laid_over(start, matrix)
        yield agreement
        if _DOUBTFUL < agreement < _CLEAR and (skewed := start.skewed(matrix)) is not None:
            yield _laid_over(start, skewed)


def _laid_over(start: Start, matrix: Matrix) -> float:
    local = _laid(start.template.full, start.picture.full, matrix)
    strict = local.agreement()
    return strict if strict < _HOPELESS else local.agreement(nudge=True)


def _laid(template: Grey, picture: Grey, matrix: Matrix) -> "_Local":
    side, edge = len(template), cv2.BORDER_REPLICATE
    pixels = in_pixels(matrix, side, side)
    moved = cv2.warpPerspective(picture, pixels, (side, side), flags=INVERSE_LINEAR, borderMode=edge)
    covered = cv2.warpPerspective(np.ones((side, side), np.float32), pixels, (side, side), flags=INVERSE_LINEAR)
    enlarged = 1 / abs(np.linalg.det(matrix[:2, :2])) - 1
    if enlarged > 0.1:
        softness = _SOFTEN * (side / PICTURE_SIZE) * float(np.sqrt(enlarged))
        template = np.asarray(cv2.GaussianBlur(template, (0, 0), softness), np.float32)
    return _Local(template, np.asarray(moved, np.float32), np.asarray(covered, np.float32))


class _Local:
    """Two aligned pictures, window by window. `covered`: of their size, 1 where the second one reaches."""

    def __init__(self, first: Grey, second: Grey, covered: Grey | None = None) -> None:
        self._first, self._second, self._window = first, second, len(first) // _WINDOWS
        self._mean = self._mean_of(first)
        self._variance = np.maximum(self._mean_of(first * first) - self._mean**2, 0)
        mean = self._mean_of(second)
        variance = np.maximum(self._mean_of(second * second) - mean**2, 0)
        more, less = np.maximum(self._variance, variance), np.minimum(self._variance, variance)
        deviation = np.sqrt(more ** (1 - _LESSER) * less**_LESSER)
        self._weight = np.clip(deviation - _FAINT, 0, _STRONG - _FAINT)
        self._overlap = 1.0
        if covered is not None:
            self._overlap = float(covered.mean())
            self._weight *= self._mean_of(covered) > 0.9
        self._total = float(self._weight.sum(dtype=np.float64))
        self.structure = self._total / self._weight.size

    def agreement(self, nudge: bool = False) -> float:
        """See `compare`. `nudge` lets each window slip by a pixel, which forgives what alignment leaves over."""
        if self._total < 1:
            return 0.0
        correlation = self._correlation(1 if nudge else 0)
        agreeing = self._share(correlation >= _MATCH)
        if nudge and agreeing < _CLEAR:
            agreeing = max(agreeing, self._without_overlays(correlation))
        return agreeing * min(1.0, 2 * self._overlap)

    def roughly(self) -> float:
        """The share of structure whose windows agree at all, 0..1; 1 where there is none."""
        return self._share(self._correlation(0) >= _SMALL_MATCH) if self._total >= 1 else 1.0

    def _correlation(self, reach: int) -> Grey:
        size, edge = len(self._first), cv2.BORDER_REPLICATE
        second = np.asarray(cv2.copyMakeBorder(self._second, reach, reach, reach, reach, edge), np.float32)
        mean = self._mean_of(second)
        variance = np.maximum(self._mean_of(second * second) - mean**2, 0)
        best = np.full((size, size), -1, np.float32)
        for y in range(2 * reach + 1):
            for x in range(2 * reach + 1):
                at = (slice(y, y + size), slice(x, x + size))
                covariance = self._mean_of(self._first * second[at]) - self._mean * mean[at]
                np.maximum(best, covariance / np.sqrt(self._variance * variance[at] + _NOISE**2), out=best)
        return best

    def _without_overlays(self, correlation: Grey) -> float:
        """The agreement outside the few heaviest areas that contradict, less a charge for what they hide."""
        against = ((correlation < _CONTRADICTION) & (self._weight > 0)).astype(np.uint8)[::2, ::2]
        weight = self._weight[::2, ::2].astype(np.float64)
        count, labels = cv2.connectedComponents(cv2.dilate(against, _JOIN), connectivity=4)
        heaviest = np.argsort(-np.bincount(labels.ravel(), weight.ravel(), minlength=count)[1:], kind="stable")
        covered = np.isin(labels, heaviest[:_OVERLAYS] + 1)
        hidden = float(weight[covered].sum() / max(weight.sum(), 1e-9))
        if hidden > _MOST_HIDDEN or covered.mean() > _MOST_COVERED:
            return 0.0
        seen = weight * ~covered
        agreeing = float((seen * (correlation[::2, ::2] >= _MATCH)).sum() / max(seen.sum(), 1e-9))
        return agreeing * (1 - _CHARGE * hidden)

    def _share(self, chosen: NDArray[np.bool_]) -> float:
        return float((self._weight * chosen).sum(dtype=np.float64)) / self._total

    def _mean_of(self, values: Grey) -> Grey:
        return np.asarray(cv2.blur(values, (self._window, self._window), borderType=cv2.BORDER_REPLICATE))


def _colour_agreement(first: Prepared, second: Prepared) -> float:
    difference = np.abs(first.colour.astype(np.int16) - second.colour).max()
    return float(max(0.0, 1 - difference / _COLOUR_RANGE))
