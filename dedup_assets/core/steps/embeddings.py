"""embeddings: one set of vectors for each distinct content."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from dedup_assets.core.detection.embedders import load_embedder
from dedup_assets.core.detection.neighbours import quantise
from dedup_assets.core.errors import DedupError, SourceError
from dedup_assets.core.images import SKETCH_SIZE, read_picture
from dedup_assets.core.project import Project
from dedup_assets.core.run import Run
from dedup_assets.core.scanning import CHUNK, in_parallel
from dedup_assets.core.steps.inputs import distinct_contents, embedder_id, readable
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
            for start in range(0, len(missing), CHUNK):
                part = missing[start : start + CHUNK]
                pictures = _pictures(project, embedder.picture_size, part, contents)
                shelf.add(part, quantise(embedder.embed(pictures)))
                run.progress("embedding", start + len(part), len(missing))
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


def _pictures(project: Project, size: int, wanted: list[str], contents: pd.DataFrame) -> NDArray[np.uint8]:
    """(n, size, size, 3) pictures of the contents wanted, from the sketches where these are what is asked for."""
    sketches = project.store.sketches
    if size == SKETCH_SIZE and not sketches.missing(wanted):
        return sketches.read(wanted)
    image_of = dict(zip(contents["content_id"], contents["image_id"], strict=True))

    def read(content_id: str) -> NDArray[np.uint8]:
        image_id = image_of[content_id]
        try:
            return read_picture(project.images.file(image_id), size)
        except SourceError:
            raise
        except Exception as error:
            raise DedupError(f"'{image_id}' changed while the run was reading it ({error}); run again") from error

    return np.stack(list(in_parallel(read, wanted, project.threads)))
