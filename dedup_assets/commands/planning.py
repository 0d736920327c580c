"""plan: what a run would change, before it does."""

import sys
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from dedup_assets.commands.options import JSON_OPTION, STORE_OPTION, existing, store_at, tell_json
from dedup_assets.core.settings import DECISIONS_HELP, DUPLICATE_THRESHOLD, NEAR_DUPLICATE_THRESHOLD, Thresholds

if TYPE_CHECKING:
    from dedup_assets.core.living.folder_changes import FolderChanges
    from dedup_assets.core.living.plan import Outcome, Plan
    from dedup_assets.core.project import Project

_SHOWN = 8
_AS_LAST = "  [default: as in the last run]"


@click.command()
@click.argument("images", required=False)
@STORE_OPTION
@click.option("--duplicate-threshold", type=float, help=DUPLICATE_THRESHOLD.help + _AS_LAST)
@click.option("--near-duplicate-threshold", type=float, help=NEAR_DUPLICATE_THRESHOLD.help + _AS_LAST)
@click.option("--decisions", type=click.Path(path_type=Path, exists=True, dir_okay=False), help=DECISIONS_HELP)
@click.option("--quick", is_flag=True, help="Compare the listing of the folder only; open no image.")
@click.option("--all", "show_all", is_flag=True, help=f"Name every image, not the first {_SHOWN} of each kind.")
@JSON_OPTION
def plan(
    images: str | None,
    store: Path | None,
    duplicate_threshold: float | None,
    near_duplicate_threshold: float | None,
    decisions: Path | None,
    quick: bool,
    show_all: bool,
    as_json: bool,
) -> None:
    """Tell what a run would change, without writing anything.

    IMAGES and all settings are those of the store's last run unless given.
    """
    from dedup_assets.commands.progress import progress_bars
    from dedup_assets.core.living.plan import full_plan, plan_as_json, quick_plan
    from dedup_assets.core.run import Run

    project = _project(images, store)
    if decisions:
        project = replace(project, decisions=decisions.absolute())
    thresholds = _thresholds(project, duplicate_threshold, near_duplicate_threshold)
    found = quick_plan(project, thresholds)
    if not quick:
        with progress_bars(quiet=as_json) as (progress, say):
            if found.to_read and not as_json:
                say(f"{_count(found.to_read, 'file has', 'files have')} to be read")
            run = Run("plan", say=say) if progress is None else Run("plan", progress=progress, say=say)
            found = full_plan(project, run, thresholds)
    if as_json:
        tell_json(plan_as_json(found))
    else:
        click.echo("\n".join(plan_lines(found, None if show_all else _SHOWN)))
    if found.problem:
        sys.exit(1)


def plan_lines(plan: "Plan", shown: int | None) -> list[str]:
    """The plan for a person; the first `shown` images of each kind by name."""
    lines = ["", *_table([*_file_rows(plan), *_decision_rows(plan)])]
    if plan.outcome:
        lines += _table(_outcome_rows(plan, plan.outcome))
        lines += _leaving(plan.outcome, shown) + _returning(plan.outcome, shown)
    lines += _named_files(plan.files, shown)
    lines += [
        f"    line {line}, '{image}': the picture is gone" for line, image in plan.decisions_without_image[:shown]
    ]
    lines.append("")
    if plan.problem:
        return [*lines, f"  A run would stop, and leave the dataset as it is: {plan.problem}"]
    if plan.changes_nothing:
        return [*lines, f"  A run would change nothing; the dataset stays {plan.dataset_now}."]
    if plan.outcome is None:
        return [*lines, "  Without --quick: which images would be removed or come back."]
    if plan.outcome.dataset_version == plan.dataset_now:
        return [*lines, f"  The dataset would stay {plan.dataset_now}. Nothing was written."]
    stands = f", now {plan.dataset_now}" if plan.dataset_now else ""
    return [*lines, f"  A run would write the dataset {plan.outcome.dataset_version}{stands}. Nothing was written."]


