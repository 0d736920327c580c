"""leakage: the same picture in two splits."""

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from dedup_assets.commands.options import JSON_OPTION, STORE_OPTION, existing, tell_json

if TYPE_CHECKING:
    from dedup_assets.core.scoring.leakage import LeakageReport


@click.command()
@click.option(
    "--output",
    "-o",
    type=click.Path(path_type=Path),
    help="Write the pairs across splits to this file as well, .csv, .parquet or .json.",
)
@STORE_OPTION
@JSON_OPTION
def leakage(output: Path | None, store: Path | None, as_json: bool) -> None:
    """Show pictures that are in two splits, such as train and test, and those twice in one."""
    from dedup_assets.core.export import write_export
    from dedup_assets.core.scoring import leakage as core

    report = core.leakage(existing(store))
    if output:
        write_export(core.leak_rows(report), output)
    if as_json:
        tell_json({**asdict(report), "found": report.found, "left": report.left})
        return
    click.echo("\n".join(_lines(report)))
    if output:
        click.echo(f"{len(report.leaks):,} pairs in {output}")


def _lines(report: "LeakageReport") -> list[str]:
    if not report.splits:
        return ["no image belongs to a split (a folder named train, val, test ..., or what annotations say)"]
    names = [f"{split} {count:,}" for split, count in report.splits.items()]
    lines = [f"  images          {', '.join(names)}", "", f"  {'pairs':<22} {'exact':>8} {'near':>8} {'left':>8}"]
    for title, pairs in (("across splits", report.across), ("within a split", report.within)):
        lines.append(f"  {title}")
        lines += [
            f"    {_named(pair.split_a, pair.split_b):<20} {pair.exact:>8,} {pair.near:>8,} {pair.left:>8,}"
            for pair in pairs
        ] or ["    none"]
    return [*lines, "", "  left: both images are in the dataset, and nobody called them different pictures"]


def _named(split_a: str, split_b: str) -> str:
    return split_a if split_a == split_b else f"{split_a} / {split_b}"
