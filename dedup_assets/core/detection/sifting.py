"""A sieve for candidate pairs: their outlines, then their sketches let most of them go, before any is named or kept."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from dedup_assets.core.detection.contents import Content, ContentsAt, Ends, Indices, Sketches, ends_of
from dedup_assets.core.engines.base import Engine
from dedup_assets.core.scanning import shards_of

if TYPE_CHECKING:
    from dedup_assets.core.detection.outlines import Outlines

Turns = Callable[[Indices, Indices], tuple[Indices, Indices]]

_SHARD = 1 << 15  # pairs in one piece of work
_SKETCHES = 1 << 13  # in memory at a time
_OUTLINES = 1 << 17  # kept, of 2.6 kB each


class SiftPairs:
    """Work of an engine: (p,) whether the two of each pair may be one picture. Keeps outlines for the next shard."""

    def __init__(self, sketches: Sketches) -> None:
        self._sketches = sketches
        self._outlines: dict[str, tuple[NDArray[np.int8], ...]] = {}

    def __reduce__(self) -> tuple[Any, ...]:
        """Travels without them."""
        return SiftPairs, (self._sketches,)

    def __call__(self, shard: Ends) -> NDArray[np.bool_]:
        """False where outlines or sketches rule it out."""
        from dedup_assets.core.detection import judging

        judge = judging.Judge()
        drawn = self._outlines_of(shard.contents)
        kept = judge.worth_a_look(drawn, shard.first, shard.second)
        left = np.flatnonzero(kept)
        for start in range(0, len(left), _SKETCHES // 2):
            part = left[start : start + _SKETCHES // 2]
            rows, ends = np.unique(np.stack([shard.first[part], shard.second[part]]), return_inverse=True)
            sketches = self._sketches.read([shard.contents[row] for row in rows.tolist()])
            kept[part] = judge.worth_aligning(sketches, drawn.light[rows], *ends.reshape(2, -1))
        return kept

    def _outlines_of(self, contents: Sequence[Content]) -> "Outlines":
        from dedup_assets.core.detection import outlines

        held = dict(self._outlines)  # another thread may let go of them meanwhile
        new = [content for content in contents if content.key not in held]
        for part in shards_of(new, _SKETCHES):
            drawn = outlines.outline(self._sketches.read(part))
            held.update(zip((content.key for content in part), zip(*drawn, strict=True), strict=True))
        if len(held) <= _OUTLINES:
            self._outlines.update(held)
        else:
            self._outlines = {}
        lines = zip(*(held[content.key] for content in contents), strict=True)
        return outlines.Outlines(*(np.stack(line) for line in lines))


class Sieve:
    """Which pairs are worth comparing; the answer for a pair depends on its two contents alone."""

    def __init__(
        self,
        contents: ContentsAt,
        turns: Turns,
        sketches: Sketches,
        engine: Engine,
        progress: Callable[[int, int], None] | None = None,
    ) -> None:
        """`contents`: those of some rows. `turns(first, second)`: by how many quarters to turn the ends of pairs of
        rows. `engine`: does the work. `progress(done, total)`: told of each call."""
        self._contents, self._turns, self._engine, self._progress = contents, turns, engine, progress
        self._work = SiftPairs(sketches)

    def __call__(self, first: Indices, second: Indices, vector_distance: NDArray[np.float64]) -> NDArray[np.bool_]:
        """(p,) for pairs of rows. Those near enough to be the very same picture always are."""
        from dedup_assets.core.detection import fullsize

        kept = vector_distance <= fullsize.TINY_DISTANCE
        asked = np.flatnonzero(~kept)
        if not len(asked):
            return kept
        parts = [asked[start : start + _SHARD] for start in range(0, len(asked), _SHARD)]
        shards = (self._shard(first[part], second[part]) for part in parts)
        for part, answer in zip(parts, self._engine.each(self._work, shards), strict=True):
            kept[part] = answer
            if self._progress:
                self._progress(int(part[-1]) + 1, len(first))
        return kept

    def _shard(self, first: Indices, second: Indices) -> Ends:
        return ends_of(self._contents, first, second, self._turns(first, second))