def _project(images: str | None, store: Path | None) -> "Project":
    from dedup_assets.core.project import project_of, remembered
    from dedup_assets.core.sources import source_of

    if images is None or store_at(store).exists():
        project = remembered(existing(store))
        return replace(project, images=source_of(images)) if images else project
    return project_of(images, store)


def _thresholds(project: "Project", duplicate: float | None, near: float | None) -> Thresholds:
    from dedup_assets.core.steps.record import thresholds_of
    from dedup_assets.core.storage.published import for_reading

    used = thresholds_of(for_reading(project.store).steps()) or Thresholds()
    return Thresholds(used.duplicate if duplicate is None else duplicate, used.near_duplicate if near is None else near)


Rows = list[tuple[str, int, str]]


def _file_rows(plan: "Plan") -> Rows:
    files = plan.files
    bad = f", {len(files.unreadable):,} that cannot be read" if files.unreadable else ""
    maybe = "or renamed; that shows once the new files are read" if plan.outcome is None and files.new else ""
    rows: Rows = [
        ("new", len(files.new), f"files under {plan.images}{bad}"),
        ("changed", len(files.changed), "files"),
        ("vanished", len(files.vanished), f"files {maybe}"),
        ("renamed", len(files.renamed), "files"),
    ]
    if plan.outcome is None:
        rows.append(("to be read", plan.to_read, "files"))
    some = [row for row in rows if row[1]]
    return some or [("changed", 0, f"files under {plan.images}")]


def _decision_rows(plan: "Plan") -> Rows:
    rows: Rows = []
    if plan.decisions_new or plan.decisions_gone:
        gone = f", and {plan.decisions_gone:,} no longer written" if plan.decisions_gone else ""
        rows.append(("decisions", plan.decisions_new, f"wait to be applied{gone}"))
    if plan.decisions_without_image:
        rows.append(("", len(plan.decisions_without_image), "decisions no longer apply: the picture is gone"))
    return rows


def _outcome_rows(plan: "Plan", outcome: "Outcome") -> Rows:
    rows: Rows = [
        ("would leave", len(outcome.newly_removed), "images, newly removed"),
        ("would come back", len(outcome.restored), "images"),
        ("stay removed", outcome.other_ground, "on another ground or for another image"),
    ]
    rows = [row for row in rows if row[1]]
    rows.append(("to review", outcome.waiting_pairs, f"near pairs{_now(plan.waiting_now)}"))
    rows.append(("kept", outcome.kept, f"images{_now(plan.kept_now)}"))
    return rows


def _now(value: int | None) -> str:
    return "" if value is None else f", now {value:,}"


def _table(rows: Rows) -> list[str]:
    return [f"  {name:<16} {number:>7,}  {note}".rstrip() for name, number, note in rows]


def _leaving(outcome: "Outcome", shown: int | None) -> list[str]:
    from dedup_assets.core.lineage.grounds import why_gone

    lines = [
        f"{gone.image_id}: {why_gone(gone.reason, gone.keeper_id, gone.distance, gone.decided_by)}"
        for gone in outcome.newly_removed
    ]
    return _listed("newly removed", lines, shown)


def _returning(outcome: "Outcome", shown: int | None) -> list[str]:
    return _listed("would come back", [f"{back.image_id}: {back.why}" for back in outcome.restored], shown)


def _named_files(files: "FolderChanges", shown: int | None) -> list[str]:
    renamed = [f"{old} is {new} now" for old, new in files.renamed]
    kinds = (("new", files.new), ("changed", files.changed), ("vanished", files.vanished), ("renamed", renamed))
    return [line for name, ids in kinds for line in _listed(name, ids, shown)]


def _listed(title: str, items: Iterable[str], shown: int | None) -> list[str]:
    items = list(items)
    if not items:
        return []
    more = len(items) - len(items[:shown])
    rest = [f"    and {more:,} more (--all names them)"] if more else []
    return ["", f"  {title}", *(f"    {item}" for item in items[:shown]), *rest]


def _count(number: int, one: str, many: str) -> str:
    return f"{number:,} {one if number == 1 else many}"
