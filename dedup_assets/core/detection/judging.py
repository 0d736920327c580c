"""The second stage: which candidate pairs show the same picture. A glance at outlines rules most out, sketches most of
the others; the rest are aligned."""

from collections.abc import Callable, Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from dedup_assets.core.detection import agreement as agreement_module
from dedup_assets.core.detection.evidence import evidence
from dedup_assets.core.detection.glancing import glance
from dedup_assets.core.detection.outlines import Indices, Outlines, Pictures
from dedup_assets.core.detection.screening import Screen
from dedup_assets.core.images import SKETCH_SIZE

Size = tuple[int, int]
Align = Callable[[list[int]], Iterable[float]]

RULED_OUT_DISTANCE = 0.2  # of two pictures whose sketches rule out that they are one


class Judge:
    """The agreement of candidate pairs, 0..1, 1 = same picture. It depends on the two pictures alone."""

    def __init__(self) -> None:
        self._screen = Screen()
        self.version = self._screen.version

    def worth_a_look(self, outlines: Outlines, first: Indices, second: Indices) -> NDArray[np.bool_]:
        """(p,) whether each pair of rows of `outlines` may be one picture; the others are ruled out."""
        return self._screen.worth_a_look(glance(outlines, first, second))

    def worth_aligning(
        self, sketches: Pictures, crops: NDArray[np.int8], first: Indices, second: Indices
    ) -> NDArray[np.bool_]:
        """(p,) the same of pairs of rows of `sketches` and of their `crops`, the light of their outlines."""
        return self._screen.worth_aligning(evidence(sketches, first, second, crops))

    def agreements(
        self, sketches: Pictures, sizes: Sequence[Size], first: Indices, second: Indices, align: Align
    ) -> NDArray[np.float64]:
        """(p,) agreement of each pair of rows of `sketches`, NaN where these rule it out.

        `align` gives the agreement of the aligned pictures of the pairs it is asked for by number: the costly part.
        That of pictures which are smaller than a sketch stays as it is.
        """
        seen = evidence(sketches, first, second)
        asked = np.flatnonzero(self._screen.worth_aligning(seen))
        agreed = np.full(len(first), np.nan)
        aligned = np.array(list(align(asked.tolist())), np.float64)
        tiny = np.array([min(size) < SKETCH_SIZE for size in sizes], bool)
        tiny_pair = tiny[first[asked]] | tiny[second[asked]]
        agreed[asked] = np.where(tiny_pair, aligned, self._screen.verdict(seen[:, asked], aligned))
        return agreed


def distances_of(agreement: NDArray[np.float64]) -> NDArray[np.float64]:
    """(p,) the distance of each agreement; RULED_OUT_DISTANCE for NaN."""
    distance = np.array([agreement_module.distance_of(agreed) for agreed in agreement.tolist()])
    return np.where(np.isnan(agreement), RULED_OUT_DISTANCE, distance)
