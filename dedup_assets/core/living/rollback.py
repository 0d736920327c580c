"""Back to an earlier dataset version: its scores, its collection and its removals in force, from what is stored."""

import json
from collections.abc import Hashable, Mapping, Set
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from dedup_assets.core import steps
from dedup_assets.core.datasets import find_links_again, make_current
from dedup_assets.core.errors import DecisionError, DedupError
from dedup_assets.core.lineage.audit import Event, removal_rows, removals_after, unversioned, with_event
from dedup_assets.core.lineage.run_links import ROLLBACK
from dedup_assets.core.lineage.same_picture import THEN, still_shown
from dedup_assets.core.lineage.versions import Version, current_version
from dedup_assets.core.membership import among
from dedup_assets.core.project import Project
from dedup_assets.core.run import Run
from dedup_assets.core.scoring.collection import DISCARDED, NearPairs, Removal, collect, keeper_chain
from dedup_assets.core.scoring.keepers import protected_levels
from dedup_assets.core.settings import Thresholds
from dedup_assets.core.steps.duplicates import (
    automatic_removals,
    bound_decisions,
    collection_tags,
    staying_pairs,
)
from dedup_assets.core.steps.inputs import SCORES_OF_COLLECTION, content_of, scores_version
from dedup_assets.core.steps.record import (
    DEDUPLICATED_DATASET,
    DUPLICATES,
    UNIQUENESS_SCORES,
    dataset_input,
    done,
    note,
    summary_of,
)
from dedup_assets.core.storage import schema
from dedup_assets.core.storage.published import publish


@dataclass(frozen=True, slots=True)
class RolledBack:
    """What a rollback did. `decisions_then`: the reviewed file as it was, if it was kept.

    `cannot_leave`: images left out then whose keeper is gone now, cannot be read or shows another picture, so that they
    stay in the tables; the dataset version itself is without them. `other_now`: images of that version which show
    another picture now or cannot be read; `gone_now`: those that are no longer in the folder.
    """

    before: str | None
    after: str
    folder: str
    thresholds: Thresholds
    removed: int
    restored: int
    cannot_leave: tuple[str, ...]
    other_now: tuple[str, ...]
    gone_now: tuple[str, ...]
    decisions_differ: bool
    decisions_then: str | None


def roll_back(project: Project, version: Version, run: Run, done_by: str) -> RolledBack:
    """Make `version` the dataset that stands, with the thresholds, scores and removals of its time.

    The scores come from the stored pairs: no image is opened and no pair compared. The reviewed file and the images are
    left alone; images that came since keep their scores and are in no collection. Recorded as an event, and in the
    removals that it restores or puts in force again.
    """
    store = project.store
    with store.exclusively(run.say):
        facts = json.loads((version.folder / "summary.json").read_text(encoding="utf-8"))
        if "thresholds" not in facts:
            raise DedupError(f"{version.label} was put together by hand in the Explorer; no run can be gone back to")
        thresholds, embedder = Thresholds(**facts["thresholds"]), str(facts["embedder"])
        before, left_out = current_version(store), version.removed
        kept = version.manifest.reindex(columns=THEN)
        steps.score_uniqueness(project, thresholds, run)
        images, record = store.read(schema.IMAGES), store.read(schema.REMOVALS)
        shown = still_shown(pd.concat([kept, left_out.reindex(columns=THEN)]), images)
        removals, cannot_leave = _still_possible(_removals(left_out, record), left_out, images, shown)
        present = among(kept["image_id"], images["image_id"])
        other = present & ~among(kept["image_id"], shown)
        new = removal_rows(removals, images, thresholds, embedder, run)
        after, change = removals_after(record, new, images, run)
        fresh = unversioned(after, new["image_id"])
        after["dataset_version"] = after["dataset_version"].astype(object).mask(fresh, version.label)
        waiting = _waiting(project, images, thresholds, removals)
        collected = steps.CollectionSummary(
            removed=len(new),
            by_reason={str(reason): int(count) for reason, count in new["reason"].value_counts().sort_index().items()},
            added=change.added,
            restored=change.restored,
            decisions=int(summary_of(store.steps(), DUPLICATES).get("decisions", 0)),
            decisions_without_image=0,
            waiting_pairs=len(waiting),
            waiting_images=len(waiting.images),
            version=f"rollback to {version.label}",
        )
        written = steps.DatasetSummary(
            name=version.name,
            dataset_version=version.version,
            folder=str(version.folder),
            kept=int(facts["kept"]),
            removed=int(facts["removed"]),
            created=False,
            version=version.label,
        )
        words = f"from {before} back to {version.label}"
        event = Event(ROLLBACK, run, version.label, thresholds, embedder, done_by, words)
        frames = {
            schema.REMOVALS: after,
            schema.TAGS: collection_tags(store.read(schema.TAGS), new, run),
            schema.EVENTS: with_event(store.read(schema.EVENTS), event),
        }
        (scored,) = done(project, UNIQUENESS_SCORES)
        made_of = {"decisions": str(project.decisions_file), SCORES_OF_COLLECTION: scores_version(scored)}
        left = note(DUPLICATES, event.kind, collected, made_of, run)
        went_in = dataset_input({**store.steps(), DUPLICATES: left})
        store.replace(frames, left, note(DEDUPLICATED_DATASET, went_in, written, asdict(project.recipe), run))
        with store.explained():
            find_links_again(version.folder, project.images)
            make_current(version.folder)
        publish(store, run)
    then = version.folder / "decisions.csv"
    return RolledBack(
        before=before,
        after=version.label,
        folder=str(version.folder),
        thresholds=thresholds,
        removed=change.added,
        restored=change.restored,
        cannot_leave=cannot_leave,
        other_now=tuple(kept.loc[other, "image_id"].astype(str)),
        gone_now=tuple(kept.loc[~present, "image_id"].astype(str)),
        decisions_differ=_bytes(then) != _bytes(project.decisions_file),
        decisions_then=str(then) if then.is_file() else None,
    )


