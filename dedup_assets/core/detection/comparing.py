"""Candidate pairs to distances: at full size where the vectors say 'same', by the second stage elsewhere."""

import contextlib
import hashlib
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from dedup_assets.core.detection.contents import Content, Sketches
from dedup_assets.core.engines.base import Engine
from dedup_assets.core.engines.local import LocalEngine
from dedup_assets.core.images import read_full
from dedup_assets.core.run import Run
from dedup_assets.core.scanning import in_parallel, shards_of
from dedup_assets.core.storage.arrays import ArrayShelf

if TYPE_CHECKING:
    from dedup_assets.core.detection.agreement import Prepared
    from dedup_assets.core.detection.judging import Judge

LEAST_NEAR_DISTANCE = 0.0002  # of two pictures that a full-size comparison does not call the same
SAME_DISTANCE = 0.0001

_BLOCK = 1 << 17  # pairs held by name at a time
_CHUNK = 1024
_PICTURES_KEPT = 8192


class _Pair(NamedTuple):
    first: Content
    second: Content
    vector_distance: float

    @property
    def ends(self) -> tuple[Content, Content]:
        """Both contents."""
        return self.first, self.second

    def key(self, second_stage: bool) -> str:
        """Under which the comparison is kept."""
        return comparison_key(self.first.content_id, self.second.content_id, second_stage)

    @property
    def of_one_size(self) -> bool:
        """Whether a comparison at full size can tell anything."""
        turned = self.first.turns or self.second.turns
        return not turned and self.first.size == self.second.size and self.first.frames == self.second.frames == 1


def comparison_version() -> str:
    """Changes when a comparison would give another answer."""
    from dedup_assets.core.detection import agreement, fullsize, judging

    return f"{agreement.VERSION}-{fullsize.VERSION}-{judging.Judge().version}"


def comparison_key(content_a: str, content_b: str, second_stage: bool) -> str:
    """Under which the comparison of two contents, the smaller first, is kept."""
    return hashlib.sha256(f"{content_a}{content_b}{second_stage}".encode()).hexdigest()


@contextlib.contextmanager
def _one_thread_each() -> Iterator[None]:
    """Keep OpenCV from splitting work that is already spread over threads: on small pictures that only costs."""
    import cv2

    before = cv2.getNumThreads()
    cv2.setNumThreads(1)
    try:
        yield
    finally:
        cv2.setNumThreads(before)


