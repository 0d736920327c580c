"""The score rule: who is a duplicate of whom, and how unique everyone else is. Pure functions over pairs."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dedup_assets.core.settings import Thresholds

DUPLICATE_LABEL = "Duplicate image"
NEAR_DUPLICATE_LABEL = "Near duplicate image"

Indices = NDArray[np.int64]
Distances = NDArray[np.float64]
Rescan = Callable[[Indices, NDArray[np.bool_]], tuple[Indices, Distances]]


@dataclass(frozen=True, slots=True)
class ContentPairs:
    """What the neighbour search found among n distinct contents.

    `first` < `second`, `distance`: (p,) every pair whose distance is known one by one, each once. `nearest`,
    `nearest_distance`: (n,) the nearest of each content's other pairs (-1 and inf: none). `rescan(rows, allowed)` gives
    the same for some rows among the allowed contents only.
    """

    first: Indices
    second: Indices
    distance: Distances
    nearest: Indices
    nearest_distance: Distances
    rescan: Rescan


@dataclass(frozen=True, slots=True)
class Scores:
    """One entry for each of n images; -1 stands for none.

    `uniqueness`: 0..1, higher is more unique, exactly 0.0 for a duplicate. `keeper`: the image a duplicate belongs to.
    `keeper_distance`: to it, NaN for others. `nearest`: the nearest image that is not a duplicate. `group`: the image
    that leads its group of duplicates and near duplicates. `label`: DUPLICATE_LABEL, NEAR_DUPLICATE_LABEL or None.
    """

    uniqueness: Distances
    keeper: Indices
    keeper_distance: Distances
    nearest: Indices
    group: Indices
    label: NDArray[np.object_]


def score(content: Indices, rank: Indices, pairs: ContentPairs, thresholds: Thresholds) -> Scores:
    """Scores of n images by the rule of this module.

    `content`: (n,) which of the contents 0..m-1 each image shows; images of one content are identical. `rank`: (n,)
    the keeper order, 0 stays first, all different.

    Contents are taken in keeper order; one within `thresholds.duplicate` of a keeper already taken is a duplicate, any
    other becomes a keeper, so every duplicate is that near to its own keeper and no two keepers are. The duplicate's
    keeper is the nearest of those before it. Everyone else scores the distance to the nearest other image that is not
    a duplicate, 1.0 if there is none.
    """
    lead = _leaders(content, rank, len(pairs.nearest))
    keeper, keeper_distance = _stars(rank[lead], pairs, thresholds.duplicate)
    kept = keeper == np.arange(len(keeper))
    nearest, distance = _nearest_kept(kept, pairs)
    group = _groups(kept, keeper, rank[lead], pairs, thresholds.near_duplicate)

    stays = (lead[content] == np.arange(len(content))) & kept[content]
    uniqueness = np.where(stays, np.minimum(distance, 1.0)[content], 0.0)
    near = stays & (nearest[content] >= 0) & (uniqueness <= thresholds.near_duplicate)
    label = np.full(len(content), None, object)
    label[~stays], label[near] = DUPLICATE_LABEL, NEAR_DUPLICATE_LABEL
    alone = stays & ~near & (np.bincount(content, minlength=len(lead))[content] == 1)
    alone &= ~np.isin(content, keeper[~kept])
    of_keeper = lead[keeper[content]]
    return Scores(
        uniqueness=uniqueness,
        keeper=np.where(stays, -1, of_keeper),
        keeper_distance=np.where(stays, np.nan, keeper_distance[content]),
        nearest=np.where(stays, _lead_of(nearest, lead)[content], of_keeper),
        group=np.where(alone, -1, lead[group[content]]),
        label=label,
    )


def _leaders(content: Indices, rank: Indices, contents: int) -> Indices:
    """(m,) the image of each content that comes first in the keeper order."""
    lead = np.full(contents, -1, np.int64)
    order = np.argsort(rank)[::-1]
    lead[content[order]] = order  # of several writes to one place the last, the best ranked, stays
    return lead


def _stars(rank: Indices, pairs: ContentPairs, threshold: float) -> tuple[Indices, Distances]:
    """(m,) each content's keeper, itself if it is one, and the distance to it."""
    keeper = np.arange(len(rank))
    keeper_distance = np.zeros(len(rank))
    inside = pairs.distance <= threshold
    first, second, distance = pairs.first[inside], pairs.second[inside], pairs.distance[inside]
    ahead, behind = np.where(rank[first] < rank[second], (first, second), (second, first))
    covered = _covered(rank, ahead, behind)
    nearest_last = np.lexsort((rank[ahead], distance))[::-1]
    nearest_last = nearest_last[~covered[ahead[nearest_last]]]
    keeper[behind[nearest_last]] = ahead[nearest_last]  # of several writes to one place the last stays
    keeper_distance[behind[nearest_last]] = distance[nearest_last]
    return keeper, keeper_distance


