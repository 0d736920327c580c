"""neighbours: the near pairs and the nearest neighbours. The costly join, free of the thresholds."""

import json
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any

import numpy as np
import pandas as pd

from dedup_assets.core.detection.base import Embedder
from dedup_assets.core.detection.comparing import Comparer, comparison_version
from dedup_assets.core.detection.contents import Content, Sketches, ends_of
from dedup_assets.core.detection.cosines import pair_turns
from dedup_assets.core.detection.embedders import load_embedder
from dedup_assets.core.detection.neighbours import SEARCH_VERSION, Join, Known, join, nothing_known
from dedup_assets.core.detection.search import Reach
from dedup_assets.core.detection.sifting import Sieve, Turns
from dedup_assets.core.membership import among
from dedup_assets.core.project import Project
from dedup_assets.core.run import Run
from dedup_assets.core.scoring.keepers import rank
from dedup_assets.core.steps.inputs import distinct_contents, embedder_id, engine_of, ids_at, readable, stored_vectors
from dedup_assets.core.steps.record import NEIGHBOURS, StepSummary, unless_done
from dedup_assets.core.storage import schema
from dedup_assets.core.storage.schema import Table
from dedup_assets.core.storage.store import StepRecord, content_version, version_of

PAIR_LIMIT = 0.1  # pairs up to this distance are listed whatever the thresholds, so that these can be moved freely

_GROUNDS = {  # settings that what was found before hangs on
    "search": "this release searches in another way",
    "embedder": "the embedder is now {now}, it was {before}",
    "candidates": "candidates are now offered up to {now:g}, before up to {before:g}",
    "comparison": "this release compares candidate pairs in another way",
    "second_stage": "second_stage is now {now}, it was {before}",
}


@dataclass(frozen=True, slots=True)
class NeighbourSummary(StepSummary):
    """`candidates`: pairs compared one by one; `pairs`: those within `limit`.

    `searched`: contents searched against all others this time. `rebuilt`: why that had to be all of them, if it had.
    """

    candidates: int
    pairs: int
    limit: float
    searched: int = 0
    rebuilt: str = ""


@dataclass(frozen=True, slots=True)
class _Before:
    """What the last run left: its content pairs among contents that are still there, and the nearest of each content.

    `known` says the same in rows of the contents there are now.
    """

    compared: pd.DataFrame
    known: Known


def find_neighbours(project: Project, run: Run, limit: float | None = None) -> NeighbourSummary:
    """neighbours: every near pair up to `limit`, and the nearest neighbour of every content. Free of the thresholds.

    Contents that the last run saw are not searched again unless something it hangs on is another now; what is left in
    the store is the same either way. `limit`: what the last run had, at least PAIR_LIMIT, when not given.
    """
    store = project.store
    with store.exclusively(run.say):
        with store.reading():
            images, last = readable(project), store.step(NEIGHBOURS)
        embedder = load_embedder(project.embedder)
        if limit is None:
            limit = max(PAIR_LIMIT, json.loads(last.settings)["limit"] if last else 0.0)
        reach = reach_of(project, embedder, limit)
        settings: dict[str, Any] = {
            "search": SEARCH_VERSION,
            "embedder": embedder_id(embedder),
            "candidates": reach.view_limit,
            "comparison": comparison_version(),
            "second_stage": project.second_stage,
            "limit": limit,
            "keepers": asdict(project.keepers),
        }
        version = version_of(settings, content_version(schema.IMAGES, images))

        def compute() -> tuple[NeighbourSummary, dict[Table, pd.DataFrame]]:
            contents = distinct_contents(images)
            rebuilt = _why_anew(last, settings)
            if rebuilt:
                run.say(f"comparing all images anew: {rebuilt}")
            before = _nothing(contents) if rebuilt or not last else _before(project, contents, reach)
            compared, nearest = _search(project, embedder, reach, contents, before, run)
            pairs = _image_pairs(compared[compared["distance"] <= limit], images, project)
            summary = NeighbourSummary(
                candidates=int((compared["vector_distance"] <= reach.view_limit).sum()),
                pairs=len(pairs),
                limit=limit,
                searched=int((~before.known.seen).sum()),
                rebuilt=rebuilt,
            )
            return summary, {schema.CONTENT_PAIRS: compared, schema.CONTENT_NEAREST: nearest, schema.PAIRS: pairs}

        idle = {"searched": 0, "rebuilt": ""}
        return unless_done(project, NEIGHBOURS, last, version, NeighbourSummary, settings, run, compute, idle)


def reach_of(project: Project, embedder: Embedder, limit: float) -> Reach:
    """What makes a pair: vectors near enough for a candidate, or full frames within `limit` where that is more."""
    candidates = embedder.candidate_distance if project.second_stage else PAIR_LIMIT
    return Reach(embedder.calibration, candidates, limit if limit > candidates else 0.0)


