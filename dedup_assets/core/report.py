"""What a person wants to see of a store: counts, the histogram of uniqueness, the nearest pairs."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np
import pandas as pd

from dedup_assets.core.labels.conflicts import NOT_COMPARABLE
from dedup_assets.core.membership import among
from dedup_assets.core.project import remembered
from dedup_assets.core.steps.record import DEDUPLICATED_DATASET, DUPLICATES, dataset_is_behind, summary_of
from dedup_assets.core.storage import schema
from dedup_assets.core.storage.store import Store

HISTOGRAM_EDGES = (0.0, 0.0001, 0.005, 0.01, 0.02, 0.035, 0.05, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.75, 1.0)


@dataclass(frozen=True, slots=True)
class Bar:
    """Images whose score is above `low` and at most `high`; the first bar holds `low` too."""

    low: float
    high: float
    images: int


@dataclass(frozen=True, slots=True)
class ShownPair:
    """Two images to put side by side; the first is the one that stays, or the smaller id."""

    first: str
    second: str
    distance: float
    agreement: float | None
    note: str


@dataclass(frozen=True, slots=True)
class Overview:
    """The state of a store in numbers.

    `kept`: in the dataset that now stands. `waiting_pairs`: near pairs that nobody has decided about.
    `label_conflicts`: differences between the labels of a removed copy and of the image that stays. `is_behind`: the
    dataset is of an earlier state than all else here, as the last run was stopped before it.
    """

    image_root: str
    images: int
    unreadable: int
    duplicates: int
    near_duplicates: int
    reviewed: int
    discarded: int
    waiting_pairs: int
    label_conflicts: int
    kept: int
    dataset: str | None
    finished_at: datetime | None
    is_behind: bool


def histogram(scores: pd.DataFrame) -> list[Bar]:
    """How many images have a uniqueness in each bar; finer near zero, where the decisions are."""
    values = scores["uniqueness"].to_numpy(np.float64)
    place = np.clip(np.searchsorted(HISTOGRAM_EDGES[1:], values), 0, len(HISTOGRAM_EDGES) - 2)
    counts = np.bincount(place, minlength=len(HISTOGRAM_EDGES) - 1)
    bars = zip(HISTOGRAM_EDGES[:-1], HISTOGRAM_EDGES[1:], counts.tolist(), strict=True)
    return [Bar(low, high, images) for low, high, images in bars]


def nearest_pairs(store: Store, above: float, upto: float, limit: int) -> list[ShownPair]:
    """The nearest pairs of images that stay, with a distance above `above` and at most `upto`."""
    with store.reading():
        stays = set(store.read(schema.SCORES, "keeper_id IS NULL", columns=("image_id",))["image_id"])
        pairs = store.read(schema.PAIRS, "distance > ? AND distance <= ?", (above, upto)).sort_values("distance")
    shown = []
    for row in pairs.to_dict("records"):
        if row["image_a"] in stays and row["image_b"] in stays:
            agreement = None if pd.isna(row["agreement"]) else float(row["agreement"])
            shown.append(ShownPair(row["image_a"], row["image_b"], float(row["distance"]), agreement, ""))
        if len(shown) == limit:
            break
    return shown


def removed_pairs(store: Store, limit: int) -> list[ShownPair]:
    """Removed images beside the image they duplicate: those that are not identical first, then by id."""
    shown = "restored_at IS NULL AND superseded_at IS NULL AND keeper_id IS NOT NULL"
    removed = store.read(schema.REMOVALS, f"{shown} AND image_id IN (SELECT image_id FROM images)")
    removed = removed.sort_values(["distance", "image_id"], ascending=[False, True])
    return [
        ShownPair(row["keeper_id"], row["image_id"], float(row["distance"]), None, row["reason"])
        for row in removed.head(limit).to_dict("records")
    ]


def file_hashes(store: Store, image_ids: Iterable[str]) -> dict[str, str]:
    """The file_hash of each of these images that is there and readable."""
    rows = store.read(schema.IMAGES, "status = 'ok' AND image_id IN (SELECT unnest(?))", (sorted(set(image_ids)),))
    return dict(zip(rows["image_id"], rows["file_hash"], strict=True))


def overview(store: Store) -> Overview:
    """The numbers of the last completed runs."""
    with store.reading():
        images = store.read(schema.IMAGES, columns=("image_id", "status"))
        scores = store.read(schema.SCORES, columns=("label",))
        removed = store.read(schema.REMOVALS, "restored_at IS NULL AND superseded_at IS NULL")
        steps, image_root = store.steps(), str(remembered(store).images)
    removed = removed[among(removed["image_id"], images["image_id"])]
    readable = int((images["status"] == "ok").sum())
    reasons = removed["reason"].value_counts()
    dataset, collected = steps.get(DEDUPLICATED_DATASET), summary_of(steps, DUPLICATES)
    written = summary_of(steps, DEDUPLICATED_DATASET)
    differences: dict[str, int] = collected.get("label_conflicts", {})
    return Overview(
        image_root=image_root,
        images=len(images),
        unreadable=len(images) - readable,
        duplicates=int(reasons.get("identical", 0) + reasons.get("duplicate", 0)),
        near_duplicates=int((scores["label"] == "Near duplicate image").sum()),
        reviewed=int(reasons.get("reviewed", 0)),
        discarded=int(reasons.get("discarded", 0)),
        waiting_pairs=int(collected.get("waiting_pairs", 0)),
        label_conflicts=sum(count for kind, count in differences.items() if kind != NOT_COMPARABLE),
        kept=int(written.get("kept", readable - len(removed))),
        dataset=_place(store, written),
        finished_at=dataset.finished_at if dataset else None,
        is_behind=dataset_is_behind(steps),
    )


def _place(store: Store, dataset: dict[str, Any]) -> str | None:
    """Where the dataset is; found from where the store is now, which may have been moved since."""
    return str(dataset.get("delivered") or store.datasets / str(dataset["version"])) if dataset else None
