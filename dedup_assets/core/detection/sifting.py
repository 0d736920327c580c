"""A sieve for candidate pairs: their outlines, then their sketches let most of them go, before any is named or kept."""

import contextlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from dedup_assets.core.engines.base import Engine
from dedup_assets.core.images import SKETCH_SIZE, read_picture
from dedup_assets.core.scanning import in_parallel, shards_of
from dedup_assets.core.sources.base import Readable
from dedup_assets.core.storage.arrays import ArrayShelf

Indices = NDArray[np.int64]

_SHARD = 1 << 15  # pairs in one piece of work
_SKETCHES = 1 << 13  # in memory at a time


@dataclass(frozen=True, slots=True)
class Content:
    """One distinct content: where to read it, and its displayed size and number of frames."""

    content_id: str
    file: Readable
    size: tuple[int, int]
    frames: int


@dataclass(frozen=True, slots=True)
class Sketches:
    """The sketches of contents: from the shelf, or from their files where it lacks some."""

    shelf: ArrayShelf | None
    workers: int | None

    def read(self, contents: Sequence[Content]) -> NDArray[np.uint8]:
        """(n, 48, 48, 3) uint8 RGB."""
        if self.shelf:
            with contextlib.suppress(KeyError):
                return self.shelf.read([content.content_id for content in contents])
        read = in_parallel(lambda content: read_picture(content.file, SKETCH_SIZE), contents, self.workers)
        return np.array(list(read), np.uint8).reshape(-1, SKETCH_SIZE, SKETCH_SIZE, 3)


class _Shard(NamedTuple):
    """Pairs: the places in `contents` of both ends of each."""

    contents: Sequence[Content]
    first: Indices
    second: Indices


@dataclass(frozen=True, slots=True)
class SiftPairs:
    """Work of an engine: (p,) whether the two of each pair may be one picture."""

    sketches: Sketches

    def __call__(self, shard: _Shard) -> NDArray[np.bool_]:
        """False where outlines or sketches rule it out."""
        from dedup_assets.core.detection import judging, outlines

        judge = judging.Judge()
        parts = [outlines.outline(self.sketches.read(part)) for part in shards_of(shard.contents, _SKETCHES)]
        seen = outlines.Outlines(*(np.concatenate(part) for part in zip(*parts, strict=True)))
        kept = judge.worth_a_look(seen, shard.first, shard.second)
        left = np.flatnonzero(kept)
        for start in range(0, len(left), _SKETCHES // 2):
            part = left[start : start + _SKETCHES // 2]
            rows, first, second = _rows_of(shard.first[part], shard.second[part])
            sketches = self.sketches.read([shard.contents[row] for row in rows.tolist()])
            kept[part] = judge.worth_aligning(sketches, first, second)
        return kept


@dataclass(frozen=True, slots=True)
class Sieve:
    """Which pairs are worth comparing; the answer for a pair depends on its two contents alone.

    `contents`: those of some rows. `engine`: does the work. `progress(done, total)`: told of each call.
    """

    contents: Callable[[Indices], Sequence[Content]]
    sketches: Sketches
    engine: Engine
    progress: Callable[[int, int], None] | None = None

    def __call__(self, first: Indices, second: Indices, vector_distance: NDArray[np.float64]) -> NDArray[np.bool_]:
        """(p,) for pairs of rows. Those near enough to be the very same picture always are."""
        from dedup_assets.core.detection import fullsize

        kept = vector_distance <= fullsize.TINY_DISTANCE
        asked = np.flatnonzero(~kept)
        if not len(asked):
            return kept
        parts = [asked[start : start + _SHARD] for start in range(0, len(asked), _SHARD)]
        shards = (self._shard(first[part], second[part]) for part in parts)
        for part, answer in zip(parts, self.engine.each(SiftPairs(self.sketches), shards), strict=True):
            kept[part] = answer
            if self.progress:
                self.progress(int(part[-1]) + 1, len(first))
        return kept

    def _shard(self, first: Indices, second: Indices) -> _Shard:
        rows, *ends = _rows_of(first, second)
        return _Shard(self.contents(rows), *ends)


def _rows_of(first: Indices, second: Indices) -> tuple[Indices, Indices, Indices]:
    """The rows that pairs name, each once, and the places of both ends among them."""
    rows, ends = np.unique(np.stack([first, second]), return_inverse=True)
    first, second = ends.reshape(2, -1)
    return rows, first, second
