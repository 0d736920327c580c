"""why, status and export: what a store holds, in words, numbers and tables."""

import sys
from dataclasses import asdict
from pathlib import Path

import click

from dedup_assets.commands.options import JSON_OPTION, STORE_OPTION, existing, tell_json
from dedup_assets.core.settings import EXPORT_FORMAT_HELP, EXPORT_FORMATS, EXPORT_PLACEMENTS, PLACED_HELP

EXPORTS = ("kept", "removed", "scores", "pairs", "images", "tags", "labels", "label_conflicts")


@click.command()
@click.argument("image")
@STORE_OPTION
@JSON_OPTION
def why(image: str, store: Path | None, as_json: bool) -> None:
    """Say why an image was removed, or why it is still there."""
    from dedup_assets.core.lineage.why import explain
    from dedup_assets.core.storage.published import for_reading

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
    from dedup_assets.core.report import overview
    from dedup_assets.core.storage.published import for_reading
    from dedup_assets.terminal import status_lines

    shown = overview(for_reading(existing(store)))
    if as_json:
        tell_json(asdict(shown))
    else:
        click.echo("\n".join(status_lines(shown)))


@click.command()
@click.argument("what", type=click.Choice(EXPORTS), default="kept")
@click.option("--format", "format_", type=click.Choice(EXPORT_FORMATS), help=EXPORT_FORMAT_HELP)
@click.option(
    "--output",
    "-o",
    type=click.Path(path_type=Path),
    help="File to write, .csv, .parquet, .json or .txt (ids alone); with --format the new folder.  "
    "[default: CSV to the terminal]",
)
@click.option(
    "--dataset",
    help="With --format: which dataset version: the start of its digits, NAME/digits, NAME for its newest, latest or "
    "previous.  [default: the one that stands]",
)
@click.option("--collection", help="With --format: the images of this collection instead of a dataset version.")
@click.option(
    "--placement", type=click.Choice(EXPORT_PLACEMENTS), default="symlink", show_default=True, help=PLACED_HELP
)
@STORE_OPTION
def export(
    what: str,
    format_: str | None,
    output: Path | None,
    dataset: str | None,
    collection: str | None,
    placement: str,
    store: Path | None,
) -> None:
    """Write the dataset in the format of your training code, or a table as CSV, Parquet, JSON or a list of images."""
    from dedup_assets.core.export import export_frame, which_dataset, write_export
    from dedup_assets.core.storage.published import for_reading

    if format_:
        _export_dataset(what, format_, output, dataset, collection, placement, store)
        return
    if dataset or collection:
        raise click.UsageError("--dataset and --collection go with --format")

    reading = for_reading(existing(store))
    frame = export_frame(reading, what)
    if what in ("kept", "removed") and (said := which_dataset(reading)):
        click.echo(said, err=True)
    if output:
        write_export(frame, output)
        click.echo(f"{len(frame):,} rows in {output}")
    else:
        frame.to_csv(sys.stdout, index=False)


def _export_dataset(
    what: str,
    format_: str,
    output: Path | None,
    dataset: str | None,
    collection: str | None,
    placement: str,
    store: Path | None,
) -> None:
    from dedup_assets.core.export import which_dataset
    from dedup_assets.core.labels.exporting import export_dataset
    from dedup_assets.core.lineage.versions import CURRENT

    if what != "kept":
        raise click.UsageError(f"--format writes the images that stay; it does not go with '{what}'")
    if output is None:
        raise click.UsageError("--format needs a new folder to write to: --output DIR")
    if dataset and collection:
        raise click.UsageError("give --dataset or --collection, not both")
    version = dataset or CURRENT
    report = export_dataset(
        existing(store), format_, output, placement=placement, version=version, collection=collection
    )
    click.echo("\n".join(report.sentences))
    if not (dataset or collection) and (said := which_dataset(existing(store))):
        click.echo(said, err=True)
