"""The dataset versions as a list to choose from, and the two that a person would look at first."""

from dataclasses import dataclass
from datetime import datetime

from dedup_assets.core.errors import DedupError
from dedup_assets.core.lineage.versions import CURRENT, PREVIOUS, current_version, version_called
from dedup_assets.core.storage import schema
from dedup_assets.core.storage.store import Store


@dataclass(frozen=True, slots=True)
class Listed:
    """One version written. `by_chain`: it is of the dataset that runs write, so it can be gone back to."""

    label: str
    description: str
    kept: int
    removed: int
    run_id: str
    created_at: datetime
    is_current: bool
    is_there: bool
    by_chain: bool


def listed(store: Store) -> list[Listed]:
    """Every version written, newest first."""
    current = current_version(store)
    name = current.partition("/")[0] if current else ""
    rows = store.read(schema.DATASETS).sort_values("created_at", kind="stable", ascending=False)
    return [
        Listed(
            label=f"{row['name']}/{row['version']}",
            description=str(row["description"] or ""),
            kept=int(row["kept"]),
            removed=int(row["removed"]),
            run_id=str(row["run_id"]),
            created_at=row["created_at"],
            is_current=f"{row['name']}/{row['version']}" == current,
            is_there=(store.datasets / str(row["name"]) / str(row["version"])).is_dir(),
            by_chain=row["name"] == name,
        )
        for row in rows.to_dict("records")
    ]


def first_pair(store: Store) -> tuple[str, str] | None:
    """The version before the one that stands, and that; None where there are no two."""
    try:
        return version_called(store, PREVIOUS).label, version_called(store, CURRENT).label
    except DedupError:
        return None
