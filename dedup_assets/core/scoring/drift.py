"""How much of what arrives is there already: the share of duplicates among new images, by top folder."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import pandas as pd

from dedup_assets.core.membership import among
from dedup_assets.core.run import Run
from dedup_assets.core.settings import Bounded
from dedup_assets.core.storage import schema
from dedup_assets.core.storage.store import Store

ALL, ROOT = "", "."  # as folders: all of them together, and files that lie in none
MIN_NEW = 10  # fewer new images say nothing about a share

DRIFT_BOUND = Bounded(
    "drift_bound",
    0.5,
    0.0,
    1.0,
    "Largest share of duplicates among the new images of a run, in all and in each top folder, before a warning. Above "
    "a half, most of a delivery was there before: it was probably sent twice.",
)


@dataclass(frozen=True, slots=True)
class Arrival:
    """The new images of one scoring under one top folder, or under all (`folder` = ALL). `first`: nothing was there."""

    folder: str
    images: int
    duplicates: int
    first: bool = False

    @property
    def share(self) -> float:
        """Duplicates among the new images, 0..1."""
        return self.duplicates / self.images if self.images else 0.0

    @property
    def name(self) -> str:
        """The folder, for a person."""
        return {ALL: "all folders", ROOT: "no folder"}.get(self.folder, f"'{self.folder}'")


def count_arrivals(new: pd.DataFrame, *, first: bool = False) -> list[Arrival]:
    """All folders together, then each top folder by name. `new` has image_id and is_duplicate; none for no rows."""
    if not len(new):
        return []
    ids, found = new["image_id"].tolist(), new["is_duplicate"].tolist()
    folders = [image_id.partition("/")[0] if "/" in image_id else ROOT for image_id in ids]
    images = Counter(folders)
    duplicates = Counter(folder for folder, duplicate in zip(folders, found, strict=True) if duplicate)
    each = [Arrival(folder, images[folder], duplicates[folder], first) for folder in sorted(images)]
    return [Arrival(ALL, len(new), int(new["is_duplicate"].sum()), first), *each]


def note_arrivals(store: Store, run: Run) -> list[Arrival]:
    """Count and store the images that were first seen since the last time; none when there are none.

    An image is a duplicate when its score says so, whether its keeper is new too or was there before.
    """
    with store.exclusively(run.say):
        with store.reading():
            rows = store.read(schema.ARRIVALS)
            since = rows["seen_until"].max() if len(rows) else None
            new = _seen_since(store, since)
        arrivals = count_arrivals(new, first=since is None)
        if arrivals:
            store.append(schema.ARRIVALS, _rows(arrivals, run.run_id, new["first_seen_at"].max()))
        return arrivals


def last_arrivals(store: Store) -> list[Arrival]:
    """The arrivals of the last scoring that had any."""
    rows = store.read(schema.ARRIVALS)
    rows = rows[rows["seen_until"] == rows["seen_until"].max()] if len(rows) else rows
    return [
        Arrival(row["folder"], row["images"], row["duplicates"], row["is_first"]) for row in rows.to_dict("records")
    ]


def beyond(arrivals: Sequence[Arrival], bound: float) -> list[Arrival]:
    """Those above the bound, the largest share first; not those too few to tell, nor the first images of all."""
    over = [entry for entry in arrivals if not entry.first and entry.images >= MIN_NEW and entry.share > bound]
    return sorted(over, key=lambda entry: (-entry.share, entry.folder))


def _seen_since(store: Store, since: datetime | None) -> pd.DataFrame:
    where = "status = 'ok'" if since is None else "status = 'ok' AND first_seen_at > ?"
    new = store.read(schema.IMAGES, where, () if since is None else (since,), ("image_id", "first_seen_at"))
    if new.empty:
        return new.assign(is_duplicate=False)
    duplicates = store.read(schema.SCORES, "keeper_id IS NOT NULL", columns=("image_id",))
    return new.assign(is_duplicate=among(new["image_id"], duplicates["image_id"]))


def _rows(arrivals: Sequence[Arrival], run_id: str, at: datetime) -> pd.DataFrame:
    facts = [
        {"folder": entry.folder, "images": entry.images, "duplicates": entry.duplicates, "share": entry.share}
        | {"is_first": entry.first, "run_id": run_id, "seen_until": at}
        for entry in arrivals
    ]
    return pd.DataFrame(facts)
