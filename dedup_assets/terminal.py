"""What a person sees in the terminal of a run: progress while it goes on, and the summary at its end."""

import logging
import warnings
from pathlib import Path

from dedup_assets.commands.progress import progress_bars
from dedup_assets.core.project import Project
from dedup_assets.core.report import Overview
from dedup_assets.core.settings import Thresholds
from dedup_assets.core.sources import is_uri
from dedup_assets.core.storage.store import Store
from dedup_assets.jobs import JobResult, run_job


def job_with_progress(project: Project, thresholds: Thresholds, *, quiet: bool) -> JobResult:
    """Run the chain, with a bar on the terminal (standard error) for each long step unless `quiet`."""
    logging.getLogger("dagster").setLevel(logging.CRITICAL)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Dagster's, about its own beta features
        with progress_bars(quiet=quiet) as (progress, say):
            return run_job(project, thresholds, on_progress=progress, on_notice=say)


def overview_lines(shown: Overview, done: JobResult | None = None) -> list[str]:
    """The state of a store in a few aligned lines, and what the run that is `done` changed."""
    rows = [
        ("images", f"{shown.images:,}", f"under {_place(shown.image_root)}"),
        ("unreadable", f"{shown.unreadable:,}", "listed, never compared or removed" if shown.unreadable else ""),
        ("duplicates", f"{shown.duplicates:,}", "removed, each with the image that stays"),
    ]
    if shown.reviewed or shown.discarded:
        rows.append(("reviewed", f"{shown.reviewed + shown.discarded:,}", "removed by decision"))
    rows += [
        (
            "near duplicates",
            f"{shown.near_duplicates:,}",
            f"images; {shown.waiting_pairs:,} pairs wait for review",
        ),
        ("kept", f"{shown.kept:,}", f"in {_place(shown.dataset)}" if shown.dataset else ""),
    ]
    if shown.label_conflicts:
        where = "places in removed copies, listed by dedup-assets export label_conflicts"
        rows.append(("labels differ", f"{shown.label_conflicts:,}", where))
    if done and done.differs:
        kinds = ", ".join(f"{count:,} {kind}" for kind, count in done.differs.items())
        rows.append(("differ", f"{sum(done.differs.values()):,}", f"from {done.before}: {kinds}"))
    width = max(len(number) for _, number, _ in rows)
    return [f"  {name:<16} {number:>{width}}  {note}".rstrip() for name, number, note in rows]


def status_lines(shown: Overview) -> list[str]:
    """The same, and when the last dataset version was written."""
    when = f"{shown.finished_at:%Y-%m-%d %H:%M} UTC" if shown.finished_at else "never: no run has got that far"
    lines = [*overview_lines(shown), f"  written          {when}"]
    if shown.is_behind:
        lines += [
            "",
            "  The dataset is older than the other numbers: the run that made them stopped before it.",
            "  'dedup-assets plan' says what the next one would do.",
        ]
    return lines


def summary_lines(store: Store, shown: Overview, decisions: Path, done: JobResult) -> list[str]:
    """What a run ends with: the numbers, where everything is, and what to do next."""
    lines = [""]
    if done.decoded == 0:
        lines.append("  No image is new or changed, so none was decoded.")
    lines += overview_lines(shown, done)
    where = "" if store.folder == Path("dedup_store").absolute() else f" --store {_short(store.folder)}"
    lines += [
        "",
        f"  look and decide  dedup-assets explore{where}",
        f"  ask about one    dedup-assets why IMAGE{where}",
    ]
    if done.differs:
        lines.append(f"  what differs     dedup-assets diff {done.before}{where}")
    if shown.waiting_pairs:
        lines.append(f"  or write         {_short(decisions)}  (image_id,decision,duplicate_of), then run again")
    return lines


def _short(path: Path) -> str:
    here = Path.cwd()
    return str(path.relative_to(here)) if path.is_relative_to(here) else str(path)


def _place(said: str) -> str:
    """A folder as seen from here, a URI as it is."""
    return said if is_uri(said) else _short(Path(said))
