"""What a person sees of a calibration in the terminal: how it goes on, and the tables at its end."""

import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import click

from dedup_assets.core.calibration.calibrate import CalibrationReport, FalsePair, Recall, calibrate
from dedup_assets.core.detection.embedders import load_embedder
from dedup_assets.core.run import Run
from dedup_assets.core.settings import NEAR_DUPLICATE_THRESHOLD
from dedup_assets.core.sources.base import Source

_WEAKEST = 10
_PAIRS_SHOWN = 20
_NEAR = NEAR_DUPLICATE_THRESHOLD.default


def calibrate_with_progress(
    images: Source, embedder: str, *, second_stage: bool, photos: int, quiet: bool
) -> CalibrationReport:
    """The report, with a line on the terminal (standard error) that counts the images done unless `quiet`."""
    shown = not quiet and sys.stderr.isatty()

    def progress(what: str, done: int, total: int) -> None:
        if shown:
            click.echo(f"\r{what}: {done} of {total} images", err=True, nl=done == total)

    loaded = load_embedder(embedder)
    return calibrate(images, loaded, second_stage=second_stage, photos=photos, run=replace(Run(), progress=progress))


def calibration_lines(report: CalibrationReport, picture: Path) -> list[str]:
    """The report as aligned lines."""
    judge = "vectors, then the second stage" if report.second_stage else "vectors alone"
    return [
        "",
        f"  {report.embedder}: {judge}; {report.edits} edits planted in each of {report.photos} images"
        + (f" ({report.skipped} passed over: unreadable, tiny or the same pixels)" if report.skipped else ""),
        "",
        f"  found at distance {_NEAR:g}",
        *_table([Recall("all edits", "", report.recall), *report.by_family]),
        "",
        f"  the {min(_WEAKEST, len(report.by_edit))} weakest edits",
        *_table(report.by_edit[:_WEAKEST]),
        "",
        *_pair_lines(report.false_pairs, report.pairs),
        "",
        *_suggestion_lines(report),
        f"  the curve is drawn in {picture}",
    ]


def _table(rows: Sequence[Recall]) -> list[str]:
    return [f"    {row.name:<34} {row.recall:>6.1%}" for row in rows]


def _pair_lines(pairs: Sequence[FalsePair], of: int) -> list[str]:
    if not pairs:
        return [f"  no pair of different images is within {_NEAR:g}, of {of:,}"]
    lines = [f"  {len(pairs):,} of {of:,} pairs of different images are within {_NEAR:g}; nearest first"]
    for pair in pairs[:_PAIRS_SHOWN]:
        note = "  (agrees window by window)" if pair.confirmed else ""
        lines.append(f"    {pair.distance:.4f}  {pair.image_a}  {pair.image_b}{note}")
    if len(pairs) > _PAIRS_SHOWN:
        lines.append(f"    and {len(pairs) - _PAIRS_SHOWN:,} more; --json lists all")
    return [*lines, "  Look at them: the folder may hold real duplicates, which are no errors."]


def _suggestion_lines(report: CalibrationReport) -> list[str]:
    found = report.suggestion
    if found is None:
        return ["  too few different images to suggest a map for vectors alone; 15 or more are needed"]
    bends = zip(found.calibration.knots_u, found.calibration.knots_distance, strict=True)
    knots = ", ".join(f"{u:.4g} -> {distance:g}" for u, distance in bends)
    return [
        f"  for vectors alone, one false pair expected among 1,000 images: {found.recall:.1%} of the edits are found",
        f"    map from half-angle distance to distance  {knots}",
        f"    or, with the map as it is                 --near-duplicate-threshold {found.threshold:.3g}",
    ]
