"""Why an image that was removed is in the dataset again, in plain words."""

from collections.abc import Hashable, Mapping
from typing import Any

import pandas as pd

from dedup_assets.core.collection import DISCARDED, REVIEWED


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
