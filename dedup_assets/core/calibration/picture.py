"""The picture of a calibration: what is found, and what is wrongly found, over the distance."""

import math
from collections.abc import Iterable
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

from dedup_assets.core.calibration.calibrate import CalibrationReport
from dedup_assets.core.calibration.suggestion import FALSE_SHARE, Suggestion
from dedup_assets.core.errors import DedupError
from dedup_assets.core.settings import DUPLICATE_THRESHOLD, NEAR_DUPLICATE_THRESHOLD
from dedup_assets.core.sources.base import Source
from dedup_assets.core.sources.folder import Folder

_SIZE = (1280, 1000)
_LEFT, _RIGHT = 140, 1240  # pixels: the panels, across
_RECALL, _FALSE = (120, 440), (540, 900)  # pixels: the panels, down
_NEAREST = 1e-4 / 2  # distance at the left edge, 1 at the right one
_LEAST_SHARE = 1e-6  # of the pairs, at the lower edge

_INK, _SOFT, _GRID = "#222222", "#666666", "#e4e4e4"
_BLUE, _RED, _GREEN = "#1f5fa8", "#b8322a", "#2f7d3b"

Point = tuple[float, float]


def check_picture_path(path: Path, images: Source) -> None:
    """Raise DedupError unless a PNG may be written to `path`: only under that suffix, and not among the images."""
    if path.suffix.lower() != ".png":
        raise DedupError(f"the picture would be '{path}', but is a PNG; give --picture a name that ends in .png")
    if isinstance(images, Folder) and path.resolve().is_relative_to(images.root.resolve()):
        raise DedupError(f"the picture '{path}' would lie among the images; give --picture a place outside '{images}'")


def draw_calibration(report: CalibrationReport, path: Path) -> None:
    """Write the curves as a PNG of 1280 x 1000 pixels. Raises DedupError where that cannot be done."""
    image = Image.new("RGB", _SIZE, "white")
    canvas = _Canvas(ImageDraw.Draw(image))
    canvas.headings(report)
    canvas.frame(_RECALL, [(share, f"{share:.0%}", _down_linear(share)) for share in (0, 0.25, 0.5, 0.75, 1)])
    powers = [(10.0**power, _times(power), _down_log(10.0**power)) for power in range(-6, 1)]
    canvas.frame(_FALSE, powers)
    canvas.across()
    canvas.thresholds(report.suggestion if not report.second_stage else None)
    canvas.line([(_across(p.distance), _down_linear(p.recall)) for p in report.curve], _BLUE)
    canvas.one_in_a_thousand()
    canvas.line([(_across(p.distance), _down_log(p.false_share)) for p in report.curve if p.false_pairs], _RED)
    if report.suggestion and not report.second_stage:
        canvas.tail(report.suggestion)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        image.save(path, "PNG")
    except OSError as error:
        raise DedupError(f"the picture cannot be written to '{path}' ({error.strerror or error})") from error


