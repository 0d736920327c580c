"""The default embedder: a thumbnail's light, local contrast and colour, projected by a small fitted matrix.

Every sum is over integers that the floats used hold exactly, and everything else is done element by element with
operations that IEEE 754 rounds one way only. So a picture's vectors are the same in every batch, library and machine.
"""

import hashlib
import math
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from dedup_assets.core.detection.base import DEFAULT_EMBEDDER, TURNED_EMBEDDER, Calibration
from dedup_assets.core.detection.borders import EVERYTHING, Box, inside_borders, plain
from dedup_assets.core.detection.pooling import CELL, Span, cell_weights, light_and_colour
from dedup_assets.core.images import SKETCH_SIZE

Pictures = NDArray[np.uint8]
Float = NDArray[np.float64]
Float32 = NDArray[np.float32]

# Crops of one side, 0..1, whose views combine: all of it, the first or last nine or eight tenths, the middle.
_SPANS: tuple[tuple[Span, ...], ...] = (((0, 1),), ((0, 0.9), (0.1, 1)), ((0, 0.8), (0.2, 1)), ((0.075, 0.925),))


class _View(NamedTuple):
    """A part of a picture, by which of _SPANS and which two of these, turned by quarters and then mirrored."""

    spans: int = 0
    rows: int = 0
    columns: int = 0
    mirrored: bool = False
    turns: int = 0


_FULL = (_View(),)
_VIEWS = (
    *_FULL,
    *(_View(spans, rows, columns) for spans in (1, 2) for rows in (0, 1) for columns in (0, 1)),
    *(_View(spans, mirrored=True) for spans in (0, 3)),
)
_TURNED = (  # the other picture, turned by one, is the same as this one by three
    *(_View(turns=turns) for turns in (1, 2)),
    *(_View(mirrored=True, turns=turns) for turns in (1, 2, 3)),
)

_GRID = 16  # cells a side for light
_COLOUR_GRID = 8  # cells a side for colour
_GRIDS = (_GRID, _COLOUR_GRID, _COLOUR_GRID)
_REACH = 2  # cells to each side that local contrast is measured against
FEATURES = 2 * _GRID**2 + 2 * _COLOUR_GRID**2

_COLOUR_WEIGHT = 0.5
_FAINT = 4.0  # grey levels; light that varies less is not scaled up to full
_FAINT_LOCALLY = 6.0  # grey levels, within a neighbourhood of cells
_FAINT_COLOUR = 12.75 * math.sqrt(2) * _COLOUR_GRID  # grey levels, over all colour cells
_FLAT = 3.0  # grey levels; where a picture varies no more, its mean colour stands for it
_FEATURE_SCALE = 8192.0  # features are rounded to integers of this scale
_SUM_SCALE = 1024.0
_CHUNK = 16  # pictures at a time: what they need fits the cache
_WEIGHTS = Path(__file__).with_name("descriptor.npz")
_REVISION = 1  # of the code here; the weights add their own hash to the version

_NEAR = (np.abs(np.subtract.outer(np.arange(_GRID), np.arange(_GRID))) <= _REACH).astype(np.float64)
_NEAR_COUNT = np.outer(_NEAR.sum(axis=0), _NEAR.sum(axis=0))  # cells around each cell

_LEVELS = np.arange(256) * (math.pi / 255)
_COLOUR_CODE = np.rint(
    _SUM_SCALE * np.stack([np.cos(_LEVELS), np.sin(_LEVELS), np.cos(3 * _LEVELS), np.sin(3 * _LEVELS)], axis=1)
)
_COLOUR_DIMENSIONS = 3 * _COLOUR_CODE.shape[1]


