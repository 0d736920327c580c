"""Photos of somebody's own, edits planted in them, and the distances that both stages of a run give to their pairs."""

import hashlib
import tempfile
from collections.abc import Sequence
from functools import partial
from itertools import combinations
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from dedup_assets.core.calibration.edits import Edit, plant
from dedup_assets.core.detection.base import Calibration, Embedder
from dedup_assets.core.detection.comparing import Comparer
from dedup_assets.core.detection.contents import Content, Sketches, ends_of
from dedup_assets.core.detection.cosines import Distances, Indices, pair_distances, pair_turns, quantise
from dedup_assets.core.detection.products import Int8
from dedup_assets.core.detection.sifting import Sieve
from dedup_assets.core.engines.local import LocalEngine
from dedup_assets.core.errors import SourceError
from dedup_assets.core.images import SKETCH_SIZE, as_rgb, open_scaled, read_image, read_picture, upright
from dedup_assets.core.run import Run
from dedup_assets.core.scanning import in_parallel
from dedup_assets.core.settings import NEAR_DUPLICATE_THRESHOLD
from dedup_assets.core.sources.base import Listing, Readable, Source
from dedup_assets.core.storage.arrays import ArrayShelf

_SIDE = 400  # pixels; photos are no longer than this on their longer side before they are edited
_LEAST_SIDE = 8  # pixels; there is no editing of anything smaller


class Photo(NamedTuple):
    """One of the user's images: upright RGB, 400 pixels at most."""

    image_id: str
    picture: Image.Image

    @property
    def seed(self) -> int:
        """What chance in its edits hangs on."""
        return int.from_bytes(_digest(self.image_id)[:4], "big")


class DifferentPairs(NamedTuple):
    """Pairs of different photos: rows, distance, half-angle distance of the vectors, and FalsePair's `confirmed`."""

    first: Indices
    second: Indices
    distance: Distances
    u: Distances
    confirmed: NDArray[np.bool_]


