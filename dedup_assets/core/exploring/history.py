"""The audit record, searched: what was removed when, on what ground and by whom."""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from dedup_assets.core.errors import SettingsError
from dedup_assets.core.exploring.snapshot import Snapshot

IN_FORCE, RESTORED, SUPERSEDED = "in force", "restored", "superseded"
STATES = (IN_FORCE, RESTORED, SUPERSEDED)


@dataclass(frozen=True, slots=True)
class Search:
    """What to find; everything empty finds all. `text`: in a path, a name or a note, any case."""

    text: str = ""
    reason: str = ""
    decided_by: str = ""
    run_id: str = ""
    state: str = ""

    def __post_init__(self) -> None:
        if self.state and self.state not in STATES:
            raise SettingsError(f"state is '{self.state}'; it may be {', '.join(STATES)}")


def search(snapshot: Snapshot, wanted: Search) -> pd.DataFrame:
    """The rows of the audit record that fit, newest first, with a column `state`, one of STATES."""
    record = snapshot.removals
    state = np.where(
        record["restored_at"].notna(), RESTORED, np.where(record["superseded_at"].notna(), SUPERSEDED, IN_FORCE)
    )
    record = record.assign(state=state)
    fits = np.ones(len(record), bool)
    for column in ("reason", "decided_by", "run_id", "state"):
        value = getattr(wanted, column)
        if value:
            fits &= (record[column] == value).to_numpy()
    if wanted.text:
        text = wanted.text.lower()
        columns = [record[name].fillna("").str.lower() for name in ("image_id", "keeper_id", "note")]
        fits &= np.logical_or.reduce([column.str.contains(text, regex=False).to_numpy(bool) for column in columns])
    return record[fits].sort_values(["removed_at", "image_id"], ascending=[False, True], kind="stable")


def choices(snapshot: Snapshot) -> dict[str, list[str]]:
    """What occurs in the record, for choosing from: `reason`, `decided_by`, and `run_id` (newest first)."""
    record = snapshot.removals
    newest = record.sort_values("removed_at", ascending=False)["run_id"]
    return {
        "reason": sorted(record["reason"].dropna().unique()),
        "decided_by": sorted(record["decided_by"].dropna().unique()),
        "run_id": list(dict.fromkeys(newest.dropna())),
    }
