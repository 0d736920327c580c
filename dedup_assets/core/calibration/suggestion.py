"""Where a near-duplicate threshold on vectors alone belongs, from how near the vectors of different pictures come."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dedup_assets.core.detection.base import Calibration
from dedup_assets.core.settings import DUPLICATE_THRESHOLD, NEAR_DUPLICATE_THRESHOLD

FALSE_SHARE = 1 / (1000 * 999 / 2)  # of the pairs of different images: one pair among 1,000 images
LEAST_PAIRS = 100  # fewer tell nothing about one pair in half a million

_TAIL_SHARE, _LEAST_TAIL = 0.02, 10
_STANDARD_ERRORS = 2
_LEAST_U, _MOST_U = 0.001, 0.9  # a map needs room on both sides


@dataclass(frozen=True, slots=True)
class Suggestion:
    """A map for one embedder. `u`: the half-angle distance that becomes 0.05; `calibration`: the map.

    `threshold`: the distance of `u` by the embedder's own map, which does the same as near-duplicate threshold.
    `recall`: share of the planted edits within `u`. `tail_share` of the pairs of different images, those that `u` was
    read from, lie within `tail_distance` by the embedder's own map.
    """

    u: float
    calibration: Calibration
    threshold: float
    recall: float
    tail_distance: float
    tail_share: float


def suggest(
    different: NDArray[np.float64], planted: NDArray[np.float64], calibration: Calibration
) -> Suggestion | None:
    """The map that makes 0.05 the distance at which one false pair among 1,000 images is expected.

    `different`, `planted`: (p,) and (q,) half-angle distances, 0..1, of the vectors of different images and of images
    and their edits. `calibration`: the embedder's own map. None where there are fewer than 100 different pairs.

    The rule: 1,000 images make 499,500 pairs, far more than were measured, so the share of false pairs is continued
    below the nearest ones. Over the nearest 2 % (at least 10 pairs) it is taken to be a power of u, whose exponent is
    Hill's estimate, 1 / mean(log(u_m / u_i)) (Hill, Annals of Statistics 3, 1975), less two standard errors; u is
    where that power reaches 1 / 499,500, or the nearest pair if that is nearer. 0.0001 and all below stay as they
    are; straight lines join (0.0001, 0.0001), (u, 0.05) and (1, 1). Look-alikes that are rarer than the images
    measured cannot be foreseen: in a set that holds some, more images tell better.
    """
    if len(different) < LEAST_PAIRS:
        return None
    tail = np.sort(different)[: max(_LEAST_TAIL, round(_TAIL_SHARE * len(different)))]
    edge, share = float(tail[-1]), len(tail) / len(different)
    power = 1 / max(float(np.mean(np.log(max(edge, 1e-9) / np.maximum(tail, 1e-9)))), 1e-3)
    power *= 1 - _STANDARD_ERRORS / np.sqrt(len(tail))
    u = min(edge * (FALSE_SHARE / share) ** (1 / power), float(tail[0]))
    u = min(max(u, _LEAST_U), _MOST_U)
    same, near = DUPLICATE_THRESHOLD.default, NEAR_DUPLICATE_THRESHOLD.default
    threshold, tail_distance = np.interp((u, edge), calibration.knots_u, calibration.knots_distance).tolist()
    suggested = Calibration((0.0, same, u, 1.0), (0.0, same, near, 1.0))
    return Suggestion(u, suggested, threshold, float((planted <= u).mean()), tail_distance, share)