class _Canvas:
    def __init__(self, draw: ImageDraw.ImageDraw) -> None:
        self._draw = draw

    def headings(self, report: CalibrationReport) -> None:
        stage = "with the second stage" if report.second_stage else "vectors alone"
        self._write((_LEFT, 40), f"{report.embedder}, {stage}", 30, _INK, "lm")
        counts = f"{report.photos} images, {report.edits} edits of each, {report.pairs:,} pairs of different images"
        self._write((_RIGHT, 42), counts, 20, _SOFT, "rm")
        self._write((_LEFT, _RECALL[0] - 24), "planted edits found", 22, _BLUE, "lm")
        self._write((_LEFT, _FALSE[0] - 24), "share of the pairs of different images taken for near", 22, _RED, "lm")

    def frame(self, panel: tuple[int, int], ticks: Iterable[tuple[float, str, float]]) -> None:
        for _, label, y in ticks:
            self._draw.line([(_LEFT, y), (_RIGHT, y)], _GRID, 1)
            self._write((_LEFT - 12, y), label, 18, _SOFT, "rm")
        for power in range(-4, 1):
            for step in range(1, 10):
                x = _across(step * 10.0**power)
                if x <= _RIGHT:
                    self._draw.line([(x, panel[1]), (x, panel[1] - (9 if step == 1 else 5))], _SOFT, 1)
        self._draw.rectangle([_LEFT, panel[0], _RIGHT, panel[1]], outline=_SOFT)

    def across(self) -> None:
        for power in range(-4, 1):
            self._write((_across(10.0**power), _FALSE[1] + 24), f"{10.0**power:g}", 18, _SOFT, "mm")
        self._write(((_LEFT + _RIGHT) / 2, _FALSE[1] + 62), "distance (0 = the same picture)", 20, _INK, "mm")

    def thresholds(self, suggestion: Suggestion | None) -> None:
        same, near = DUPLICATE_THRESHOLD.default, NEAR_DUPLICATE_THRESHOLD.default
        marks = [(same, _INK), (near, _INK), *([(suggestion.threshold, _GREEN)] if suggestion else [])]
        for distance, colour in marks:
            for top, bottom in (_RECALL, _FALSE):
                self._dashes((_across(distance), top), (_across(distance), bottom), colour)
        self._write((_across(same) + 10, _RECALL[0] + 24), f"duplicate, {same:g}", 18, _INK, "lm")
        beside = [(near, _INK, f"near duplicate, {near:g}")]
        if suggestion:
            beside.append((suggestion.threshold, _GREEN, f"suggested, {suggestion.threshold:.3g}"))
        for (distance, colour, label), (shift, anchor) in zip(sorted(beside), ((-10, "rm"), (10, "lm")), strict=False):
            self._write((_across(distance) + shift, _RECALL[1] - 40), label, 18, colour, anchor)

    def line(self, points: list[Point], colour: str) -> None:
        if len(points) > 1:
            self._draw.line(points, colour, 4, "curve")
        for x, y in points:
            self._draw.ellipse([x - 3, y - 3, x + 3, y + 3], colour)

    def one_in_a_thousand(self) -> None:
        y = _down_log(FALSE_SHARE)
        self._dashes((_LEFT, y), (_RIGHT, y), _SOFT)
        self._write((_RIGHT - 12, y - 16), "one pair among 1,000 images", 18, _SOFT, "rm")

    def tail(self, suggestion: Suggestion) -> None:
        """The power law that the suggestion was read from."""
        start = _across(suggestion.threshold), _down_log(FALSE_SHARE)
        self._dashes(start, (_across(suggestion.tail_distance), _down_log(suggestion.tail_share)), _GREEN)

    def _dashes(self, start: Point, end: Point, colour: str) -> None:
        length = math.dist(start, end)
        for at in range(0, int(length), 12):
            part = [at / length, min(1.0, (at + 7) / length)]
            ends = [(start[0] + t * (end[0] - start[0]), start[1] + t * (end[1] - start[1])) for t in part]
            self._draw.line(ends, colour, 2)

    def _write(self, at: Point, text: str, size: int, colour: str, anchor: str) -> None:
        self._draw.text(at, text, colour, ImageFont.load_default(size), anchor)


def _across(distance: float) -> float:
    share = math.log(max(distance, _NEAREST) / _NEAREST) / math.log(1 / _NEAREST)
    return _LEFT + share * (_RIGHT - _LEFT)


def _down_linear(share: float) -> float:
    top, bottom = _RECALL
    return bottom - share * (bottom - top)


def _down_log(share: float) -> float:
    top, bottom = _FALSE
    return bottom - (1 - math.log(max(share, _LEAST_SHARE)) / math.log(_LEAST_SHARE)) * (bottom - top)


def _times(power: int) -> str:
    return "all" if power == 0 else "1 in a million" if power == -6 else f"1 in {10**-power:,}"
