"""The first page: counts, the histogram of uniqueness, shortcuts, problems, the last run."""

from dataclasses import dataclass

import numpy as np
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from dedup_assets.core.exploring.browse import HISTOGRAM_BARS, UNREADABLE, facets, histogram_of
from dedup_assets.core.exploring.snapshot import Snapshot
from dedup_assets.core.settings import DUPLICATE_THRESHOLD, NEAR_DUPLICATE_THRESHOLD
from dedup_assets.core.steps.record import dataset_is_behind
from dedup_assets.explorer.pages import page
from dedup_assets.explorer.state import explorer_of

_WIDTH, _HEIGHT = 1000.0, 180.0
_TICKS = (0.0, 0.0001, 0.001, 0.01, 0.05, 0.1, 0.25, 0.5, 1.0)
_PROBLEMS_SHOWN = 100


@dataclass(frozen=True, slots=True)
class Bar:
    """One bar of the drawn histogram, in drawing units, with its count."""

    x: float
    y: float
    width: float
    height: float
    images: int
    low: float
    high: float
    kind: str


@dataclass(frozen=True, slots=True)
class Mark:
    """A place on the axis."""

    x: float
    value: float


def overview(request: Request) -> Response:
    """The overview page."""
    explorer = explorer_of(request)
    snapshot = explorer.snapshot()
    gallery, review = snapshot.gallery, explorer.review(snapshot)
    scores = gallery.uniqueness
    readable = int(gallery.readable.sum())
    used = (snapshot.thresholds.duplicate, snapshot.thresholds.near_duplicate)
    problems = gallery.images[~gallery.readable][["image_id", "status", "error"]]
    return page(
        request,
        "overview.html",
        root=str(snapshot.project.images),
        name=str(snapshot.project.images).rpartition("/")[2] or str(snapshot.project.images),
        images=len(gallery),
        unreadable=len(gallery) - readable,
        kept=readable - int(snapshot.removed.sum()),
        removed=int(snapshot.removed.sum()),
        duplicates=int(gallery.duplicate.sum()),
        near=int(gallery.near.sum()),
        groups=len(review.groups.order),
        decided=len(review.groups.order) - len(review.waiting),
        in_shortcut=int((scores <= DUPLICATE_THRESHOLD.default).sum()),
        in_near_shortcut=int((scores <= NEAR_DUPLICATE_THRESHOLD.default).sum()),
        duplicate_bound=DUPLICATE_THRESHOLD.default,
        near_bound=NEAR_DUPLICATE_THRESHOLD.default,
        thresholds=snapshot.thresholds,
        bars=_bars(snapshot),
        ticks=[Mark(_place(value), value) for value in _TICKS],
        marks=[Mark(_place(value), value) for value in used],
        problems=list(problems.head(_PROBLEMS_SHOWN).itertuples(index=False, name=None)),
        more_problems=max(len(problems) - _PROBLEMS_SHOWN, 0),
        problem_label=UNREADABLE,
        labels=dict(facets(snapshot)["label"]),
        steps=list(snapshot.steps.values()),
        dataset_is_behind=dataset_is_behind(snapshot.steps),
        datasets=snapshot.datasets.iloc[::-1].head(8).to_dict("records"),
    )


def _bars(snapshot: Snapshot) -> list[Bar]:
    """Bars on a cube-root axis, heights by square root, so that a handful beside thousands can still be seen."""
    counts = histogram_of(snapshot.gallery.uniqueness)
    most = max(float(counts.max()), 1.0)
    width = _WIDTH / HISTOGRAM_BARS
    bars = []
    for place, images in enumerate(counts.tolist()):
        low, high = (place / HISTOGRAM_BARS) ** 3, ((place + 1) / HISTOGRAM_BARS) ** 3
        kind = "unique" if low >= snapshot.thresholds.near_duplicate else "near"
        if high <= snapshot.thresholds.duplicate or (place == 0):
            kind = "duplicate"
        height = max(float(np.sqrt(images / most)) * _HEIGHT, 2.0) if images else 0.0
        bars.append(Bar(place * width + 1, _HEIGHT - height, width - 2, height, images, low, high, kind))
    return bars


def _place(value: float) -> float:
    return float(np.cbrt(value)) * _WIDTH


routes = [Route("/", overview)]