class ThumbnailEmbedder:
    """See `Embedder`. Fitted by `dedup_assets_tests.benchmarks.fit_descriptor`; needs numpy alone.

    Its views are parts, a mirror image, and the frame without its plain borders; when `turned`, also the frame turned
    by quarters, mirrored or not.
    """

    picture_size = SKETCH_SIZE
    calibration = Calibration(view_factor=1.3)
    candidate_distance = 0.137

    def __init__(self, weights: Path = _WEIGHTS, *, turned: bool = False) -> None:
        with np.load(weights) as stored:
            mean, projection = stored["mean"], stored["projection"]
        digest = hashlib.sha256(mean.tobytes() + projection.tobytes()).hexdigest()
        self.version = f"{_REVISION}-{digest[:8]}"
        self.dimension = projection.shape[1] + _COLOUR_DIMENSIONS
        self._projection = projection.astype(np.float64)
        self._offset = mean.astype(np.float64) @ self._projection
        self._views = (*_VIEWS, *(_TURNED if turned else ()))
        self.name = TURNED_EMBEDDER if turned else DEFAULT_EMBEDDER
        self.turns = (*(view.turns for view in self._views), 0)
        self.views = len(self.turns)

    def embed(self, pictures: Pictures) -> NDArray[np.float32]:
        """(n, 48, 48, 3) uint8 RGB -> (n, views, dimension) float32, rows L2-normalised.

        The last 12 entries hold the mean colour of a picture that shows nothing else, and are next to 0 otherwise.
        """
        vectors = np.empty((len(pictures), self.views, self.dimension), np.float32)
        boxes: dict[int, Box] = {}
        for start in range(0, len(pictures), _CHUNK):
            planes, here = _planes(pictures[start : start + _CHUNK]), vectors[start : start + _CHUNK]
            here[:, :-1] = self._vectors(_look(planes, self._views)).reshape(len(here), -1, self.dimension)
            here[:, -1] = here[:, 0]
            boxes.update({start + place: box for place, box in _borders(planes).items()})
        framed, inside = list(boxes), list(boxes.values())
        for start in range(0, len(framed), _CHUNK * self.views):
            part = slice(start, start + _CHUNK * self.views)
            vectors[framed[part], -1] = self._vectors(_look_inside(_planes(pictures[framed[part]]), inside[part]))
        return vectors

    def _vectors(self, seen: "_Seen") -> Float:
        projected = np.rint((_features(seen) @ self._projection - self._offset) / 4096)
        return _with_colour(_unit(projected), seen)


def features(pictures: Pictures) -> Float:
    """(n, 48, 48, 3) uint8 RGB -> (n, FEATURES) integers of scale 8192: what the fitted matrix projects.

    Three blocks of the full frame, each of about unit length: light in 16 x 16 cells, large deviations squashed; local
    contrast in the same cells; colour differences in 8 x 8 cells, at half weight.
    """
    parts = (pictures[start : start + _CHUNK] for start in range(0, len(pictures), _CHUNK))
    return np.concatenate([_features(_look(_planes(part), _FULL)) for part in parts])


def save_weights(path: Path, mean: Float, projection: Float) -> None:
    """Write the mean (f,) and projection (f, d) of features as the integers `ThumbnailEmbedder` reads."""
    scaled = np.rint(projection * (32000 / np.abs(projection).max()))
    np.savez_compressed(path, mean=np.rint(mean).astype(np.int16), projection=scaled.astype(np.int16))


class _Planes(NamedTuple):
    """Light, blue minus light and red minus light of some pictures, in whole grey levels: (48 rows, n, 48 columns)."""

    light: Float32
    blue: Float32
    red: Float32


class _Seen(NamedTuple):
    """The views of some pictures, picture by picture, pooled to cells: grey levels times 4096, exact integers."""

    light: Float  # (v, 16, 16)
    colour: Float  # (v, 128), blue minus light then red minus light


def _planes(pictures: Pictures) -> _Planes:
    light, colour = light_and_colour(pictures)
    planes = (light, colour[:, 0], colour[:, 1])
    return _Planes(*(np.ascontiguousarray(plane.swapaxes(0, 1), np.float32) for plane in planes))


def _look(planes: _Planes, views: tuple[_View, ...]) -> _Seen:
    """The views of each picture."""
    return _seen([_pool(plane, views, cells) for plane, cells in zip(planes, _GRIDS, strict=True)])


def _look_inside(planes: _Planes, boxes: list[Box]) -> _Seen:
    """One view of each picture: what is in its box."""
    return _seen([_pool_inside(plane, boxes, cells) for plane, cells in zip(planes, _GRIDS, strict=True)])


def _seen(looks: list[Float]) -> _Seen:
    return _Seen(looks[0], np.concatenate([look.reshape(len(look), -1) for look in looks[1:]], axis=1))


def _pool(plane: Float32, views: tuple[_View, ...], cells: int) -> Float:
    """(48, n, 48) -> (n * views, cells, cells).

    float32 is exact here: 255 levels x 64 x 64 parts stay under 2 ** 24.
    """
    count = plane.shape[1]
    pooled = np.empty((count, len(views), cells, cells))
    for number, spans in enumerate(_SPANS):
        weights = np.concatenate([cell_weights(span, cells) for span in spans])
        across = (plane.reshape(-1, SKETCH_SIZE) @ weights.T).reshape(SKETCH_SIZE, -1)
        crops = (weights @ across).reshape(len(spans), cells, count, len(spans), cells)
        for place, view in enumerate(views):
            if view.spans == number:
                crop = np.rot90(crops[view.rows, :, :, view.columns], view.turns, axes=(0, 2))
                pooled[:, place] = (crop[..., ::-1] if view.mirrored else crop).swapaxes(0, 1)
    return pooled.reshape(-1, cells, cells)