def _covered(rank: Indices, ahead: Indices, behind: Indices) -> NDArray[np.bool_]:
    """(m,) whether a content lies near one that is a keeper. One is, unless it lies near a keeper ahead of it."""
    covered = np.zeros(len(rank), bool)
    order = np.argsort(rank[ahead], kind="stable")
    ahead, behind = ahead[order], behind[order]
    starts = np.flatnonzero(np.diff(ahead, prepend=-1))
    stops = np.append(starts, len(ahead))[1:]
    for row, start, stop in zip(ahead[starts].tolist(), starts.tolist(), stops.tolist(), strict=True):
        if not covered[row]:
            covered[behind[start:stop]] = True
    return covered


def _nearest_kept(kept: NDArray[np.bool_], pairs: ContentPairs) -> tuple[Indices, Distances]:
    """(m,) for each kept content the nearest other kept one and its distance; ties to the lower content."""
    row, distance = _nearest_in_pairs(kept, pairs)
    beyond, beyond_distance = pairs.nearest.copy(), pairs.nearest_distance.copy()
    gone = (beyond >= 0) & ~kept[beyond]
    doubtful = np.flatnonzero(kept & gone & (beyond_distance <= distance))
    if len(doubtful):
        beyond[doubtful], beyond_distance[doubtful] = pairs.rescan(doubtful, kept)
    beyond_distance[gone & ~np.isin(np.arange(len(kept)), doubtful)] = np.inf
    farther = (beyond_distance < distance) | ((beyond_distance == distance) & (beyond >= 0) & (beyond < row))
    return np.where(farther, beyond, row), np.where(farther, beyond_distance, distance)


def _nearest_in_pairs(kept: NDArray[np.bool_], pairs: ContentPairs) -> tuple[Indices, Distances]:
    inside = kept[pairs.first] & kept[pairs.second]
    a = np.concatenate([pairs.first[inside], pairs.second[inside]])
    b = np.concatenate([pairs.second[inside], pairs.first[inside]])
    between = np.concatenate([pairs.distance[inside]] * 2)
    distance, row = np.full(len(kept), np.inf), np.full(len(kept), len(kept), np.int64)
    np.minimum.at(distance, a, between)
    nearest = between == distance[a]
    np.minimum.at(row, a[nearest], b[nearest])
    return np.where(row < len(kept), row, -1), distance


def _groups(kept: NDArray[np.bool_], keeper: Indices, rank: Indices, pairs: ContentPairs, threshold: float) -> Indices:
    """(m,) the best-ranked content of the component that near-duplicate pairs of kept contents connect."""
    inside = (pairs.distance <= threshold) & kept[pairs.first] & kept[pairs.second]
    order = np.argsort(rank)
    place = np.empty_like(order)
    place[order] = np.arange(len(order))
    best = np.arange(len(order))  # by place: a place at least as good in the same component
    low, high = place[pairs.first[inside]], place[pairs.second[inside]]
    while len(low):
        low, high = np.minimum(low, high), np.maximum(low, high)
        np.minimum.at(best, high, low)
        while not np.array_equal(further := best[best], best):
            best = further
        low, high = best[low], best[high]
        apart = low != high
        low, high = low[apart], high[apart]
    return np.asarray(order[best[place[keeper]]])


def _lead_of(contents: Indices, lead: Indices) -> Indices:
    return np.where(contents >= 0, lead[contents], -1)
