"""embeddings: one set of vectors for each distinct content."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from dedup_assets.core.detection.embedders import Embedder, load_embedder
from dedup_assets.core.detection.neighbours import quantise
from dedup_assets.core.detection.products import Int8
from dedup_assets.core.errors import DedupError, EmbedderError, SourceError
from dedup_assets.core.images import SKETCH_SIZE, read_picture
from dedup_assets.core.project import Project
from dedup_assets.core.run import Run
from dedup_assets.core.scanning import CHUNK, in_parallel, shards_of
from dedup_assets.core.sources.base import Source
from dedup_assets.core.steps.inputs import distinct_contents, embedder_id, engine_of, readable
from dedup_assets.core.steps.record import EMBEDDINGS, StepSummary, finish
from dedup_assets.core.store import version_of


@dataclass(frozen=True, slots=True)
class EmbeddingSummary(StepSummary):
    """`computed`: vectors made this time, of `contents` in all."""

    embedder: str
    contents: int
    computed: int
    views: int
    dimension: int


def embed_images(project: Project, run: Run) -> EmbeddingSummary:
    """embeddings: one set of vectors for each distinct content. Computes only what is new."""
    store = project.store
    with store.exclusively(run.say):
        images = readable(project)
        contents = distinct_contents(images)
        embedder = load_embedder(project.embedder)
        shelf = store.vectors(embedder_id(embedder), embedder.views, embedder.dimension)
        missing = shelf.missing(contents["content_id"].tolist())
        with store.explained():
            work = EmbedPictures(project.embedder, embedder.version, project.images, project.threads)
            vectors = engine_of(project, run).each(work, _pictures(project, embedder, missing, contents), alone=True)
            done = 0
            for part, rows in zip(shards_of(missing, CHUNK), vectors, strict=True):
                shelf.add(part, rows)
                done += len(part)
                run.progress("embedding", done, len(missing))
        version = version_of(embedder_id(embedder), contents["content_id"].tolist())
        summary = EmbeddingSummary(
            embedder=embedder_id(embedder),
            contents=len(contents),
            computed=len(missing),
            views=embedder.views,
            dimension=embedder.dimension,
            version=version,
        )
        return finish(project, EMBEDDINGS, version, summary, {"embedder": project.embedder}, run, lambda: {})


@dataclass(frozen=True, slots=True)
class EmbedPictures:
    """Work of an engine: the vectors of each picture of a shard, itself or the content_id and image_id to read."""

    embedder: str
    version: str
    source: Source
    workers: int | None

    def __call__(self, pictures: NDArray[np.uint8] | Sequence[tuple[str, str]]) -> Int8:
        """(n, views, dimension), in order. Raises SourceError where the place does not answer."""
        embedder = _loaded(self.embedder, self.version)
        if not isinstance(pictures, np.ndarray):
            size = embedder.picture_size
            read = in_parallel(lambda ids: self._read(ids[1], size), pictures, self.workers)
            pictures = np.stack(list(read))
        return quantise(embedder.embed(pictures))

    def _read(self, image_id: str, size: int) -> NDArray[np.uint8]:
        try:
            return read_picture(self.source.file(image_id), size)
        except SourceError:
            raise
        except Exception as error:
            raise DedupError(f"'{image_id}' changed while the run was reading it ({error}); run again") from error


@lru_cache(maxsize=1)
def _loaded(name: str, version: str) -> Embedder:
    """The embedder, kept from shard to shard. Raises EmbedderError when another version of it is installed here."""
    embedder = load_embedder(name)
    if embedder.version != version:
        raise EmbedderError(
            f"the embedder '{name}' has version {embedder.version} on a worker and {version} where the run began; "
            "give all machines the same file and release"
        )
    return embedder


def _pictures(
    project: Project, embedder: Embedder, wanted: list[str], contents: pd.DataFrame
) -> Iterator[NDArray[np.uint8] | list[tuple[str, str]]]:
    """Shards of the contents wanted: the sketches where these are what is asked for, else where to read them."""
    sketches = project.store.sketches
    image_of = dict(zip(contents["content_id"], contents["image_id"], strict=True))
    without = set(sketches.missing(wanted)) if embedder.picture_size == SKETCH_SIZE else set(wanted)
    for part in shards_of(wanted, CHUNK):
        if without.isdisjoint(part):
            yield sketches.read(part)
        else:
            yield [(content_id, image_of[content_id]) for content_id in part]
