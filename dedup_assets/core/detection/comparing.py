"""Candidate pairs to distances, one by one: full size where the vectors say 'same', aligned and local elsewhere."""

import contextlib
import hashlib
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from dedup_assets.core.arrays import ArrayShelf
from dedup_assets.core.engines.base import Engine
from dedup_assets.core.engines.local import LocalEngine
from dedup_assets.core.images import read_full
from dedup_assets.core.run import Run
from dedup_assets.core.scanning import in_parallel, shards_of
from dedup_assets.core.sources.base import Readable

if TYPE_CHECKING:
    from dedup_assets.core.detection.agreement import Prepared

LEAST_NEAR_DISTANCE = 0.0002  # of two pictures that a full-size comparison does not call the same
SAME_DISTANCE = 0.0001

_CHUNK = 1024
_PICTURES_KEPT = 8192


@dataclass(frozen=True, slots=True)
class Content:
    """One distinct content: where to read it, and its displayed size and number of frames."""

    content_id: str
    file: Readable
    size: tuple[int, int]
    frames: int


def comparison_version() -> str:
    """Changes when a comparison would give another answer."""
    from dedup_assets.core.detection import agreement, fullsize

    return f"{agreement.VERSION}-{fullsize.VERSION}"


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
        self, shelf: ArrayShelf, second_stage: bool, workers: int | None, engine: Engine | None = None
    ) -> None:
        self._shelf = shelf
        self._engine = engine or LocalEngine(workers)
        self._second_stage = second_stage
        self._workers = workers
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
        keys = [
            comparison_key(contents[a].content_id, contents[b].content_id, self._second_stage)
            for a, b in zip(first.tolist(), second.tolist(), strict=True)
        ]
        new = self._shelf.missing(keys)
        place = {key: row for row, key in enumerate(keys)}
        shards = [
            [
                (contents[int(first[row])], contents[int(second[row])], float(vector_distance[row]))
                for row in (place[key] for key in part)
            ]
            for part in shards_of(new, _CHUNK)
        ]
        done = 0
        for part, compared in zip(shards_of(new, _CHUNK), self._engine.each(self, shards, alone=True), strict=True):
            self._shelf.add(part, compared)
            done += len(part)
            run.progress("comparing candidate pairs", done, len(new))
        results = self._shelf.read(keys)
        return results[:, 0].astype(np.float64), results[:, 1].astype(np.float64)

    def __call__(self, pairs: Sequence[tuple[Content, Content, float]]) -> NDArray[np.float64]:
        """Work of an engine: (p, 2) distance and agreement of each pair with its vector distance."""

        def compare(pair: tuple[Content, Content, float]) -> tuple[float, float]:
            a, b = sorted(pair[:2], key=lambda content: content.content_id)
            return self._compare(a, b, pair[2])

        with _one_thread_each():
            self._prepare({content for a, b, _ in pairs for content in (a, b)})
            return np.array(list(in_parallel(compare, pairs, self._workers)))

    def __reduce__(self) -> tuple[Any, ...]:
        """Travels without its engine and the pictures it holds."""
        return Comparer, (self._shelf, self._second_stage, self._workers)

    def _compare(self, a: Content, b: Content, vector_distance: float) -> tuple[float, float]:
        from dedup_assets.core.detection import agreement, fullsize

        if vector_distance <= fullsize.TINY_DISTANCE and a.size == b.size and a.frames == b.frames == 1:
            result = fullsize.compare_full(read_full(a.file), read_full(b.file))
            if result.identical:
                return 0.0, 1.0
            if result.distance is not None and result.distance <= SAME_DISTANCE:
                return result.distance, 1.0
        if not self._second_stage:
            return max(vector_distance, LEAST_NEAR_DISTANCE), float("nan")
        agreed = agreement.compare(self._pictures[a.content_id], self._pictures[b.content_id])
        return max(agreement.distance_of(agreed), LEAST_NEAR_DISTANCE), agreed

    def _prepare(self, contents: set[Content]) -> None:
        if not self._second_stage:
            return
        from dedup_assets.core.detection import agreement

        for content in contents:
            if content.content_id in self._pictures:
                self._pictures.move_to_end(content.content_id)
        new = sorted((c for c in contents if c.content_id not in self._pictures), key=lambda c: c.content_id)
        pictures = in_parallel(lambda content: agreement.prepare(content.file), new, self._workers)
        for content, picture in zip(new, pictures, strict=True):
            self._pictures[content.content_id] = picture
        while len(self._pictures) > max(_PICTURES_KEPT, len(contents)):
            self._pictures.popitem(last=False)
