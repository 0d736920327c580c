"""What a distance means on somebody's own images: plants edits in them, and counts what is found and what is not."""

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from dedup_assets.core.calibration.edits import EDITS, TURNS, Edit
from dedup_assets.core.calibration.planting import Bench, DifferentPairs, Photo, choose_photos
from dedup_assets.core.calibration.suggestion import Suggestion, suggest
from dedup_assets.core.detection.base import Embedder
from dedup_assets.core.detection.cosines import Distances
from dedup_assets.core.errors import DedupError
from dedup_assets.core.run import Run
from dedup_assets.core.settings import DUPLICATE_THRESHOLD, NEAR_DUPLICATE_THRESHOLD
from dedup_assets.core.sources import source_of
from dedup_assets.core.sources.base import Source

PHOTOS = 60
LEAST_PHOTOS = 4

_PORTION = 8  # photos whose edits are on disk at a time
_NEAR = NEAR_DUPLICATE_THRESHOLD.default
_CURVE = sorted({*(round(10 ** (step / 10), 6) for step in range(-40, 1)), DUPLICATE_THRESHOLD.default, _NEAR})


@dataclass(frozen=True, slots=True)
class CurvePoint:
    """What lies within `distance`: share of the planted edits, number and share of the pairs of different images."""

    distance: float
    recall: float
    false_pairs: int
    false_share: float


@dataclass(frozen=True, slots=True)
class Recall:
    """Share of the edits of one name, or of one family (then `name` is the family), found at 0.05."""

    name: str
    family: str
    recall: float


@dataclass(frozen=True, slots=True)
class FalsePair:
    """Two images that were taken for different ones, within 0.05. `confirmed`: aligned and compared window by window
    they agree, so they may well be duplicates that the folder holds."""

    image_a: str
    image_b: str
    distance: float
    confirmed: bool


@dataclass(frozen=True, slots=True)
class CalibrationReport:
    """What one embedder makes of one folder.

    `photos` images had `edits` edits planted each and make `pairs` pairs; `skipped` were unreadable, tiny, or showed
    the very pixels of another. `curve` by rising distance; `by_edit` weakest first; `false_pairs` nearest first: a
    folder may hold real duplicates, so look at them before calling them errors. `suggestion`: a map for vectors alone,
    from the pairs that are not `confirmed`.
    """

    embedder: str
    version: str
    second_stage: bool
    photos: int
    skipped: int
    edits: int
    pairs: int
    recall: float
    curve: tuple[CurvePoint, ...]
    by_family: tuple[Recall, ...]
    by_edit: tuple[Recall, ...]
    false_pairs: tuple[FalsePair, ...]
    suggestion: Suggestion | None


def calibrate(
    images: str | Path | Source,
    embedder: Embedder,
    *,
    second_stage: bool = True,
    photos: int = PHOTOS,
    edits: Sequence[Edit] | None = None,
    workers: int | None = None,
    run: Run | None = None,
) -> CalibrationReport:
    """Recall of planted edits and false pairs among up to `photos` of the images under a folder.

    Which images, and what chance puts into an edit, hangs on their image_ids alone. `second_stage=False` judges the
    vectors alone. `edits`: all that the embedder sets out to find, when not given. Everything is written to a temporary
    folder, and gone afterwards. Raises DedupError when fewer than 4 different images can be read, NoImagesError when
    the folder cannot be listed.
    """
    run = run or Run()
    edits = edits or (*EDITS, *(TURNS if any(embedder.turns) else ()))
    source = source_of(images)
    listing = source.listing()
    chosen, skipped = choose_photos(source, listing, photos)
    if len(chosen) < LEAST_PHOTOS:
        raise DedupError(
            f"only {len(chosen)} of the {len(listing.files)} images under '{source}' can be read and differ; "
            f"calibrating needs at least {LEAST_PHOTOS}, and tells more with {PHOTOS}"
        )
    with tempfile.TemporaryDirectory(prefix="dedup_calibrate_") as folder:
        bench = Bench(embedder, second_stage, workers, Path(folder))
        found, found_u = [], []
        for start in range(0, len(chosen), _PORTION):
            distance, u = bench.planted(chosen[start : start + _PORTION], edits)
            found.append(distance)
            found_u.append(u)
            run.progress("planting and finding edits", min(start + _PORTION, len(chosen)), len(chosen))
        different = bench.different(chosen)
    planted = np.concatenate(found)
    return CalibrationReport(
        embedder=embedder.name,
        version=embedder.version,
        second_stage=second_stage,
        photos=len(chosen),
        skipped=skipped,
        edits=len(edits),
        pairs=len(different.distance),
        recall=float((planted <= _NEAR).mean()),
        curve=_curve(planted.ravel(), different.distance),
        by_family=_by_family(planted, edits),
        by_edit=_by_edit(planted, edits),
        false_pairs=_false_pairs(chosen, different),
        suggestion=suggest(different.u[~different.confirmed], np.concatenate(found_u).ravel(), embedder.calibration),
    )


def _curve(planted: Distances, different: Distances) -> tuple[CurvePoint, ...]:
    counts = [int((different <= distance).sum()) for distance in _CURVE]
    return tuple(
        CurvePoint(distance, float((planted <= distance).mean()), count, count / len(different))
        for distance, count in zip(_CURVE, counts, strict=True)
    )


def _by_edit(planted: Distances, edits: Sequence[Edit]) -> tuple[Recall, ...]:
    found = (planted <= _NEAR).mean(axis=0)
    rows = [Recall(edit.name, edit.family, float(share)) for edit, share in zip(edits, found, strict=True)]
    return tuple(sorted(rows, key=lambda row: (row.recall, row.name)))


def _by_family(planted: Distances, edits: Sequence[Edit]) -> tuple[Recall, ...]:
    families = np.array([edit.family for edit in edits])
    return tuple(
        Recall(family, family, float((planted[:, families == family] <= _NEAR).mean()))
        for family in sorted({edit.family for edit in edits})
    )


def _false_pairs(photos: Sequence[Photo], pairs: DifferentPairs) -> tuple[FalsePair, ...]:
    found = []
    for row in np.flatnonzero(pairs.distance <= _NEAR):
        image_a, image_b = sorted(photos[end[row]].image_id for end in (pairs.first, pairs.second))
        found.append(FalsePair(image_a, image_b, float(pairs.distance[row]), bool(pairs.confirmed[row])))
    return tuple(sorted(found, key=lambda pair: (pair.distance, pair.image_a, pair.image_b)))
