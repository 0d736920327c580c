"""The audit record: what was removed, by whom, on what ground, and what happened to the store."""

from collections.abc import Mapping
from dataclasses import dataclass

import pandas as pd

from dedup_assets.core.membership import among
from dedup_assets.core.run import Run
from dedup_assets.core.scoring.collection import Removal
from dedup_assets.core.settings import Thresholds
from dedup_assets.core.storage import schema

_SAME = ["image_id", "content_hash", "keeper_id", "reason", "decided_by"]


@dataclass(frozen=True, slots=True)
class AuditChange:
    """How many images left and came back by one step."""

    added: int
    restored: int


def removal_rows(
    removals: Mapping[str, Removal], images: pd.DataFrame, thresholds: Thresholds, embedder: str, run: Run
) -> pd.DataFrame:
    """Rows of the removals table for removals that take effect now, by image_id."""
    hash_of = dict(zip(images["image_id"], images["file_hash"], strict=True))
    now = pd.Timestamp(run.now)
    rows = [
        {
            "image_id": removal.image_id,
            "keeper_id": removal.keeper_id,
            "reason": removal.reason,
            "distance": removal.distance,
            "duplicate_threshold": thresholds.duplicate,
            "near_duplicate_threshold": thresholds.near_duplicate,
            "embedder": embedder,
            "decided_by": removal.decided_by,
            "decided_at": _time(removal.decided_at, now),
            "note": removal.note or None,
            "run_id": run.run_id,
            "removed_at": now,
            "restored_at": pd.NaT,
            "content_hash": hash_of[removal.image_id],
            "keeper_reason": removal.keeper_reason,
            "superseded_at": pd.NaT,
            "dataset_version": None,
        }
        for removal in sorted(removals.values(), key=lambda removal: removal.image_id)
    ]
    return pd.DataFrame(rows, columns=schema.REMOVALS.names)


def removals_after(
    record: pd.DataFrame, new: pd.DataFrame, images: pd.DataFrame, run: Run
) -> tuple[pd.DataFrame, AuditChange]:
    """The audit record once `new` are the removals in force.

    A row that says the same stays as it is. One about an image that is removed on another ground, or whose keeper stays
    for another reason, is superseded, one about an image that is no longer removed is restored; an image that left the
    folder keeps its row.
    """
    active = in_force(record)
    same = _keys(new)
    unchanged = active & _keys(record).isin(set(same)) & ~_other_reason(record, new)
    present = among(record["image_id"], images["image_id"])
    still_removed = among(record["image_id"], new["image_id"])
    record = record.copy()
    now = pd.Timestamp(run.now)
    superseded = active & ~unchanged & still_removed
    restored = active & ~unchanged & ~still_removed & present
    record.loc[superseded, "superseded_at"] = now
    record.loc[restored, "restored_at"] = now
    fresh = new[~same.isin(set(_keys(record[unchanged])))]
    added = int((~among(fresh["image_id"], record.loc[superseded, "image_id"])).sum())
    together = pd.concat([record, fresh], ignore_index=True) if len(record) else fresh
    return together[schema.REMOVALS.names], AuditChange(added, int(restored.sum()))


def other_keeper_reason(before: "pd.Series[str]", now: "pd.Series[str]") -> "pd.Series[bool]":
    """Where both say why the keeper stays, and not the same."""
    return before.notna() & now.notna() & (before != now)


def in_force(record: pd.DataFrame) -> "pd.Series[bool]":
    """Which rows of the record hold now."""
    return record["restored_at"].isna() & record["superseded_at"].isna()


def unversioned(record: pd.DataFrame, removed: "pd.Series[str]") -> "pd.Series[bool]":
    """Which rows in force, about images of `removed`, no dataset version has been written without so far."""
    return in_force(record) & record["dataset_version"].isna() & among(record["image_id"], removed)


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened to the store: `kind` is run, rollback, repair or prune."""

    kind: str
    run: Run
    dataset_version: str | None
    thresholds: Thresholds
    embedder: str
    done_by: str | None = None
    note: str | None = None


def with_event(events: pd.DataFrame, event: Event) -> pd.DataFrame:
    """The events with one more."""
    row = {
        "event": event.kind,
        "happened_at": pd.Timestamp(event.run.now),
        "run_id": event.run.run_id,
        "dataset_version": event.dataset_version,
        "duplicate_threshold": event.thresholds.duplicate,
        "near_duplicate_threshold": event.thresholds.near_duplicate,
        "embedder": event.embedder,
        "done_by": event.done_by,
        "note": event.note,
    }
    new = pd.DataFrame([row], columns=schema.EVENTS.names)
    return pd.concat([events, new], ignore_index=True) if len(events) else new


def _keys(rows: pd.DataFrame) -> "pd.Series[str]":
    return (
        rows[_SAME].astype(object).fillna("").astype(str).agg("\0".join, axis=1) if len(rows) else pd.Series(dtype=str)
    )


def _other_reason(record: pd.DataFrame, new: pd.DataFrame) -> "pd.Series[bool]":
    now = record["image_id"].map(new.set_index("image_id")["keeper_reason"])
    return other_keeper_reason(record["keeper_reason"], now)


def _time(text: str, otherwise: pd.Timestamp) -> pd.Timestamp:
    try:
        time = pd.Timestamp(text)
    except ValueError:  # a person writes dates as they like; the words stay in the reviewed file
        return otherwise
    if pd.isna(time):
        return otherwise
    return time.tz_convert("UTC").tz_localize(None) if time.tzinfo else time
