"""A plan as a page shows it: every count, and the first images of each kind by name."""

from collections.abc import Sequence
from typing import Any

from dedup_assets.core.lineage.grounds import why_gone
from dedup_assets.core.living.plan import Leaving, Outcome, Plan

SHOWN = 60


def shown_plan(plan: Plan) -> dict[str, Any]:
    """The plan as plain JSON values of bounded size; a list of images is its `total` and the `shown` of them."""
    files = plan.files
    return {
        "images": plan.images,
        "new": _first([{"id": image} for image in files.new[:SHOWN]], files.new),
        "changed": _first([{"id": image} for image in files.changed[:SHOWN]], files.changed),
        "vanished": _first([{"id": image} for image in files.vanished[:SHOWN]], files.vanished),
        "renamed": _first([{"id": new, "was": old} for old, new in files.renamed[:SHOWN]], files.renamed),
        "toRead": plan.to_read,
        "thresholds": [plan.thresholds.duplicate, plan.thresholds.near_duplicate],
        "decisions": plan.decisions,
        "decisionsNew": plan.decisions_new,
        "decisionsGone": plan.decisions_gone,
        "withoutImage": _first(
            [{"line": line, "id": image} for line, image in plan.decisions_without_image[:SHOWN]],
            plan.decisions_without_image,
        ),
        "keptNow": plan.kept_now,
        "waitingNow": plan.waiting_now,
        "datasetNow": plan.dataset_now,
        "outcome": _outcome(plan.outcome) if plan.outcome else None,
        "problem": plan.problem,
        "changesNothing": plan.changes_nothing,
    }


def _outcome(outcome: Outcome) -> dict[str, Any]:
    returning = [{"id": back.image_id, "keeper": back.was_for, "why": back.why} for back in outcome.restored[:SHOWN]]
    return {
        "leave": _first([_leaving(gone) for gone in outcome.newly_removed[:SHOWN]], outcome.newly_removed),
        "comeBack": _first(returning, outcome.restored),
        "otherGround": outcome.other_ground,
        "kept": outcome.kept,
        "removed": outcome.removed,
        "waiting": outcome.waiting_pairs,
        "dataset": outcome.dataset_version,
    }


def _leaving(gone: Leaving) -> dict[str, Any]:
    why = why_gone(gone.reason, gone.keeper_id, gone.distance, gone.decided_by)
    return {"id": gone.image_id, "keeper": gone.keeper_id, "why": why}


def _first(shown: list[dict[str, Any]], all_of_them: Sequence[object]) -> dict[str, Any]:
    return {"total": len(all_of_them), "shown": shown}
