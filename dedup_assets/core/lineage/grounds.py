"""Why an image is gone, and why one is back, in plain words."""

from collections.abc import Collection, Hashable, Iterator, Mapping
from typing import Any

import pandas as pd

from dedup_assets.core.scoring.collection import BY_RULE, DISCARDED, DUPLICATE, IDENTICAL, REVIEWED


def why_gone(reason: str, keeper_id: str | None, distance: float | None, decided_by: str) -> str:
    """The ground of a removal: 'identical to a.jpg', 'duplicate of a.jpg, distance 2e-05', 'discarded by Ann'."""
    by = "" if decided_by == BY_RULE else f" by {decided_by}"
    if keeper_id is None:
        return f"{reason}{by}"
    near = "" if distance is None or reason == IDENTICAL else f", distance {distance:.4g}"
    if reason == IDENTICAL:
        return f"identical to {keeper_id}"
    return f"duplicate of {keeper_id}{near}" if reason == DUPLICATE else f"removed{by} for {keeper_id}{near}"


def why_back(image_id: str, removal: Mapping[Hashable, Any], images: pd.DataFrame, scores: pd.DataFrame) -> str:
    """Why `image_id` is no longer removed as the row `removal` says; the tables are those of the later time."""
    here = images[images["image_id"] == image_id]
    keeper = None if pd.isna(removal["keeper_id"]) else str(removal["keeper_id"])
    if len(here) and here["file_hash"].iloc[0] != removal["content_hash"]:
        return "another picture has its name now"
    if removal["reason"] in (REVIEWED, DISCARDED):
        return f"the decision of {removal['decided_by']} is no longer written, or no longer applies"
    if keeper is not None and keeper not in set(images["image_id"]):
        return f"{keeper}, which stayed for it, is gone"
    score = scores[scores["image_id"] == image_id]
    if len(score) and score["uniqueness"].iloc[0] == 0:
        return "a decision keeps it"
    if len(score) and not pd.isna(score["nearest_id"].iloc[0]):
        distance, nearest = float(score["uniqueness"].iloc[0]), score["nearest_id"].iloc[0]
        return f"it is no duplicate by the thresholds and files as they are: {distance:.4g} from {nearest}"
    return "it is no duplicate any more"


def decisions_about(image_id: str, hashes: Collection[str], decisions: pd.DataFrame) -> Iterator[tuple[str, str]]:
    """When each decision about the image was made, as it was written, and 'decided by Ann: keep'.

    `decisions`: rows of that table. One about a file whose bytes are among `hashes` is about the image too.
    """
    for row in decisions.fillna("").to_dict("records"):
        if row["image_id"] != image_id and row["content_hash"] not in hashes:
            continue
        of = f" {row['duplicate_of']}" if row["duplicate_of"] else ""
        written = "" if row["image_id"] == image_id else f", written about {row['image_id']}, the same picture"
        by = f" by {row['reviewer']}" if row["reviewer"] else ""
        note = f': "{row["note"]}"' if row["note"] else ""
        word = str(row["decision"]).replace("_", " ")
        yield str(row["decided_at"]), f"decided{by}: {word}{of}{written}{note}"
