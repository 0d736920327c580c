"""embeddings: one set of vectors for each distinct content."""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from dedup_assets.core.batches import batch_of, batches_of, embedded_batches, note_embedded
from dedup_assets.core.detection.base import Embedder
from dedup_assets.core.detection.cosines import quantise
from dedup_assets.core.detection.embedders import load_embedder
from dedup_assets.core.detection.products import Int8
from dedup_assets.core.engines.exchange import forget_results
from dedup_assets.core.errors import DedupError, EmbedderError, SourceError
from dedup_assets.core.images import SKETCH_SIZE, read_picture
from dedup_assets.core.project import Project
from dedup_assets.core.run import Run
from dedup_assets.core.scanning import CHUNK, in_parallel, shards_of
from dedup_assets.core.sources.base import Source
from dedup_assets.core.steps.inputs import distinct_contents, embedder_id, engine_of, readable, vector_shelf
from dedup_assets.core.steps.record import EMBEDDINGS, RAW_IMAGES, StepSummary, done, finish
from dedup_assets.core.storage import schema
from dedup_assets.core.storage.store import StepRecord, version_of

_NAMED = 10  # batches in a message


@dataclass(frozen=True, slots=True)
class EmbeddingSummary(StepSummary):
    """`computed`: vectors made this time, of `contents` in all. `by_batch`: the contents of each batch asked for."""

    embedder: str
    contents: int
    computed: int
    views: int
    dimension: int
    by_batch: dict[str, int] = field(default_factory=dict)


def embed_images(project: Project, run: Run) -> EmbeddingSummary:
    """embeddings: one set of vectors for each distinct content. Computes only what is new."""
    with project.store.exclusively(run.say):
        with project.store.reading():
            images = readable(project, ("image_id", "file_hash", "content_id"))
            before = project.store.step(EMBEDDINGS)
        contents = distinct_contents(images)
        embedder = load_embedder(project.embedder)
        computed = _embed(project, embedder, contents, run)
        return _noted(project, before, _summary(embedder, contents, computed), run)


def embed_batches(project: Project, run: Run, batches: Collection[str]) -> EmbeddingSummary:
    """embeddings of some batches: the vectors of the contents that have an image in one of them.

    The rest of the chain needs those of all batches; `gather_batches` sees to that.
    """
    store = project.store
    with store.exclusively(run.say):
        done(project, RAW_IMAGES)
        images = store.read(schema.IMAGES)
        usable = images[images["status"] == "ok"]
        content_of_batch = usable["content_id"].groupby(usable["image_id"].map(batch_of))
        inside = {batch: set(ids) for batch, ids in content_of_batch if batch in batches}
        contents = distinct_contents(usable)
        contents = contents[contents["content_id"].isin(set().union(*inside.values()))]
        embedder = load_embedder(project.embedder)
        computed = _embed(project, embedder, contents, run)
        note_embedded(project, images, batches)
        forget_results(project.exchange, EMBEDDINGS)
        by_batch = {batch: len(inside.get(batch, ())) for batch in batches}
        return replace(_summary(embedder, contents, computed), by_batch=by_batch)


def gather_batches(project: Project, run: Run) -> EmbeddingSummary:
    """embeddings as a whole, once every batch is embedded.

    Computes only what embedded batches lack: a content is named after one of its files, and is named anew when that
    file vanished from another batch. Raises DedupError naming the batches that were not embedded yet.
    """
    store = project.store
    with store.exclusively(run.say):
        with store.reading():
            done(project, RAW_IMAGES)
            images, before = store.read(schema.IMAGES), store.step(EMBEDDINGS)
        usable = images[images["status"] == "ok"]
        contents = distinct_contents(usable)
        embedder = load_embedder(project.embedder)
        missing = set(vector_shelf(project, embedder).missing(contents["content_id"].tolist()))
        if missing:
            embedded = usable["image_id"].map(batch_of).isin(embedded_batches(project, images))
            missing -= set(usable.loc[embedded, "content_id"])
        if missing:
            waiting = batches_of(usable.loc[usable["content_id"].isin(missing), "image_id"])
            names = ", ".join(f"'{batch}'" for batch in waiting[:_NAMED]) + (", ..." if len(waiting) > _NAMED else "")
            every = len(batches_of(images["image_id"]))
            raise DedupError(
                f"{len(waiting)} of {every} batches have images without vectors ({names}); "
                f"materialise these partitions of '{EMBEDDINGS}' first: scores are about all images"
            )
        note_embedded(project, images)
        computed = _embed(project, embedder, contents, run)
        return _noted(project, before, _summary(embedder, contents, computed), run)


def _embed(project: Project, embedder: Embedder, contents: pd.DataFrame, run: Run) -> int:
    """Compute the vectors that `contents` lack; how many."""
    shelf = vector_shelf(project, embedder)
    missing = shelf.missing(contents["content_id"].tolist())
    with project.store.explained():
        work = EmbedPictures(project.embedder, embedder.version, project.images, project.threads)
        pictures = _pictures(project, embedder, missing, contents)
        vectors = engine_of(project, run, EMBEDDINGS).each(work, pictures, alone=True)
        embedded = 0
        for part, rows in zip(shards_of(missing, CHUNK), vectors, strict=True):
            shelf.add(part, rows)
            embedded += len(part)
            run.progress("embedding", embedded, len(missing))
    return len(missing)


def _summary(embedder: Embedder, contents: pd.DataFrame, computed: int) -> EmbeddingSummary:
    return EmbeddingSummary(
        embedder=embedder_id(embedder),
        contents=len(contents),
        computed=computed,
        views=embedder.views,
        dimension=embedder.dimension,
        changed=computed > 0,
        version=version_of(embedder_id(embedder), contents["content_id"].tolist()),
    )


def _noted(project: Project, before: StepRecord | None, summary: EmbeddingSummary, run: Run) -> EmbeddingSummary:
    """The summary of the whole step, noted in the store; `before`: the step's last run."""
    settings = {"embedder": project.embedder}
    return finish(project, EMBEDDINGS, before, summary.version, summary, settings, run, lambda: {})


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
