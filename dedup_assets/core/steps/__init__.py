"""The steps of the chain, each from the store to the store, one file for each asset.

Dagster, the command line and the tests all call these. Every step notes what went in; run again on the same, it does
nothing and says so.
"""

from dedup_assets.core.steps.deduplicated_dataset import DatasetSummary, write_dataset
from dedup_assets.core.steps.duplicates import CollectionSummary, collect_duplicates
from dedup_assets.core.steps.embeddings import EmbeddingSummary, embed_batches, embed_images, gather_batches
from dedup_assets.core.steps.neighbours import PAIR_LIMIT, NeighbourSummary, find_neighbours
from dedup_assets.core.steps.raw_images import ScanSummary, scan_images
from dedup_assets.core.steps.record import StepSummary
from dedup_assets.core.steps.uniqueness_scores import ScoreSummary, score_uniqueness

__all__ = [
    "PAIR_LIMIT",
    "CollectionSummary",
    "DatasetSummary",
    "EmbeddingSummary",
    "NeighbourSummary",
    "ScanSummary",
    "ScoreSummary",
    "StepSummary",
    "collect_duplicates",
    "embed_batches",
    "embed_images",
    "find_neighbours",
    "gather_batches",
    "scan_images",
    "score_uniqueness",
    "write_dataset",
]
