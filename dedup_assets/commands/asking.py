"""why, status and export: what a store holds, in words, numbers and tables."""

import sys
from dataclasses import asdict
from pathlib import Path

import click

from dedup_assets.commands.options import JSON_OPTION, STORE_OPTION, existing, tell_json


@click.command()
@click.argument("image")
@STORE_OPTION
@JSON_OPTION
def why(image: str, store: Path | None, as_json: bool) -> None:
    """Say why an image was removed, or why it is still there."""
    from dedup_assets.core.published import for_reading
    from dedup_assets.core.why import explain

    answer = explain(for_reading(existing(store)), image)
    if as_json:
        tell_json(asdict(answer))
    else:
        click.echo("\n".join(answer.sentences))


@click.command()
@STORE_OPTION
@JSON_OPTION
def status(store: Path | None, as_json: bool) -> None:
    """Show what a store holds, and when its dataset was last written."""
    from dedup_assets.core.published import for_reading
    from dedup_assets.core.report import overview
    from dedup_assets.terminal import status_lines

    shown = overview(for_reading(existing(store)))
    if as_json:
        tell_json(asdict(shown))
    else:
        click.echo("\n".join(status_lines(shown)))


@click.command()
@click.argument("what", type=click.Choice(["kept", "removed", "scores", "pairs", "images", "tags"]))
@click.option(
    "--output",
    "-o",
    type=click.Path(path_type=Path),
    help="File to write, .csv, .parquet, .json or .txt (ids alone).  [default: CSV to the terminal]",
)
@STORE_OPTION
def export(what: str, output: Path | None, store: Path | None) -> None:
    """Write a table as CSV, Parquet, JSON or a plain list of images."""
    from dedup_assets.core.export import export_frame, write_export
    from dedup_assets.core.published import for_reading

    frame = export_frame(for_reading(existing(store)), what)
    if output:
        write_export(frame, output)
        click.echo(f"{len(frame):,} rows in {output}")
    else:
        frame.to_csv(sys.stdout, index=False)
