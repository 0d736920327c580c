"""uniqueness_scores: the score rule applied to what the neighbours found."""

import json
from dataclasses import asdict, dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from dedup_assets.core.detection.embedders import load_embedder
from dedup_assets.core.detection.neighbours import nearest_among
from dedup_assets.core.errors import DedupError
from dedup_assets.core.project import Project
from dedup_assets.core.run import Run
from dedup_assets.core.scoring.keepers import check_protection, rank, why_kept
from dedup_assets.core.scoring.uniqueness import NEAR_DUPLICATE_LABEL, ContentPairs, score
from dedup_assets.core.settings import Thresholds
from dedup_assets.core.steps.inputs import NEIGHBOURS_OF_SCORES, engine_of, ids_at, readable, stored_vectors
from dedup_assets.core.steps.neighbours import PAIR_LIMIT, find_neighbours, reach_of
from dedup_assets.core.steps.record import NEIGHBOURS, UNIQUENESS_SCORES, StepSummary, done, unless_done
from dedup_assets.core.storage import schema
from dedup_assets.core.storage.schema import Table
from dedup_assets.core.storage.store import content_version, version_of


@dataclass(frozen=True, slots=True)
class ScoreSummary(StepSummary):
    """`near_duplicates` counts images that carry the label, `unique` those that carry none."""

    scored: int
    duplicates: int
    near_duplicates: int
    unique: int
    duplicate_threshold: float
    near_duplicate_threshold: float


def score_uniqueness(project: Project, thresholds: Thresholds, run: Run) -> ScoreSummary:
    """uniqueness_scores: the score rule. Has pairs listed as far as the thresholds need, no farther."""
    store = project.store
    with store.exclusively(run.say):
        with store.reading():
            (found,) = done(project, NEIGHBOURS)
            images, before = readable(project), store.step(UNIQUENESS_SCORES)
        limit = max(PAIR_LIMIT, thresholds.near_duplicate)
        if limit != json.loads(found.summary)["limit"]:
            find_neighbours(project, run, limit)
            (found,) = done(project, NEIGHBOURS)
        check_protection(images, project.keepers)
        chosen = {"thresholds": asdict(thresholds), "keepers": asdict(project.keepers)}
        version = version_of(chosen, found.output_version, content_version(schema.IMAGES, images))
        settings = {**chosen, NEIGHBOURS_OF_SCORES: found.output_version}

        def compute() -> tuple[ScoreSummary, dict[Table, pd.DataFrame]]:
            scores = _score_frame(project, images, thresholds, limit, run)
            labels = scores["label"]
            near = int((labels == NEAR_DUPLICATE_LABEL).sum())
            duplicates = int((labels.notna() & (labels != NEAR_DUPLICATE_LABEL)).sum())
            summary = ScoreSummary(
                scored=len(scores),
                duplicates=duplicates,
                near_duplicates=near,
                unique=len(scores) - duplicates - near,
                duplicate_threshold=thresholds.duplicate,
                near_duplicate_threshold=thresholds.near_duplicate,
            )
            return summary, {schema.SCORES: scores}

        return unless_done(project, UNIQUENESS_SCORES, before, version, ScoreSummary, settings, run, compute)


def _score_frame(
    project: Project, images: pd.DataFrame, thresholds: Thresholds, limit: float, run: Run
) -> pd.DataFrame:
    nearest, compared = project.store.read_together(schema.CONTENT_NEAREST, schema.CONTENT_PAIRS)
    place = pd.Series(np.arange(len(nearest)), index=nearest["content_id"])
    content = images["content_id"].map(place)
    if content.isna().any() or len(nearest) != images["content_id"].nunique():
        raise DedupError(f"the images changed since the neighbours were searched; materialise '{NEIGHBOURS}' first")
    first = compared["content_a"].map(place).to_numpy(np.int64)
    second = compared["content_b"].map(place).to_numpy(np.int64)

    def rescan(rows: NDArray[np.int64], allowed: NDArray[np.bool_]) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        embedder = load_embedder(project.embedder)
        vectors = stored_vectors(project, embedder, nearest)
        engine = engine_of(project, run, UNIQUENESS_SCORES)
        reach = reach_of(project, embedder, limit)
        return nearest_among(vectors, reach, rows, allowed, first, second, engine.each, project.search_device)

    pairs = ContentPairs(
        first=first,
        second=second,
        distance=compared["distance"].to_numpy(np.float64),
        nearest=nearest["nearest_content"].map(place).fillna(-1).to_numpy(np.int64),
        nearest_distance=nearest["distance"].fillna(np.inf).to_numpy(np.float64),
        rescan=rescan,
    )
    scores = score(content.to_numpy(np.int64), rank(images, project.keepers), pairs, thresholds)
    ids = images["image_id"].to_numpy(dtype=object)
    duplicates = np.flatnonzero(scores.keeper >= 0)
    reason = np.full(len(images), None, object)
    reason[duplicates] = why_kept(images, scores.keeper[duplicates], duplicates, project.keepers)
    return pd.DataFrame(
        {
            "image_id": ids,
            "uniqueness": scores.uniqueness,
            "label": scores.label,
            "keeper_id": ids_at(ids, scores.keeper),
            "nearest_id": ids_at(ids, scores.nearest),
            "group_id": ids_at(ids, scores.group),
            "keeper_distance": scores.keeper_distance,
            "keeper_reason": reason,
        }
    )
