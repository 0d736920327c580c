"""Distinct contents, and the small pictures of them that pairs are judged by."""

import contextlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from dedup_assets.core.images import SKETCH_SIZE, read_picture
from dedup_assets.core.scanning import in_parallel
from dedup_assets.core.sources.base import Readable
from dedup_assets.core.storage.arrays import ArrayShelf

Indices = NDArray[np.int64]
ContentsAt = Callable[[Indices], Sequence["Content"]]

_QUARTERS = 4  # of a full turn


@dataclass(frozen=True, slots=True)
class Content:
    """One distinct content: where to read it, its displayed size and number of frames, and how to look at it: turned
    by so many quarters, anticlockwise."""

    content_id: str
    file: Readable
    size: tuple[int, int]
    frames: int
    turns: int = 0

    @property
    def key(self) -> str:
        """Of what is seen: no other content has it, nor this one turned otherwise."""
        return f"{self.content_id}{self.turns or ''}"


class Ends(NamedTuple):
    """The contents that pairs are of, each once, and the places of both ends among them."""

    contents: list[Content]
    first: Indices
    second: Indices


def ends_of(contents: ContentsAt, first: Indices, second: Indices, turns: tuple[Indices, Indices]) -> Ends:
    """The contents of pairs of rows. `turns`: by how many quarters to turn each first and each second one."""
    seen, places = np.unique(np.stack([first, second]) * _QUARTERS + np.stack(turns), return_inverse=True)
    rows, by = np.divmod(seen, _QUARTERS)
    turned = [replace(one, turns=n) if n else one for one, n in zip(contents(rows), by.tolist(), strict=True)]
    return Ends(turned, *places.reshape(2, -1))


@dataclass(frozen=True, slots=True)
class Sketches:
    """The sketches of contents: from the shelf, or from their files where it lacks some."""

    shelf: ArrayShelf | None
    workers: int | None

    def read(self, contents: Sequence[Content]) -> NDArray[np.uint8]:
        """(n, 48, 48, 3) uint8 RGB."""
        sketches = self._upright(contents)
        for place, content in enumerate(contents):
            if content.turns:
                sketches[place] = np.rot90(sketches[place], content.turns)
        return sketches

    def _upright(self, contents: Sequence[Content]) -> NDArray[np.uint8]:
        if self.shelf:
            with contextlib.suppress(KeyError):
                return self.shelf.read([content.content_id for content in contents])
        read = in_parallel(lambda content: read_picture(content.file, SKETCH_SIZE), contents, self.workers)
        return np.array(list(read), np.uint8).reshape(-1, SKETCH_SIZE, SKETCH_SIZE, 3)
