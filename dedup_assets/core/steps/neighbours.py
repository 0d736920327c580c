"""neighbours: the near pairs and the nearest neighbours. The costly join, free of the thresholds."""

from dataclasses import asdict, dataclass

import numpy as np
import pandas as pd

from dedup_assets.core import schema
from dedup_assets.core.detection.comparing import Comparer, Content, comparison_version
from dedup_assets.core.detection.embedders import load_embedder
from dedup_assets.core.detection.neighbours import join
from dedup_assets.core.keepers import rank
from dedup_assets.core.project import Project
from dedup_assets.core.run import Run
from dedup_assets.core.schema import Table
from dedup_assets.core.steps.inputs import distinct_contents, embedder_id, ids_at, readable, stored_vectors
from dedup_assets.core.steps.record import NEIGHBOURS, StepSummary, unless_done
from dedup_assets.core.store import content_version, version_of

PAIR_LIMIT = 0.1  # pairs up to this distance are listed whatever the thresholds, so that these can be moved freely


@dataclass(frozen=True, slots=True)
class NeighbourSummary(StepSummary):
    """`candidates`: pairs compared one by one; `pairs`: those within `limit`."""

    candidates: int
    pairs: int
    limit: float


def find_neighbours(project: Project, run: Run, limit: float = PAIR_LIMIT) -> NeighbourSummary:
    """neighbours: every near pair up to `limit`, and the nearest neighbour of every content. Free of the thresholds."""
    store = project.store
    with store.exclusively(run.say):
        images = readable(project)
        embedder = load_embedder(project.embedder)
        settings = {
            "embedder": embedder_id(embedder),
            "second_stage": project.second_stage,
            "comparison": comparison_version(),
            "limit": limit,
            "keepers": asdict(project.keepers),
        }
        version = version_of(settings, content_version(schema.IMAGES, images))

        def compute() -> tuple[NeighbourSummary, dict[Table, pd.DataFrame]]:
            contents = distinct_contents(images)
            vectors = stored_vectors(project, embedder, contents)
            view_limit = embedder.candidate_distance if project.second_stage else PAIR_LIMIT
            found = join(
                vectors,
                embedder.calibration,
                view_limit,
                limit if limit > view_limit else 0.0,
                lambda done, total: run.progress("searching neighbours", done, total),
            )
            offered = found.view_distance <= view_limit
            distance, agreed = found.full_distance.copy(), np.full(len(found.first), np.nan)
            first, second = found.first[offered], found.second[offered]
            shelf = store.comparisons(f"{comparison_version()}-{embedder_id(embedder)}")
            comparer = Comparer(shelf, project.second_stage, project.threads)
            distance[offered], agreed[offered] = comparer.distances(
                _content_list(project, contents), first, second, found.view_distance[offered], run
            )
            ids = contents["content_id"].to_numpy(dtype=object)
            compared = pd.DataFrame(
                {
                    "content_a": ids[found.first],
                    "content_b": ids[found.second],
                    "distance": distance,
                    "agreement": agreed,
                    "vector_distance": found.view_distance,
                }
            )
            nearest = pd.DataFrame(
                {
                    "content_id": ids,
                    "nearest_content": ids_at(ids, found.nearest),
                    "distance": found.nearest_distance,
                }
            )
            pairs = _image_pairs(compared[distance <= limit], images, project)
            summary = NeighbourSummary(candidates=int(offered.sum()), pairs=len(pairs), limit=limit)
            return summary, {schema.CONTENT_PAIRS: compared, schema.CONTENT_NEAREST: nearest, schema.PAIRS: pairs}

        return unless_done(project, NEIGHBOURS, version, NeighbourSummary, settings, run, compute)


def _content_list(project: Project, contents: pd.DataFrame) -> list[Content]:
    return [
        Content(content_id, project.images.file(image_id), (int(width), int(height)), int(frames))
        for content_id, image_id, width, height, frames in contents[
            ["content_id", "image_id", "width", "height", "frames"]
        ].itertuples(index=False)
    ]


def _image_pairs(compared: pd.DataFrame, images: pd.DataFrame, project: Project) -> pd.DataFrame:
    """Pairs of contents as pairs of images: of identical ones the one that stays first stands for all."""
    first = images.iloc[np.argsort(rank(images, project.keepers))].drop_duplicates("content_id")
    image_of = first.set_index("content_id")["image_id"]
    a = image_of.loc[compared["content_a"]].to_numpy(dtype=object)
    b = image_of.loc[compared["content_b"]].to_numpy(dtype=object)
    swap = a > b
    pairs = compared[["distance", "agreement", "vector_distance"]].reset_index(drop=True)
    pairs["image_a"], pairs["image_b"] = np.where(swap, b, a), np.where(swap, a, b)
    return pairs.sort_values(["image_a", "image_b"], ignore_index=True)[schema.PAIRS.names]