class Comparer:
    """Distances of pairs of contents, remembered by the shelf it is given; a pair is compared once in its life."""

    def __init__(
        self,
        shelf: ArrayShelf,
        second_stage: bool,
        workers: int | None,
        engine: Engine | None = None,
        sketches: ArrayShelf | None = None,
    ) -> None:
        self._shelf = shelf
        self._engine = engine or LocalEngine(workers)
        self._second_stage = second_stage
        self._workers = workers
        self._sketches = Sketches(sketches, workers)
        self._judge: Judge | None = None
        self._pictures: OrderedDict[str, Prepared] = OrderedDict()

    def distances(
        self,
        contents: Sequence[Content],
        first: NDArray[np.int64],
        second: NDArray[np.int64],
        vector_distance: NDArray[np.float64],
        run: Run,
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """(p,) distance (0..1, 0 = same picture) and agreement (0..1, NaN where not asked) of each pair of rows.

        The answer depends on the two contents alone.
        """
        results = np.empty((len(first), 2))
        for start in range(0, len(first), _BLOCK):
            block = slice(start, start + _BLOCK)
            ends = zip(first[block].tolist(), second[block].tolist(), vector_distance[block].tolist(), strict=True)
            pairs = (_Pair(contents[a], contents[b], distance) for a, b, distance in ends)
            results[block] = self._block(pairs, partial(_tell, run, start, len(first)))
        return results[:, 0], results[:, 1]

    def _block(self, pairs: Iterable[_Pair], tell: Callable[[int], None]) -> NDArray[np.float64]:
        """(p, 2) distance and agreement of some pairs: those compared before, and what the engine makes of the rest."""
        by_key = {pair.key(self._second_stage): pair for pair in pairs}
        new = self._shelf.missing(list(by_key))
        shards = ([by_key[key] for key in part] for part in shards_of(new, _CHUNK))
        done = len(by_key) - len(new)
        for part, compared in zip(shards_of(new, _CHUNK), self._engine.each(self, shards, alone=True), strict=True):
            self._shelf.add(part, compared)
            done += len(part)
            tell(done)
        return self._shelf.read(list(by_key)).astype(np.float64)

    def __call__(self, pairs: Sequence[_Pair]) -> NDArray[np.float64]:
        """Work of an engine: (p, 2) distance and agreement of each pair."""
        with _one_thread_each():
            return self._compare(pairs)

    def __reduce__(self) -> tuple[Any, ...]:
        """Travels without its engine and the pictures it holds."""
        return Comparer, (self._shelf, self._second_stage, self._workers, None, self._sketches.shelf)

    def _compare(self, pairs: Sequence[_Pair]) -> NDArray[np.float64]:
        from dedup_assets.core.detection import fullsize

        vector_distance = np.array([pair.vector_distance for pair in pairs])
        results = np.stack([np.maximum(vector_distance, LEAST_NEAR_DISTANCE), np.full(len(pairs), np.nan)], axis=1)
        tiny = [k for k in np.flatnonzero(vector_distance <= fullsize.TINY_DISTANCE).tolist() if pairs[k].of_one_size]
        full_size = in_parallel(_full_size_distance, [pairs[k] for k in tiny], self._workers)
        for k, distance in zip(tiny, full_size, strict=True):
            if distance <= SAME_DISTANCE:
                results[k] = distance, 1.0
        if self._second_stage:
            others = np.flatnonzero(results[:, 1] != 1)
            results[others] = self._judge_pairs([pairs[k] for k in others.tolist()])
        return results

    def _judge_pairs(self, pairs: Sequence[_Pair]) -> NDArray[np.float64]:
        from dedup_assets.core.detection import agreement, judging

        self._judge = self._judge or judging.Judge()
        keys, ends = np.unique([end.key for pair in pairs for end in pair.ends], return_inverse=True)
        contents = {end.key: end for pair in pairs for end in pair.ends}

        def align(asked: list[int]) -> Iterator[float]:
            self._prepare({end for k in asked for end in pairs[k].ends})
            pictures = self._pictures
            return in_parallel(
                lambda k: agreement.compare(*(pictures[end.key] for end in pairs[k].ends)), asked, self._workers
            )

        first, second = ends.reshape(-1, 2).T
        ordered = [contents[key] for key in keys]
        sizes = [content.size for content in ordered]
        agreed = self._judge.agreements(self._sketches.read(ordered), sizes, first, second, align)
        return np.stack([np.maximum(judging.distances_of(agreed), LEAST_NEAR_DISTANCE), agreed], axis=1)

    def _prepare(self, contents: set[Content]) -> None:
        from dedup_assets.core.detection import agreement

        for content in contents:
            if content.key in self._pictures:
                self._pictures.move_to_end(content.key)
        new = sorted((content for content in contents if content.key not in self._pictures), key=lambda one: one.key)
        pictures = in_parallel(lambda content: agreement.prepare(content.file, content.turns), new, self._workers)
        for content, picture in zip(new, pictures, strict=True):
            self._pictures[content.key] = picture
        while len(self._pictures) > max(_PICTURES_KEPT, len(contents)):
            self._pictures.popitem(last=False)


def _tell(run: Run, before: int, total: int, done: int) -> None:
    run.progress("comparing candidate pairs", before + done, total)


def _full_size_distance(pair: _Pair) -> float:
    from dedup_assets.core.detection import fullsize

    first, second = sorted(pair.ends, key=lambda content: content.content_id)
    result = fullsize.compare_full(read_full(first.file), read_full(second.file))
    return 1.0 if result.distance is None else result.distance
