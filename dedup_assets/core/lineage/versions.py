"""The dataset versions of a store: naming one, and what differs between two."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

import pandas as pd

from dedup_assets.core.errors import DedupError
from dedup_assets.core.lineage.grounds import why_back, why_gone
from dedup_assets.core.membership import among
from dedup_assets.core.storage import schema
from dedup_assets.core.storage.store import Store

LATEST, PREVIOUS, CURRENT = "latest", "previous", "current"
_STEP = "deduplicated_dataset"
_NOT_REMOVED = "not selected"


@dataclass(frozen=True, slots=True)
class Version:
    """One dataset version on disk."""

    name: str
    version: str
    folder: Path

    @property
    def label(self) -> str:
        """NAME/VERSION."""
        return f"{self.name}/{self.version}"

    @property
    def manifest(self) -> pd.DataFrame:
        """The images in it."""
        return self._read("manifest.parquet")

    @property
    def removed(self) -> pd.DataFrame:
        """The images left out as duplicates or by decision, with the grounds."""
        rows = self._read("removed.parquet")
        return rows[rows["reason"] != _NOT_REMOVED].reset_index(drop=True)

    def row_of(self, image_id: str, left_out: bool) -> pd.DataFrame:
        """What the list of images left out, or the manifest, says of one image: a row or none."""
        return self._read("removed.parquet" if left_out else "manifest.parquet", [("image_id", "==", image_id)])

    def _read(self, name: str, only: list[tuple[str, str, str]] | None = None) -> pd.DataFrame:
        try:
            return pd.read_parquet(self.folder / name, filters=only)
        except (OSError, ValueError) as error:
            raise DedupError(
                f"'{self.folder / name}' of the dataset version {self.label} cannot be read; ask 'dedup-assets doctor'"
            ) from error


@dataclass(frozen=True, slots=True)
class Moved:
    """One image that differs between two versions, and why. `run_id`: the Dagster run that removed it."""

    image_id: str
    why: str
    keeper_id: str | None = None
    distance: float | None = None
    run_id: str | None = None


@dataclass(frozen=True, slots=True)
class Difference:
    """From one version to another. `added`: new in the dataset; `restored`: were left out; `removed`: are left out now;
    `vanished`: no longer in the folder; `changed`: another picture under the same path. `same`: images in both."""

    before: str
    after: str
    added: tuple[Moved, ...]
    removed: tuple[Moved, ...]
    restored: tuple[Moved, ...]
    vanished: tuple[Moved, ...]
    changed: tuple[Moved, ...]
    same: int


def current_version(store: Store) -> str | None:
    """NAME/VERSION of the dataset that stands now."""
    record = store.step(_STEP)
    return record.output_version if record else None


def version_called(store: Store, said: str) -> Version:
    """The version that a person named: latest, previous or current, NAME for its newest, NAME/digits, or digits.

    The start of the digits is enough. `latest` is the one that a run wrote last, under any name; `current` the one that
    stands; `previous` the one of its name that stood before it, and before the first of a name what stood then. Raises
    DedupError naming what there is.
    """
    order = _by_time(store)
    if not order:
        raise DedupError(f"no dataset version has been written to '{store.folder}' yet; a run that ends writes one")
    if said in (LATEST, CURRENT):
        return _version(store, order[-1] if said == LATEST else current_version(store) or order[-1])
    if said == PREVIOUS:
        standing = current_version(store) or order[-1]
        mine = [label for label in order if label.partition("/")[0] == standing.partition("/")[0]]
        before = _before(standing, mine) or _before(standing, order)
        if before is None:
            raise DedupError(f"{standing} is the first dataset version; there is none before it")
        return _version(store, before)
    parts = {label: label.partition("/") for label in order}
    newest = [label for label in order if parts[label][0] == said][-1:]
    fits = newest or sorted(label for label in parts if label.startswith(said) or parts[label][2].startswith(said))
    if len(fits) == 1:
        return _version(store, fits[0])
    what = f"{len(fits)} versions begin with '{said}'" if fits else f"there is no dataset version '{said}'"
    known = ", ".join(dict.fromkeys(reversed(fits or order)))
    raise DedupError(f"{what}; say one of {known}, or {LATEST}, {PREVIOUS} or {CURRENT}")


def newest_first(store: Store) -> Iterator[Version]:
    """The versions that are still on disk, each once."""
    for label in dict.fromkeys(reversed(_by_time(store))):
        name, _, version = label.partition("/")
        folder = store.datasets / name / version
        if folder.is_dir():
            yield Version(name, version, folder)


def difference(store: Store, before: Version, after: Version) -> Difference:
    """What `after` holds that `before` does not, and the reverse, each image with the reason; sorted by path."""
    kept_before, kept, out_before, out = before.manifest, after.manifest, before.removed, after.removed
    old, new = kept_before.set_index("image_id"), kept.set_index("image_id")
    gone, was_gone = out.set_index("image_id"), out_before.set_index("image_id")
    present = pd.concat([kept[["image_id", "file_hash"]], out[["image_id", "file_hash"]]])
    scores = kept[["image_id", "uniqueness"]].assign(nearest_id=None)
    come_from = _elsewhere(pd.concat([kept_before, out_before]), present)
    went_to = _elsewhere(present, pd.concat([kept_before, out_before]))
    runs = _runs(store, after)
    added, removed, restored, vanished = [], [], [], []
    for image in new.index.difference(old.index):
        if image in was_gone.index:
            row = was_gone.loc[image]
            why = why_back(image, {**row, "content_hash": row["file_hash"]}, present, scores)
            restored.append(Moved(image, why, _text(row["keeper_id"])))
        else:
            source = come_from.get(str(new.at[image, "file_hash"]))
            added.append(Moved(image, f"renamed from {source}" if source else "new file"))
    for image in old.index.difference(new.index):
        if image not in gone.index:
            target = went_to.get(str(old.at[image, "file_hash"]))
            vanished.append(Moved(image, f"renamed to {target}" if target else "no longer in the folder"))
    for image in gone.index.difference(was_gone.index):
        row = gone.loc[image]
        distance = None if pd.isna(row["distance"]) else float(row["distance"])
        why = why_gone(str(row["reason"]), _text(row["keeper_id"]), distance, str(row["decided_by"]))
        fresh = "" if image in old.index else "new file; "
        removed.append(Moved(image, fresh + why, _text(row["keeper_id"]), distance, runs.get(image)))
    both = new.index.intersection(old.index)
    other = both[(old.loc[both, "file_hash"] != new.loc[both, "file_hash"]).to_numpy(bool)]
    changed = [Moved(image, "another picture under the same path") for image in other]
    return Difference(
        before=before.label,
        after=after.label,
        added=_by_path(added),
        removed=_by_path(removed),
        restored=_by_path(restored),
        vanished=_by_path(vanished),
        changed=_by_path(changed),
        same=len(both) - len(changed),
    )


def _by_path(moved: list[Moved]) -> tuple[Moved, ...]:
    return tuple(sorted(moved, key=lambda one: one.image_id))


def _by_time(store: Store) -> list[str]:
    """The versions as runs made them stand, oldest first; one that stood again is there again."""
    rows, events = store.read(schema.DATASETS), store.read(schema.EVENTS)
    runs = events[events["event"] == "run"]["dataset_version"].tolist()
    written = [f"{name}/{version}" for name, version in rows[["name", "version"]].itertuples(index=False)]
    order = [label for label in written if label not in runs] + runs  # an older release noted no events
    return [label for label, _ in groupby(order)]


def _before(label: str, order: list[str]) -> str | None:
    """What is in `order` before the last `label`; its end where it is not there."""
    place = max((place for place, one in enumerate(order) if one == label), default=len(order))
    return order[place - 1] if place else None


def _version(store: Store, label: str) -> Version:
    name, _, version = label.partition("/")
    folder = store.datasets / name / version
    if not folder.is_dir():
        raise DedupError(f"the dataset version {label} is no longer in '{store.datasets}'")
    return Version(name, version, folder)


def _elsewhere(those: pd.DataFrame, here: pd.DataFrame) -> dict[str, str]:
    """file_hash -> a path among `those` that is not in `here`."""
    rows = those[~among(those["image_id"], here["image_id"])].sort_values("image_id", ascending=False)
    return dict(zip(rows["file_hash"], rows["image_id"], strict=True))


def _runs(store: Store, version: Version) -> dict[str, str]:
    """image_id -> the run that removed it as the version says."""
    record = store.read(schema.REMOVALS)
    same = record.merge(
        version.removed[["image_id", "file_hash", "keeper_id", "reason"]].rename(columns={"file_hash": "content_hash"}),
        on=["image_id", "content_hash", "keeper_id", "reason"],
    )
    return dict(zip(same["image_id"], same["run_id"], strict=True))


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None
