"""The plan as a Dagster job: what a run would change, as metadata of its one step, before anything is written."""

from collections.abc import Sequence

import dagster as dg

from dedup_assets.assets import readable_failures, threshold_fields, thresholds_in
from dedup_assets.core.lineage.grounds import why_gone
from dedup_assets.core.living.plan import Leaving, Outcome, Plan, full_plan
from dedup_assets.core.project import Project
from dedup_assets.core.run import Run
from dedup_assets.core.settings import Thresholds
from dedup_assets.metadata import cell

_SHOWN = 50

Entries = dict[str, dg.MetadataValue]


def build_plan_job(project: Project, thresholds: Thresholds, name: str) -> dg.JobDefinition:
    """A job that tells what materialising now would change, with thresholds of its run config; it writes nothing."""

    @dg.op(
        name=f"{name}_outcome",
        out=dg.Out(dg.Nothing),
        config_schema=threshold_fields(thresholds),
        description="Runs the chain on a scratch copy of the store: reads and embeds what is new, and keeps nothing.",
    )
    def outcome(context: dg.OpExecutionContext) -> None:
        with readable_failures():
            asked = thresholds_in(context.op_config)
            plan = full_plan(project, Run(context.run.run_id, say=context.log.info), asked)
        context.add_output_metadata(plan_metadata(plan))

    @dg.job(
        name=name,
        executor_def=dg.in_process_executor,
        description=f"What a run would change of {project.images}, told before anything is written",
    )
    def job() -> None:
        outcome()

    return job


def plan_metadata(plan: Plan) -> Entries:
    """The numbers of a plan, and the first images that would leave or come back, each with the ground."""
    counts = {
        "new_images": len(plan.files.new),
        "changed_images": len(plan.files.changed),
        "vanished_images": len(plan.files.vanished),
        "renamed_images": len(plan.files.renamed),
        "files_to_read": plan.to_read,
        "decisions_waiting_to_be_applied": plan.decisions_new,
        "decisions_no_longer_written": plan.decisions_gone,
        "decisions_without_image": len(plan.decisions_without_image),
    }
    entries: Entries = {name: dg.MetadataValue.int(count) for name, count in counts.items()}
    if plan.problem:
        entries["a_run_would_stop"] = dg.MetadataValue.text(plan.problem)
    return entries | (_outcome(plan.outcome) if plan.outcome else {})


def _outcome(outcome: Outcome) -> Entries:
    leaving = [(one.image_id, _ground(one)) for one in outcome.newly_removed]
    returning = [(one.image_id, one.why) for one in outcome.restored]
    return {
        "newly_removed": dg.MetadataValue.int(len(leaving)),
        "restored": dg.MetadataValue.int(len(returning)),
        "removed_on_another_ground": dg.MetadataValue.int(outcome.other_ground),
        "kept": dg.MetadataValue.int(outcome.kept),
        "removed": dg.MetadataValue.int(outcome.removed),
        "near_pairs_waiting_for_review": dg.MetadataValue.int(outcome.waiting_pairs),
        "dataset_version": dg.MetadataValue.text(outcome.dataset_version),
        "images_newly_removed": _table(leaving),
        "images_restored": _table(returning),
    }


def _ground(image: Leaving) -> str:
    return why_gone(image.reason, image.keeper_id, image.distance, image.decided_by)


def _table(rows: Sequence[tuple[str, str]]) -> dg.MarkdownMetadataValue:
    if not rows:
        return dg.MetadataValue.md("none")
    lines = ["| image | why |", "|:--|:--|", *(f"| `{cell(image)}` | {cell(why)} |" for image, why in rows[:_SHOWN])]
    if len(rows) > _SHOWN:
        lines.append(f"\nand {len(rows) - _SHOWN:,} more: `dedup-assets plan --all` names all of them")
    return dg.MetadataValue.md("\n".join(lines))