def _removals(left_out: pd.DataFrame, record: pd.DataFrame) -> dict[str, Removal]:
    """The removals of a version, each with what the audit record knows of it beside its list."""
    keys = ["image_id", "content_hash", "keeper_id", "reason", "decided_by"]
    known = {tuple(_text(row[key]) for key in keys): row for row in record.to_dict("records")}
    removals = {}
    for row in left_out.rename(columns={"file_hash": "content_hash"}).to_dict("records"):
        noted: Mapping[Hashable, Any] = known.get(tuple(_text(row[key]) for key in keys), {})
        removals[str(row["image_id"])] = Removal(
            image_id=str(row["image_id"]),
            keeper_id=_text(row["keeper_id"]),
            reason=str(row["reason"]),
            distance=None if pd.isna(row["distance"]) else float(row["distance"]),
            keeper_reason=_text(noted.get("keeper_reason")),
            decided_by=str(row["decided_by"]),
            decided_at=str(noted["decided_at"]) if noted else "",
            note=_text(row["note"]) or "",
        )
    return removals


def _still_possible(
    removals: Mapping[str, Removal], left_out: pd.DataFrame, images: pd.DataFrame, shown: Set[str]
) -> tuple[dict[str, Removal], tuple[str, ...]]:
    """Those about pictures that are still there and lead to one that stays; and the pictures that have lost it.

    `shown`: the images that show what they showed then. Other files may have the names of keepers now.
    """
    readable = images[images["status"] == "ok"]
    hash_of = dict(zip(readable["image_id"], readable["file_hash"], strict=True))
    content = content_of(images)
    then = dict(zip(left_out["image_id"], left_out["file_hash"], strict=True))
    there = {image: removal for image, removal in removals.items() if hash_of.get(image) == then[image]}

    def ends_well(image: str) -> bool:
        last = keeper_chain(there, image)[-1]
        if last.keeper_id is None:
            return last.reason == DISCARDED
        return last.keeper_id in shown or content.get(last.keeper_id) == content[last.image_id]

    possible = {image: removal for image, removal in there.items() if ends_well(image)}
    return possible, tuple(sorted(there.keys() - possible.keys()))


def _waiting(
    project: Project, images: pd.DataFrame, thresholds: Thresholds, removals: Mapping[str, Removal]
) -> NearPairs:
    """The near pairs that nobody has decided about, of images that stay."""
    scores, contents = project.store.read(schema.SCORES), content_of(images)
    near = staying_pairs(project.store.read(schema.PAIRS), scores, thresholds)
    automatic, levels = automatic_removals(scores, contents), protected_levels(images, project.keepers)
    try:
        pairs = collect(automatic, near, bound_decisions(project, images), contents, levels).waiting
    except DecisionError:  # the next run will say so
        pairs = collect(automatic, near, [], contents, levels).waiting
    stays = np.array([image not in removals for image in pairs.ids.tolist()], bool)
    return pairs.only(stays[pairs.first] & stays[pairs.second])


def _bytes(path: Path) -> bytes | None:
    return path.read_bytes() if path.is_file() else None


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None