class Bench:
    """Photos and their edits, as files, through the same two stages as in a run."""

    def __init__(self, embedder: Embedder, second_stage: bool, workers: int | None, folder: Path) -> None:
        self._embedder, self._second_stage, self._workers, self._folder = embedder, second_stage, workers, folder

    def planted(self, photos: Sequence[Photo], edits: Sequence[Edit]) -> tuple[Distances, Distances]:
        """(photos, edits) distance of each photo to each of its edits, and half-angle distance of their vectors."""
        with tempfile.TemporaryDirectory(dir=self._folder) as folder:

            def write(photo: Photo) -> list[Path]:
                name = _digest(photo.image_id).hex()
                paths = [Path(folder, f"{name}.png")]
                photo.picture.save(paths[0])
                for place, edit in enumerate(edits):
                    paths.append(Path(folder, f"{name}_{place}.{edit.format.lower()}"))
                    paths[-1].write_bytes(plant(edit, photo.picture, photo.seed))
                return paths

            files = [path for paths in in_parallel(write, photos, self._workers) for path in paths]
            contents, vectors = self._look(files, Path(folder))
            rows = np.arange(len(files)).reshape(len(photos), len(edits) + 1)
            first, second = np.repeat(rows[:, 0], len(edits)), rows[:, 1:].ravel()
            distance = self._distances(contents, vectors, first, second, self._second_stage, Path(folder))
        u, _ = pair_distances(vectors, first, second, Calibration())
        return distance.reshape(len(photos), -1), u.reshape(len(photos), -1)

    def different(self, photos: Sequence[Photo]) -> DifferentPairs:
        """Every pair of the photos."""
        with tempfile.TemporaryDirectory(dir=self._folder) as folder:
            paths = [Path(folder, f"{place}.png") for place in range(len(photos))]
            for photo, path in zip(photos, paths, strict=True):
                photo.picture.save(path)
            contents, vectors = self._look(paths, Path(folder))
            first, second = np.array(list(combinations(range(len(photos)), 2))).T
            both = self._distances(contents, vectors, first, second, True, Path(folder))
            distance = both
            if not self._second_stage:
                distance = self._distances(contents, vectors, first, second, False, Path(folder))
        u, _ = pair_distances(vectors, first, second, Calibration())
        return DifferentPairs(first, second, distance, u, both <= NEAR_DUPLICATE_THRESHOLD.default)

    def _look(self, paths: Sequence[Path], folder: Path) -> tuple[list[Content], Int8]:
        facts = list(in_parallel(read_image, paths, self._workers))
        contents = [
            Content(str(fact.file_hash), path, (int(fact.width or 0), int(fact.height or 0)), fact.frames)
            for path, fact in zip(paths, facts, strict=True)
        ]
        sketches = {content.content_id: fact.sketch for content, fact in zip(contents, facts, strict=True)}
        _sketches(folder).add(list(sketches), np.array(list(sketches.values()), np.uint8))
        size = self._embedder.picture_size
        if size == SKETCH_SIZE:
            pictures = [np.asarray(fact.sketch) for fact in facts]
        else:
            pictures = list(in_parallel(lambda path: read_picture(path, size), paths, self._workers))
        return contents, quantise(self._embedder.embed(np.stack(pictures)))

    def _distances(
        self, contents: list[Content], vectors: Int8, first: Indices, second: Indices, second_stage: bool, folder: Path
    ) -> Distances:
        """(p,) distances of the pairs of rows; without the second stage a view decides at any distance."""
        row_of = {content.content_id: row for row, content in enumerate(contents)}  # two edits may give the same file
        same = np.array([row_of[content.content_id] for content in contents])
        pairs, inverse = np.unique(same[first] * len(contents) + same[second], return_inverse=True)
        first, second = np.divmod(pairs, len(contents))

        def at(rows: Indices) -> list[Content]:
            return [contents[row] for row in rows.tolist()]

        turns = partial(pair_turns, vectors, self._embedder.turns)
        view, distance = pair_distances(vectors, first, second, self._embedder.calibration)
        offered = view <= (self._embedder.candidate_distance if second_stage else 1.0)
        if second_stage:
            sketches = Sketches(_sketches(folder), self._workers)
            sieve = Sieve(at, turns, sketches, LocalEngine(self._workers))
            kept = sieve(first[offered], second[offered], view[offered])
            distance = np.where(offered, np.maximum(distance, self._embedder.candidate_distance), distance)
            offered[offered] = kept
        shelf = ArrayShelf(folder / f"compared_{second_stage}", (2,), "f8")
        comparer = Comparer(shelf, second_stage, self._workers, sketches=_sketches(folder))
        first, second = first[offered], second[offered]
        ends = ends_of(at, first, second, turns(first, second))
        distance[offered], _ = comparer.distances(*ends, view[offered], Run())
        return np.asarray(distance[inverse])


def _sketches(folder: Path) -> ArrayShelf:
    return ArrayShelf(folder / "sketches", (SKETCH_SIZE, SKETCH_SIZE, 3), "uint8")


def choose_photos(source: Source, listing: Listing, count: int) -> tuple[list[Photo], int]:
    """Up to `count` different photos, by the hash of their image_id, and how many were passed over on the way.

    Passed over is what cannot be read, is under 8 pixels on a side, or shows the very pixels of one chosen before.
    """
    chosen: list[Photo] = []
    seen: set[bytes] = set()
    skipped = 0
    for image_id in sorted((file.image_id for file in listing.files), key=_digest):
        if len(chosen) == count:
            break
        picture = _picture(source.file(image_id))
        pixels = hashlib.sha256(f"{picture.size}".encode() + picture.tobytes()).digest() if picture else b""
        if picture is None or pixels in seen:
            skipped += 1
            continue
        seen.add(pixels)
        chosen.append(Photo(image_id, picture))
    return chosen, skipped


def _picture(file: Readable) -> Image.Image | None:
    """The picture as a viewer shows it, 400 pixels at most; None where there is none to edit."""
    try:
        with open_scaled(file, _SIDE) as image:
            picture = as_rgb(upright(image))
    except SourceError:
        raise
    except Exception:  # decoders raise nearly anything on broken files
        return None
    picture.thumbnail((_SIDE, _SIDE))
    return picture if min(picture.size) >= _LEAST_SIDE else None


def _digest(text: str) -> bytes:
    return hashlib.sha256(text.encode()).digest()