def _pool_inside(plane: Float32, boxes: list[Box], cells: int) -> Float:
    """(48, n, 48) -> (n, cells, cells)."""
    down = np.stack([cell_weights((top, bottom), cells) for top, bottom, _, _ in boxes])
    along = np.stack([cell_weights((left, right), cells).T for _, _, left, right in boxes])
    return np.asarray(down @ plane.swapaxes(0, 1) @ along, np.float64)


def _borders(planes: _Planes) -> dict[int, Box]:
    """What plain borders leave, of each picture that has any: letterboxes, frames, margins with or without text."""
    light = planes.light.swapaxes(0, 1)
    sides = np.stack([light[:, 0], light[:, -1], light[:, :, 0], light[:, :, -1]], axis=1)
    boxes = {place: inside_borders(light[place]) for place in np.flatnonzero(plain(sides).any(axis=1)).tolist()}
    return {place: box for place, box in boxes.items() if box != EVERYTHING}


def _features(seen: _Seen) -> Float:
    count = len(seen.light)
    blocks = [_squashed(seen.light.reshape(count, -1)), _local_contrast(seen.light).reshape(count, -1)]
    length = np.sqrt(_squares(seen.colour))
    colour = seen.colour * (_COLOUR_WEIGHT / (length + _FAINT_COLOUR * CELL))
    joined = np.concatenate([*map(_unit, blocks), colour], axis=1)
    joined *= _FEATURE_SCALE
    return np.asarray(np.rint(joined, out=joined))


def _squashed(light: Float) -> Float:
    """Light about its mean in units of its deviation, large values bent towards 1."""
    off = np.rint(light - light.sum(axis=1, keepdims=True) / light.shape[1])
    deviation = np.sqrt(_squares(off) / light.shape[1])
    relative = off / (deviation + _FAINT * CELL)
    length = relative * relative
    length += 1
    relative /= np.sqrt(length, out=length)
    relative *= _SUM_SCALE
    return np.asarray(np.rint(relative, out=relative))


def _local_contrast(light: Float) -> Float:
    """Each cell against the mean and deviation of the 5 x 5 cells around it."""
    total, spread = _box_sum(light), _box_sum(light * light)
    spread *= _NEAR_COUNT
    spread -= total * total
    np.maximum(spread, 0, out=spread)
    spread += (_NEAR_COUNT * (_FAINT_LOCALLY * CELL)) ** 2
    contrast = _NEAR_COUNT * light
    contrast -= total
    contrast /= np.sqrt(spread, out=spread)
    contrast *= _SUM_SCALE
    return np.asarray(np.rint(contrast, out=contrast))


def _box_sum(cells: Float) -> Float:
    """(n, 16, 16) the sum over the cells around each."""
    return np.asarray(_NEAR @ (cells.reshape(-1, _GRID) @ _NEAR).reshape(cells.shape))


def _with_colour(projected: Float, seen: _Seen) -> Float:
    """The projected vectors, giving way to the mean colour as the picture's variation falls towards nothing."""
    light = seen.light.reshape(len(seen.light), -1)
    blue, red = np.split(seen.colour, 2, axis=1)
    variance = (_variance(light) + _variance(blue) + _variance(red))[:, None]
    flat = _FLAT**4 / (variance**2 + _FLAT**4)
    mean = light.mean(axis=1) / CELL
    channels = [mean + red.mean(axis=1) / CELL, mean, mean + blue.mean(axis=1) / CELL]
    levels = np.stack([np.clip(np.rint(channel), 0, 255).astype(np.intp) for channel in channels], axis=1)
    code = _unit(_COLOUR_CODE[levels].reshape(len(light), -1))
    joined = np.concatenate([projected * np.sqrt(1 - flat), code * np.sqrt(flat)], axis=1)
    return _unit(np.rint(_FEATURE_SCALE * joined))


def _variance(cells: Float) -> Float:
    """(n,) in grey levels squared."""
    off = np.rint(cells - cells.mean(axis=1, keepdims=True))
    return np.asarray(_squares(off)[:, 0] / (cells.shape[1] * float(CELL) ** 2))


def _squares(integers: Float) -> Float:
    """(n, 1) sum of squares of the rows of (n, m) integers: exact while it stays under 2 ** 53."""
    return np.asarray(np.einsum("ij,ij->i", integers, integers)[:, None], np.float64)


def _unit(integers: Float) -> Float:
    """Rows of integers divided by their length; a row of zeros stays."""
    return np.asarray(integers / np.sqrt(np.maximum(_squares(integers), 1)))
