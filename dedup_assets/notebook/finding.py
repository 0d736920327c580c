"""The duplicates of a folder in one call."""

import shutil
import tempfile
import weakref
from pathlib import Path

import pandas as pd
from typing_extensions import Unpack

from dedup_assets.core import steps
from dedup_assets.core.errors import DedupError
from dedup_assets.core.membership import among
from dedup_assets.core.project import Project, ProjectSettings, project_of
from dedup_assets.core.run import Progress, Run
from dedup_assets.core.scoring.rules import RULES, StoreRows
from dedup_assets.core.settings import DUPLICATE_THRESHOLD, NEAR_DUPLICATE_THRESHOLD, Thresholds
from dedup_assets.core.sources.base import Source
from dedup_assets.notebook.pictures import pairs_html, text_html
from dedup_assets.notebook.view import StoreView

_PAIRS_SHOWN = 6
_RUN_ID = "notebook"


class Duplicates:
    """What `find_duplicates` found. A notebook shows it as pictures side by side.

    `duplicates`: image_id, keeper_id, distance, reason of every image that goes. `near_duplicates`: image_a, image_b,
    distance, agreement of every pair that a person should look at, nearest first. `kept`: image_id, uniqueness, label,
    nearest_id of every image that stays. `unreadable`: image_id, status, error. `store`: all tables.
    """

    def __init__(self, project: Project, thresholds: Thresholds) -> None:
        self._project = project
        self.thresholds = thresholds
        self.store = StoreView(project.store)
        images, scores, removals = self.store.images, self.store.scores, self.store.removals
        stays = ~among(scores["image_id"], removals["image_id"])
        self.duplicates: pd.DataFrame = removals[["image_id", "keeper_id", "distance", "reason"]]
        self.kept: pd.DataFrame = _rows(scores[stays], "image_id", "uniqueness", "label", "nearest_id")
        self.near_duplicates: pd.DataFrame = _near(self.store.pairs, self.kept["image_id"], thresholds)
        self.unreadable: pd.DataFrame = _rows(images[images["status"] != "ok"], "image_id", "status", "error")
        self._hashes = dict(zip(images["image_id"], images["file_hash"], strict=True))

    def __repr__(self) -> str:
        found = len(self.duplicates) + len(self.kept) + len(self.unreadable)
        unreadable = f", {len(self.unreadable):,} unreadable" if len(self.unreadable) else ""
        return (
            f"{found:,} images under {self._project.images}: {len(self.kept):,} kept, "
            f"{len(self.duplicates):,} removed{unreadable}; near-duplicate pairs to look at: "
            f"{len(self.near_duplicates):,}"
        )

    def _repr_html_(self) -> str:
        removed, near = self.duplicates.dropna(subset=["keeper_id"]), self.near_duplicates
        shown = removed.sort_values("distance", ascending=False, kind="stable")  # identical ones tell the least
        return (
            text_html(repr(self))
            + self._pairs_html(near, ("image_a", "image_b"), ("image", "near duplicate"))
            + self._pairs_html(shown, ("keeper_id", "image_id"), ("stays", "goes"))
        )

    def _pairs_html(self, rows: pd.DataFrame, columns: tuple[str, str], titles: tuple[str, str]) -> str:
        pairs = list(rows[[*columns, "distance"]].head(_PAIRS_SHOWN).itertuples(index=False, name=None))
        return pairs_html(self._project, pairs, self._hashes, titles, more=len(rows) - len(pairs))


def find_duplicates(
    images: str | Path | Source,
    store: str | Path | None = None,
    *,
    duplicate_threshold: float = DUPLICATE_THRESHOLD.default,
    near_duplicate_threshold: float = NEAR_DUPLICATE_THRESHOLD.default,
    on_progress: Progress | None = None,
    **settings: Unpack[ProjectSettings],
) -> Duplicates:
    """The duplicates and near duplicates among the images of a folder, or of a bucket behind a URI.

    Takes the steps of the Dagster chain, up to the dataset, which is not written. Without a `store` one is made for as
    long as the result lives; with one, a second call reads only what is new, and the decisions written there count.
    `on_progress(what, done, total)` tells how it goes; `settings` are those of `ProjectSettings`. Raises DedupError
    with one sentence.
    """
    thresholds = Thresholds(duplicate_threshold, near_duplicate_threshold)
    run = Run(run_id=_RUN_ID) if on_progress is None else Run(run_id=_RUN_ID, progress=on_progress)
    if store is not None:
        return _find(project_of(images, store, **settings), thresholds, run)
    folder = tempfile.mkdtemp(prefix="dedup_store_")
    try:
        found = _find(project_of(images, folder, **settings), thresholds, run)
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    weakref.finalize(found.store, shutil.rmtree, folder, ignore_errors=True)
    return found


def _find(project: Project, thresholds: Thresholds, run: Run) -> Duplicates:
    with project.store.exclusively():
        steps.scan_images(project, run)
        steps.embed_images(project, run)
        steps.find_neighbours(project, run)
        steps.score_uniqueness(project, thresholds, run)
        steps.collect_duplicates(project, run)
        _check(StoreRows(project.store), thresholds)
        return Duplicates(project, thresholds)


def _check(rows: StoreRows, thresholds: Thresholds) -> None:
    for rule in RULES:
        result = rule.check(rows, thresholds.duplicate)
        if not result.passed:
            raise DedupError(f"check {rule.name} of {rule.asset} failed: {result.sentence}")


def _near(pairs: pd.DataFrame, stays: "pd.Series[str]", thresholds: Thresholds) -> pd.DataFrame:
    near = (pairs["distance"] > thresholds.duplicate) & (pairs["distance"] <= thresholds.near_duplicate)
    both = among(pairs["image_a"], stays) & among(pairs["image_b"], stays)
    chosen = pairs[near & both].sort_values(["distance", "image_a", "image_b"])
    return _rows(chosen, "image_a", "image_b", "distance", "agreement")


def _rows(frame: pd.DataFrame, *columns: str) -> pd.DataFrame:
    return frame[list(columns)].reset_index(drop=True)
