"""What several steps read: the readable images, their distinct contents, and the vectors of these."""

import json
from collections.abc import Collection

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from dedup_assets.core.detection.base import Embedder
from dedup_assets.core.engines.base import RAY, Engine
from dedup_assets.core.engines.local import LocalEngine
from dedup_assets.core.errors import DedupError
from dedup_assets.core.project import Project
from dedup_assets.core.run import Run
from dedup_assets.core.steps.record import DUPLICATES, EMBEDDINGS, RAW_IMAGES, UNIQUENESS_SCORES, done
from dedup_assets.core.storage import schema
from dedup_assets.core.storage.arrays import ArrayShelf
from dedup_assets.core.storage.store import StepRecord, version_of

SCORES_OF_COLLECTION = "scores"  # among the settings noted of duplicates
NEIGHBOURS_OF_SCORES = "neighbours"  # and of uniqueness_scores


def engine_of(project: Project, run: Run, step: str) -> Engine:
    """What does the work of a step that grows with the images."""
    exchange = f"{project.exchange}/{step}"
    if project.engine == RAY:
        from dedup_assets.core.engines.ray import RayEngine

        return RayEngine(exchange, project.ray, project.workers, project.threads or 1, run.say)
    return LocalEngine(project.threads, exchange)


def readable(project: Project, columns: Collection[str] = ()) -> pd.DataFrame:
    """The images that can be used, with all columns or only these. Raises DedupError where nothing was scanned yet."""
    images = project.store.read(schema.IMAGES, "status = 'ok'", columns=columns)
    if images.empty:
        done(project, RAW_IMAGES)
    return images


def distinct_contents(images: pd.DataFrame) -> pd.DataFrame:
    """One row for each content, by content_id, with the first image whose very file it is named after."""
    named = images[images["file_hash"] == images["content_id"]]
    return named.sort_values("image_id").drop_duplicates("content_id").sort_values("content_id", ignore_index=True)


def check_scored(images: pd.DataFrame, scores: pd.DataFrame) -> None:
    """Raise DedupError unless the readable `images` are those that have scores."""
    if set(images["image_id"]) != set(scores["image_id"]):
        raise DedupError(f"the images changed since they were scored; materialise '{UNIQUENESS_SCORES}' first")


def check_scores_of(found: StepRecord, scored: StepRecord) -> None:
    """Raise DedupError unless the scores were made of the neighbours there are; an older release did not say."""
    now = found.output_version
    if json.loads(scored.settings).get(NEIGHBOURS_OF_SCORES, now) != now:
        raise DedupError(
            f"the neighbours were searched anew since the images were scored; materialise '{UNIQUENESS_SCORES}' first"
        )


def scores_version(scored: StepRecord) -> str:
    """Changes with the scores, and with the neighbours, thresholds and keeper order that made them."""
    return version_of(scored.output_version, scored.settings)


def check_collected(scored: StepRecord, collected: StepRecord) -> None:
    """Raise DedupError unless the collection was made of the scores there are; one of an older release does not say."""
    now = scores_version(scored)
    if json.loads(collected.settings).get(SCORES_OF_COLLECTION, now) != now:
        raise DedupError(f"the images were scored anew since duplicates were found; materialise '{DUPLICATES}' first")


def vector_shelf(project: Project, embedder: Embedder) -> ArrayShelf:
    """Where the vectors of this embedder are kept, by content_id."""
    return project.store.vectors(embedder_id(embedder), embedder.views, embedder.dimension)


def stored_vectors(project: Project, embedder: Embedder, contents: pd.DataFrame) -> NDArray[np.int8]:
    try:
        return vector_shelf(project, embedder).read(contents["content_id"].tolist())
    except KeyError as error:
        raise DedupError(f"some images have no vectors yet; materialise '{EMBEDDINGS}' first") from error


def ids_at(ids: NDArray[np.object_], rows: NDArray[np.int64]) -> NDArray[np.object_]:
    """The ids at those rows; None where the row is -1."""
    found = np.full(len(rows), None, object)
    found[rows >= 0] = ids[rows[rows >= 0]]
    return found


def embedder_id(embedder: Embedder) -> str:
    """Name and version, as folders and rows hold it."""
    return f"{embedder.name.replace('/', '_')}-{embedder.version}"


def content_of(images: pd.DataFrame) -> dict[str, str]:
    readable = images[images["status"] == "ok"]
    return dict(zip(readable["image_id"], readable["content_id"], strict=True))
