"""Distinct contents, and the small pictures of them that pairs are judged by."""

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dedup_assets.core.images import SKETCH_SIZE, read_picture
from dedup_assets.core.scanning import in_parallel
from dedup_assets.core.sources.base import Readable
from dedup_assets.core.storage.arrays import ArrayShelf


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
