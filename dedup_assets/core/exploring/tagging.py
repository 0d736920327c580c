"""Collections of images that people make; and what putting images into `Duplicates` means."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import pandas as pd

from dedup_assets.core.errors import SettingsError
from dedup_assets.core.exploring.review import Review, Suggestion
from dedup_assets.core.exploring.snapshot import Rows, Snapshot
from dedup_assets.core.run import now_utc
from dedup_assets.core.settings import DUPLICATES_TAG
from dedup_assets.core.storage.store import Store

_LONGEST_NAME = 80


@dataclass(frozen=True, slots=True)
class DuplicatesPlan:
    """What adding images to Duplicates means: `removals` to decide, and the images it does not touch.

    `already`: removed by the rule. `kept_back`: nobody else of their group would be left. `alone`: they have no near
    duplicate, so nothing would stand for them.
    """

    removals: tuple[Suggestion, ...]
    already: int
    kept_back: tuple[int, ...]
    alone: int


def check_name(tag: str) -> str:
    """The name of a collection, trimmed. Raises SettingsError when people cannot write to it."""
    tag = tag.strip()
    if not tag or len(tag) > _LONGEST_NAME or not tag.isprintable() or ";" in tag:
        raise SettingsError(
            f"a collection cannot be named '{tag}'; use 1 to {_LONGEST_NAME} printable characters without ';'"
        )
    if tag.lower() == DUPLICATES_TAG.lower():
        raise SettingsError(f"the collection '{DUPLICATES_TAG}' is kept by the chain; decide about its images instead")
    return tag


def add_to_collection(store: Store, tag: str, image_ids: Iterable[str]) -> int:
    """Put images into a collection, which is made if there is none; how many are new in it."""
    tag = check_name(tag)
    wanted = pd.DataFrame({"image_id": sorted(set(image_ids))}, dtype=object)
    with store.connect(write=True) as db:
        db.register("wanted", wanted)
        before = _count(db.execute("SELECT count(*) FROM tags").fetchone())
        db.execute(
            "INSERT INTO tags BY NAME SELECT image_id, ? AS tag, 'by hand' AS reason, 'explorer' AS run_id, "
            "CAST(? AS TIMESTAMP) AS tagged_at FROM wanted "
            "WHERE image_id NOT IN (SELECT image_id FROM tags WHERE tag = ?) ORDER BY image_id",
            [tag, now_utc(), tag],
        )
        return _count(db.execute("SELECT count(*) FROM tags").fetchone()) - before


def remove_from_collection(store: Store, tag: str, image_ids: Iterable[str] | None) -> int:
    """Take images out of a collection, or all (None), which ends it; how many were in it."""
    tag = check_name(tag)
    with store.connect(write=True) as db:
        where = ""
        if image_ids is not None:
            db.register("wanted", pd.DataFrame({"image_id": sorted(set(image_ids))}, dtype=object))
            where = "AND image_id IN (SELECT image_id FROM wanted)"
        return _count(db.execute(f"DELETE FROM tags WHERE tag = ? {where}", [tag]).fetchone())


def duplicates_plan(snapshot: Snapshot, review: Review, rows: Rows) -> DuplicatesPlan:
    """What a person who adds these rows to Duplicates decides; in each group at least one image stays."""
    gallery, groups = snapshot.gallery, review.groups
    chosen = set(rows.tolist())
    removals: list[Suggestion] = []
    kept_back: list[int] = []
    leaders = sorted({groups.group_of[row] for row in chosen if row in groups.group_of})
    for leader in leaders:
        state = review.state(leader)
        stays = {row for row in state.group.members if row not in chosen and row not in state.removed}
        for row in state.group.members:
            if row in chosen and row not in state.removed:
                near = state.group.pairs.of(row)
                partners = [(distance, other) for other, distance in near.items() if other in stays]
                if partners:
                    distance, keeper = min(partners)
                    removals.append(Suggestion(row, keeper, distance))
                else:
                    stays.add(row)
                    kept_back.append(row)
    members = {row for leader in leaders for row in groups.by_leader[leader].members}
    already = int(np.sum(gallery.duplicate[rows])) + sum(
        row in review.state(groups.group_of[row]).removed for row in chosen & members
    )
    alone = sum(not gallery.duplicate[row] and row not in members for row in chosen)
    return DuplicatesPlan(tuple(removals), already, tuple(kept_back), alone)


def _count(row: tuple[object, ...] | None) -> int:
    return int(str(row[0])) if row else 0
