"""Whether the image that stayed for a removed one still shows the picture that it showed then."""

from collections.abc import Hashable, Mapping
from typing import Any

import pandas as pd

from dedup_assets.core.errors import DedupError
from dedup_assets.core.lineage.same_picture import THEN, still_shown
from dedup_assets.core.lineage.versions import newest_first
from dedup_assets.core.storage.store import Store


def loss_of_keeper(
    store: Store, removal: Mapping[Hashable, Any], images: pd.DataFrame, held: pd.DataFrame
) -> str | None:
    """Why the keeper of `removal`, a row of `held`, does not show the picture now, as a sentence; None where it does.

    `images`: all rows of that table; `held`: the removals in force, which tell what images that left the folder showed
    last. What the keeper showed then is what the newest dataset version without the removed image says of it. Where
    no version says, a keeper counts as lost when its file was first seen after the removal.
    """
    keeper_id = str(removal["keeper_id"])
    here, gone = images[images["image_id"] == keeper_id], held[held["image_id"] == keeper_id]
    if here.empty and gone.empty:
        return f"{keeper_id} is no longer in the image folder either."
    if len(here) and here["status"].iloc[0] != "ok":
        return f"{keeper_id} cannot be read now ({here['status'].iloc[0]}: {here['error'].iloc[0]})."
    shows = here["file_hash"].iloc[0] if len(here) else gone["content_hash"].iloc[0]
    then = _shown_then(store, removal)
    if shows == removal["content_hash"] or shows in set(then["file_hash"]):
        return None
    if here.empty:
        return f"{keeper_id} showed another picture when it was last seen." if len(then) else None
    if len(then):
        return None if keeper_id in still_shown(then, images) else f"{keeper_id} shows another picture now."
    if here["first_seen_at"].iloc[0] <= removal["removed_at"]:
        return None
    return f"{keeper_id} was changed since, and no dataset version says what it showed then."


def _shown_then(store: Store, removal: Mapping[Hashable, Any]) -> pd.DataFrame:
    """The keeper as the newest dataset version without the removed image lists it; no row where none does."""
    for version in newest_first(store):
        try:
            rows = version.row_of(removal["image_id"], left_out=True)
            same = (rows["file_hash"] == removal["content_hash"]) & (rows["keeper_id"] == removal["keeper_id"])
            if same.any():
                lists = [version.row_of(removal["keeper_id"], left_out) for left_out in (False, True)]
                return pd.concat([rows.reindex(columns=THEN) for rows in lists])
        except DedupError:  # a version that cannot be read; doctor tells
            continue
    return pd.DataFrame(columns=THEN)
