"""duplicates: the Duplicates collection, and its audit record."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace

import pandas as pd

from dedup_assets.core.images import orientation_of
from dedup_assets.core.labels.conflicts import UNION, Comparison, conflict_rows, frames_of_images
from dedup_assets.core.labels.importing import label_set
from dedup_assets.core.lineage.audit import removal_rows, removals_after
from dedup_assets.core.membership import among
from dedup_assets.core.project import Project
from dedup_assets.core.run import Run
from dedup_assets.core.scoring.collection import BY_RULE, DUPLICATE, IDENTICAL, NearPairs, Removal, collect
from dedup_assets.core.scoring.decisions import BoundDecision, Library, bind, file_version, read_decisions
from dedup_assets.core.scoring.keepers import protected_levels
from dedup_assets.core.settings import DUPLICATES_TAG, Thresholds
from dedup_assets.core.steps.inputs import (
    SCORES_OF_COLLECTION,
    check_scored,
    check_scores_of,
    content_of,
    scores_version,
)
from dedup_assets.core.steps.record import (
    DUPLICATES,
    EMBEDDINGS,
    NEIGHBOURS,
    RAW_IMAGES,
    UNIQUENESS_SCORES,
    StepSummary,
    done,
    unless_done,
)
from dedup_assets.core.storage import schema
from dedup_assets.core.storage.schema import Table
from dedup_assets.core.storage.store import version_of


@dataclass(frozen=True, slots=True)
class CollectionSummary(StepSummary):
    """The Duplicates collection by reason, what changed in it, and the near pairs that wait for a person.

    `label_conflicts`: differences between labels of duplicates, by kind. `protected_duplicates`: duplicates that stay
    because they are protected.
    """

    removed: int
    by_reason: dict[str, int]
    added: int
    restored: int
    decisions: int
    decisions_without_image: int
    waiting_pairs: int
    waiting_images: int
    label_conflicts: dict[str, int] = field(default_factory=dict)
    protected_duplicates: int = 0


def collect_duplicates(project: Project, run: Run) -> CollectionSummary:
    """duplicates: the Duplicates collection, as tags, with every change recorded in removals."""
    store = project.store
    with store.exclusively(run.say):
        with store.reading():
            scored, embedded, scanned, found = done(project, UNIQUENESS_SCORES, EMBEDDINGS, RAW_IMAGES, NEIGHBOURS)
            before = store.step(DUPLICATES)
        check_scores_of(found, scored)
        settings = {"decisions": str(project.decisions_file), SCORES_OF_COLLECTION: scores_version(scored)}
        decided = file_version(project.decisions_file)
        policy = [project.labels, project.label_overlap, asdict(project.keepers)]
        version = version_of(scanned.output_version, scored.output_version, scored.settings, decided, policy)

        def compute() -> tuple[CollectionSummary, dict[Table, pd.DataFrame]]:
            with store.reading():
                images, scores, pairs = store.read_together(schema.IMAGES, schema.SCORES, schema.PAIRS)
                record, tagged = store.read_together(schema.REMOVALS, schema.TAGS)
                check_scored(images[images["status"] == "ok"], scores)
                bound = bound_decisions(project, images)
            thresholds = Thresholds(**json.loads(scored.settings)["thresholds"])
            contents = content_of(images)
            near = staying_pairs(pairs, scores, thresholds)
            levels = protected_levels(images, project.keepers)
            collected = collect(automatic_removals(scores, contents), near, bound, contents, levels)
            conflicts = _label_conflicts(project, images, collected.removals)
            embedder = str(json.loads(embedded.summary)["embedder"])
            new = removal_rows(collected.removals, images, thresholds, embedder, run)
            removals, change = removals_after(record, new, images, run)
            tags = collection_tags(tagged, new, run)
            summary = CollectionSummary(
                removed=len(new),
                by_reason={
                    str(reason): int(count) for reason, count in new["reason"].value_counts().sort_index().items()
                },
                added=change.added,
                restored=change.restored,
                decisions=len(bound),
                decisions_without_image=sum(not entry.image_ids for entry in bound),
                waiting_pairs=len(collected.waiting),
                waiting_images=len(collected.waiting.images),
                label_conflicts={
                    str(word): int(n) for word, n in conflicts["difference"].value_counts().sort_index().items()
                },
                protected_duplicates=_protected(scores, collected.removals, levels),
            )
            decisions = pd.DataFrame([_decision_row(entry) for entry in bound], columns=schema.DECISIONS.names)
            tables = {schema.REMOVALS: removals, schema.TAGS: tags, schema.DECISIONS: decisions}
            return summary, {**tables, schema.LABEL_CONFLICTS: conflicts}

        summary = unless_done(project, DUPLICATES, before, version, CollectionSummary, settings, run, compute)
        return summary if summary.changed else replace(summary, added=0, restored=0)  # those were of the run that did


def _protected(scores: pd.DataFrame, removals: Mapping[str, Removal], levels: Mapping[str, int]) -> int:
    """How many duplicates stay because they are protected."""
    duplicates = scores.loc[scores["keeper_id"].notna(), "image_id"]
    return int(duplicates.isin(levels.keys() - removals.keys()).sum())


def _label_conflicts(project: Project, images: pd.DataFrame, removals: Mapping[str, Removal]) -> pd.DataFrame:
    annotations = label_set(project.store).by_image
    if not annotations:
        return schema.LABEL_CONFLICTS.empty()
    comparison = Comparison(
        frames_of_images(images),
        annotations,
        lambda image_id: orientation_of(project.images.file(image_id)),
        project.labels == UNION,
        project.label_overlap,
    )
    return conflict_rows(comparison.conflicts(removals))


def automatic_removals(scores: pd.DataFrame, content_of: dict[str, str]) -> list[Removal]:
    """What the score rule removes."""
    duplicates = scores[scores["keeper_id"].notna()]
    return [
        Removal(
            image_id,
            keeper_id,
            IDENTICAL if content_of[image_id] == content_of[keeper_id] or distance == 0 else DUPLICATE,
            float(distance),
            keeper_reason,
            BY_RULE,
        )
        for image_id, keeper_id, distance, keeper_reason in duplicates[
            ["image_id", "keeper_id", "keeper_distance", "keeper_reason"]
        ].itertuples(index=False)
    ]


def staying_pairs(pairs: pd.DataFrame, scores: pd.DataFrame, thresholds: Thresholds) -> NearPairs:
    """The near pairs of images that are no duplicates."""
    stays = scores.loc[scores["keeper_id"].isna(), "image_id"]
    near = pairs[pairs["distance"] <= thresholds.near_duplicate]
    near = near[among(near["image_a"], stays) & among(near["image_b"], stays)]
    return NearPairs.of(near["image_a"], near["image_b"], near["distance"])


def bound_decisions(project: Project, images: pd.DataFrame) -> list[BoundDecision]:
    """The reviewed file, each line with the images it is about. Raises DecisionError."""
    readable = images[images["status"] == "ok"]
    hash_of = dict(zip(readable["image_id"], readable["file_hash"], strict=True))
    before = project.store.read(schema.DECISIONS).fillna("")
    remembered = {
        (str(row.image_id), str(row.decision), str(row.duplicate_of)): (
            str(row.content_hash),
            str(row.duplicate_of_hash),
        )
        for row in before.itertuples(index=False)
    }
    library = Library(hash_of, frozenset(images["image_id"]))
    path = project.decisions_file
    return bind(path, read_decisions(path), library, remembered)


def _decision_row(entry: BoundDecision) -> dict[str, object]:
    hashes = {"content_hash": entry.content_hash, "duplicate_of_hash": entry.duplicate_of_hash}
    return {**asdict(entry.decision), **hashes, "applies_to": len(entry.image_ids)}


def collection_tags(tags: pd.DataFrame, removed: pd.DataFrame, run: Run) -> pd.DataFrame:
    """The Duplicates collection put anew; an image that was in it keeps its time and run."""
    new = removed[["image_id", "reason"]].copy()
    new["tag"] = DUPLICATES_TAG
    old = tags[tags["tag"] == DUPLICATES_TAG][["image_id", "reason", "run_id", "tagged_at"]]
    new = new.merge(old, on=["image_id", "reason"], how="left")
    new["run_id"] = new["run_id"].astype(object).where(new["run_id"].notna(), run.run_id)
    new["tagged_at"] = new["tagged_at"].astype("datetime64[us]").fillna(pd.Timestamp(run.now))
    return new.sort_values("image_id", ignore_index=True)[schema.TAGS.names]
