"""What resembles a picture beyond the near duplicates: the nearest full-frame vectors of the whole store."""

import numpy as np
from numpy.typing import NDArray

from dedup_assets.core.detection.embedders import load_embedder
from dedup_assets.core.errors import DedupError
from dedup_assets.core.exploring.snapshot import Gallery, Snapshot
from dedup_assets.core.steps.inputs import distinct_contents, stored_vectors

_BLOCK = 8192


class Resembling:
    """The vectors of one gallery, read once."""

    def __init__(self, snapshot: Snapshot) -> None:
        gallery: Gallery = snapshot.gallery
        contents = distinct_contents(gallery.images[gallery.readable])
        embedder = load_embedder(snapshot.project.embedder)
        self.gallery = gallery
        self._calibration = embedder.calibration
        self._full: NDArray[np.int8] = stored_vectors(snapshot.project, embedder, contents)[:, 0]
        self._rows = np.array([gallery.row_of[image] for image in contents["image_id"]], np.int64)
        self._norms = np.concatenate(
            [np.linalg.norm(part.astype(np.float32), axis=1) for part in _blocks(self._full)] or [np.empty(0)]
        )

    def of(self, row: int, most: int) -> list[tuple[int, float]]:
        """The nearest other pictures of one: (row, distance by the vectors), nearest first.

        One image stands for all identical ones. The distance is that of the full frames, no local comparison.
        """
        own = np.flatnonzero(self.gallery.content[self._rows] == self.gallery.content[row])
        if not len(own):
            raise DedupError("this picture has no vector yet; run the chain again")
        wanted = self._full[own[0]].astype(np.float32)
        dots = np.concatenate([part.astype(np.float32) @ wanted for part in _blocks(self._full)])
        cosines = dots / np.maximum(self._norms * np.linalg.norm(wanted), 1.0)
        distances = self._calibration.distance(cosines.astype(np.float64))
        distances[own] = np.inf
        nearest = np.argsort(distances, kind="stable")[:most]
        return [(int(self._rows[at]), float(distances[at])) for at in nearest if np.isfinite(distances[at])]


def _blocks(vectors: NDArray[np.int8]) -> list[NDArray[np.int8]]:
    return [vectors[start : start + _BLOCK] for start in range(0, len(vectors), _BLOCK)]