def _why_anew(last: StepRecord | None, settings: dict[str, Any]) -> str:
    """Why nothing that the last run found can be taken over; empty when it can, or when there was none."""
    if last is None:
        return ""
    before = json.loads(last.settings)
    for name, ground in _GROUNDS.items():
        if before.get(name) != settings[name]:
            return ground.format(now=settings[name], before=before.get(name))
    if before["limit"] < settings["limit"]:
        return f"pairs are now listed up to distance {settings['limit']:g}, before up to {before['limit']:g}"
    return ""


def _nothing(contents: pd.DataFrame) -> _Before:
    return _Before(schema.CONTENT_PAIRS.empty(), nothing_known(len(contents)))


def _before(project: Project, contents: pd.DataFrame, reach: Reach) -> _Before:
    """The tables of the last run without contents that are gone and pairs that are out of reach now."""
    compared, nearest = project.store.read_together(schema.CONTENT_PAIRS, schema.CONTENT_NEAREST)
    place = pd.Series(np.arange(len(contents)), index=contents["content_id"])
    inside = (compared["vector_distance"] <= reach.view_limit) | (compared["distance"] <= reach.full_limit)
    freed = compared.loc[~inside, ["content_a", "content_b"]].to_numpy().ravel()  # each may be the other's nearest now
    compared = compared[inside & among(compared["content_a"], place.index) & among(compared["content_b"], place.index)]
    nearest = nearest[among(nearest["content_id"], place.index)]
    rows = nearest["content_id"].map(place).to_numpy(np.int64)
    seen, nearest_row = np.zeros(len(contents), bool), np.full(len(contents), -1, np.int64)
    seen[rows] = True
    nearest_row[rows] = nearest["nearest_content"].map(place).fillna(-1).to_numpy(np.int64)
    nearest_row[place.reindex(freed).dropna().to_numpy(np.int64)] = -1
    first, second = (compared[end].map(place).to_numpy(np.int64) for end in ("content_a", "content_b"))
    return _Before(compared, Known(seen, first, second, nearest_row))


def _search(
    project: Project, embedder: Embedder, reach: Reach, contents: pd.DataFrame, before: _Before, run: Run
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The rows of content_pairs and content_nearest for the contents there are now."""
    ids, engine = contents["content_id"].to_numpy(dtype=object), engine_of(project, run, NEIGHBOURS)
    vectors = stored_vectors(project, embedder, contents)
    turns = partial(pair_turns, vectors, embedder.turns)
    sieve = Sieve(
        lambda rows: _content_list(project, contents.iloc[rows]),
        turns,
        Sketches(project.store.sketches, project.threads),
        engine,
        lambda done, total: run.progress("sifting candidate pairs", done, total),
    )
    found = join(
        vectors,
        reach,
        before.known,
        engine.each,
        progress=lambda done, total: run.progress("searching neighbours", done, total),
        device=project.search_device,
        sift=sieve if project.second_stage else None,
    )
    new = _compared(project, embedder, reach, contents, found, turns, run)
    compared = pd.concat([before.compared, new]) if len(before.compared) else new
    compared = compared.sort_values(["content_a", "content_b"], ignore_index=True)
    nearest = pd.DataFrame(
        {"content_id": ids, "nearest_content": ids_at(ids, found.nearest), "distance": found.nearest_distance}
    )
    return compared, nearest


def _compared(
    project: Project, embedder: Embedder, reach: Reach, contents: pd.DataFrame, found: Join, turns: Turns, run: Run
) -> pd.DataFrame:
    """Rows of content_pairs for the pairs found this time: candidates compared one by one, others by their vectors."""
    offered = found.view_distance <= reach.view_limit
    distance, agreed = found.full_distance.copy(), np.full(len(found.first), np.nan)
    shelf = project.store.comparisons(f"{comparison_version()}-{embedder_id(embedder)}")
    engine, sketches = engine_of(project, run, NEIGHBOURS), project.store.sketches
    comparer = Comparer(shelf, project.second_stage, project.threads, engine, sketches)
    first, second = found.first[offered], found.second[offered]
    ends = ends_of(lambda rows: _content_list(project, contents.iloc[rows]), first, second, turns(first, second))
    distance[offered], agreed[offered] = comparer.distances(*ends, found.view_distance[offered], run)
    ids = contents["content_id"].to_numpy(dtype=object)
    return pd.DataFrame(
        {
            "content_a": ids[found.first],
            "content_b": ids[found.second],
            "distance": distance,
            "agreement": agreed,
            "vector_distance": found.view_distance,
        }
    )


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
