"""What happened to one image, in the order of time."""

import json
from collections.abc import Hashable, Iterator, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

import pandas as pd

from dedup_assets.core.lineage.grounds import decisions_about, why_gone
from dedup_assets.core.lineage.in_dataset import last_held, unlike_the_dataset
from dedup_assets.core.lineage.run_links import ROLLBACK
from dedup_assets.core.lineage.why import KEPT, identify
from dedup_assets.core.storage import schema
from dedup_assets.core.storage.store import StepRecord, Store


@dataclass(frozen=True, slots=True)
class Happening:
    """One thing that happened. `at` is UTC, None where a person wrote a time that cannot be understood."""

    at: datetime | None
    what: str
    sentence: str
    run_id: str | None = None


@dataclass(frozen=True, slots=True)
class ImageHistory:
    """`happenings` oldest first. `now`: kept, removed, unreadable or vanished. `other_paths`: where the store has seen
    the same bytes too, by path. `unlike_the_dataset`: a sentence where the dataset that stands says something else.
    `last_held`: the newest dataset version with an image that has left the folder."""

    image_id: str
    now: str
    other_paths: tuple[str, ...]
    happenings: tuple[Happening, ...]
    unlike_the_dataset: str | None = None
    last_held: str | None = None


def history(store: Store, image: str) -> ImageHistory:
    """Everything the store knows of an image. Raises DedupError for one it never saw."""
    tables = {table: store.read(table) for table in (schema.IMAGES, schema.REMOVALS, schema.DECISIONS, schema.EVENTS)}
    image_id = identify(store, image, tables[schema.IMAGES], tables[schema.REMOVALS])
    scores = store.read(schema.SCORES, "image_id = ?", (image_id,))
    images = tables[schema.IMAGES]
    held = None if image_id in set(images["image_id"]) else last_held(store, image_id)
    hashes = {held[1]} if held else set()
    found = history_from(image_id, {**tables, schema.SCORES: scores}, store.step("uniqueness_scores"), hashes)
    shown = images.loc[images["image_id"] == image_id, "file_hash"].iloc[0] if found.now == KEPT else None
    unlike = unlike_the_dataset(store, image_id, shown)
    return replace(found, last_held=held[0] if held else None, unlike_the_dataset=unlike)


def history_from(
    image_id: str,
    tables: Mapping[schema.Table, pd.DataFrame],
    scoring: StepRecord | None,
    seen: AbstractSet[str] = frozenset(),
) -> ImageHistory:
    """The same, of an image_id, from tables that are read already; `scoring`: what made the scores.

    `seen`: file_hashes that it is known to have had beside those in the tables.
    """
    images, removals, decisions = tables[schema.IMAGES], tables[schema.REMOVALS], tables[schema.DECISIONS]
    row = next(iter(images[images["image_id"] == image_id].to_dict("records")), None)
    about = removals[removals["image_id"] == image_id].to_dict("records")
    hashes = {*seen, *(entry["content_hash"] for entry in about), *([row["file_hash"]] if row else [])}
    events = tables[schema.EVENTS]
    rollbacks = events[events["event"] == ROLLBACK]
    back = dict(zip(rollbacks["happened_at"], rollbacks["dataset_version"], strict=True))
    found = [
        *_seen(row),
        *(entry for removal in about for entry in _removal(removal, back)),
        *_decided(image_id, hashes, decisions),
        *(_scored(image_id, tables[schema.SCORES], scoring) if row and row["status"] == "ok" else ()),
    ]
    same = pd.concat(
        [
            images[["image_id", "file_hash"]],
            removals[["image_id", "content_hash"]].set_axis(["image_id", "file_hash"], axis=1),
        ]
    )
    others = same.loc[same["file_hash"].isin(hashes - {None}) & (same["image_id"] != image_id), "image_id"]
    return ImageHistory(
        image_id=image_id,
        now=_now(row, about),
        other_paths=tuple(sorted(set(others))),
        happenings=tuple(sorted(found, key=lambda entry: (entry.at is None, entry.at or datetime.max))),
    )


def _seen(row: Mapping[Hashable, Any] | None) -> Iterator[Happening]:
    if row is None:
        return
    size = "" if pd.isna(row["width"]) else f", {int(row['width'])}x{int(row['height'])} {row['format']}"
    bad = "" if row["status"] == "ok" else f"; it cannot be used: {row['error']}"
    yield Happening(row["first_seen_at"], "seen", f"first seen: {int(row['size_bytes']):,} bytes{size}{bad}")


def _removal(row: Mapping[Hashable, Any], rollbacks: Mapping[Any, str]) -> Iterator[Happening]:
    distance = None if pd.isna(row["distance"]) else float(row["distance"])
    keeper = None if pd.isna(row["keeper_id"]) else str(row["keeper_id"])
    ground = why_gone(str(row["reason"]), keeper, distance, str(row["decided_by"]))
    ground += "" if pd.isna(row["keeper_reason"]) else f"; {keeper} stays: {row['keeper_reason']}"
    out_of = "" if pd.isna(row["dataset_version"]) else f"; first left out of {row['dataset_version']}"
    yield Happening(row["removed_at"], "removed", f"removed: {ground}{out_of}", str(row["run_id"]))
    for column, what, words in (
        ("restored_at", "restored", "restored"),
        ("superseded_at", "superseded", "removed on another ground than that"),
    ):
        if not pd.isna(row[column]):
            by = f" by going back to {rollbacks[row[column]]}" if row[column] in rollbacks else ""
            yield Happening(row[column], what, words + by)


def _decided(image_id: str, hashes: set[str], decisions: pd.DataFrame) -> Iterator[Happening]:
    for decided_at, sentence in decisions_about(image_id, hashes, decisions):
        yield Happening(_time(decided_at), "decided", sentence)


def _scored(image_id: str, scores: pd.DataFrame, step: StepRecord | None) -> Iterator[Happening]:
    score = next(iter(scores[scores["image_id"] == image_id].to_dict("records")), None)
    if step is None or score is None or pd.isna(score["uniqueness"]):
        return
    label = "" if pd.isna(score["label"]) else f", {str(score['label']).lower()}"
    nearest = "" if pd.isna(score["nearest_id"]) else f"; nearest is {score['nearest_id']}"
    used = json.loads(step.settings)["thresholds"]
    with_ = f"; thresholds {used['duplicate']:g} and {used['near_duplicate']:g}"
    sentence = f"scored {score['uniqueness']:.4g}{label}{nearest}{with_}"
    yield Happening(step.finished_at, "scored", sentence, step.run_id)


def _now(row: Mapping[Hashable, Any] | None, removals: list[dict[Hashable, Any]]) -> str:
    if row is None:
        return "vanished"
    if row["status"] != "ok":
        return "unreadable"
    return "removed" if any(pd.isna(r["restored_at"]) and pd.isna(r["superseded_at"]) for r in removals) else "kept"


def _time(text: str) -> datetime | None:
    try:
        time = pd.Timestamp(text or "no time")
    except ValueError:
        return None
    return None if pd.isna(time) else (time.tz_convert("UTC").tz_localize(None) if time.tzinfo else time)
