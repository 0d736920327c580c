"""The command line: runs the same Dagster job in this process, and answers questions about a store."""

import json
import os
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from dedup_assets import __version__
from dedup_assets.core.errors import DedupError
from dedup_assets.core.settings import (
    DATASET_DESCRIPTION_HELP,
    DATASET_NAME_HELP,
    DECISIONS_HELP,
    DUPLICATE_THRESHOLD,
    EMBEDDER_HELP,
    EXPLORER_PORT,
    KEEPER_ORDER_HELP,
    MAX_PIXELS_SETTING,
    NEAR_DUPLICATE_THRESHOLD,
    PLACEMENT_HELP,
    SECOND_STAGE_HELP,
    SPLIT_PRIORITY_HELP,
    STORE_HELP,
    WORKERS_HELP,
)

if TYPE_CHECKING:
    from dedup_assets.core.project import Project
    from dedup_assets.core.store import Store

STORE_OPTION = click.option(
    "--store",
    type=click.Path(path_type=Path),
    help=STORE_HELP,
)
JSON_OPTION = click.option("--json", "as_json", is_flag=True, help="Print JSON, for scripts.")


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__)
def cli() -> None:
    """Find and remove duplicate and near-duplicate images. Nothing of yours is ever deleted or changed."""


@cli.command()
@click.argument("images", type=click.Path(path_type=Path))
@STORE_OPTION
@click.option(
    "--duplicate-threshold",
    type=float,
    default=DUPLICATE_THRESHOLD.default,
    show_default=True,
    help=DUPLICATE_THRESHOLD.help,
)
@click.option(
    "--near-duplicate-threshold",
    type=float,
    default=NEAR_DUPLICATE_THRESHOLD.default,
    show_default=True,
    help=NEAR_DUPLICATE_THRESHOLD.help,
)
@click.option("--decisions", type=click.Path(path_type=Path, exists=True, dir_okay=False), help=DECISIONS_HELP)
@click.option("--embedder", default="thumbnail", show_default=True, help=EMBEDDER_HELP)
@click.option("--second-stage/--no-second-stage", default=True, show_default=True, help=SECOND_STAGE_HELP)
@click.option("--keeper-order", help=KEEPER_ORDER_HELP + " Separated by commas.")
@click.option("--split-priority", default="", help=SPLIT_PRIORITY_HELP + " Separated by commas.")
@click.option("--name", default="deduplicated", show_default=True, help=DATASET_NAME_HELP)
@click.option("--description", default="", help=DATASET_DESCRIPTION_HELP)
@click.option("--placement", default="symlink", show_default=True, help=PLACEMENT_HELP)
@click.option(
    "--max-pixels", type=int, default=MAX_PIXELS_SETTING.default, show_default=True, help=MAX_PIXELS_SETTING.help
)
@click.option("--workers", type=click.IntRange(1), help=WORKERS_HELP)
@JSON_OPTION
def run(images: Path, store: Path | None, as_json: bool, **settings: object) -> None:
    """Find the duplicates among the images of a folder, and write the dataset without them."""
    _run(_project(images, store, settings), settings, as_json)


@cli.command()
@click.option(
    "--folder",
    type=click.Path(path_type=Path),
    default=Path("demo_images"),
    show_default=True,
    help="Where the demo pictures go.",
)
@STORE_OPTION
def demo(folder: Path, store: Path | None) -> None:
    """Make a small photo folder with every kind of duplicate, and run on it."""
    from dedup_assets.demo import make_demo_images

    truth = make_demo_images(folder)
    click.echo(f"{len(truth.images)} files in {folder}: photographs, copies and edits of them, and a few broken files")
    settings: dict[str, object] = {}
    _run(_project(folder, store or Path("dedup_store") / "demo", settings), settings, as_json=False)


@cli.command()
@click.argument("image")
@STORE_OPTION
@JSON_OPTION
def why(image: str, store: Path | None, as_json: bool) -> None:
    """Say why an image was removed, or why it is still there."""
    from dedup_assets.core.why import explain

    answer = explain(_existing(store), image)
    click.echo(json.dumps(asdict(answer), indent=2, default=str) if as_json else "\n".join(answer.sentences))


@cli.command()
@STORE_OPTION
@JSON_OPTION
def status(store: Path | None, as_json: bool) -> None:
    """Show what a store holds, and when its dataset was last written."""
    from dedup_assets.core.report import overview
    from dedup_assets.terminal import status_lines

    shown = overview(_existing(store))
    click.echo(json.dumps(asdict(shown), indent=2, default=str) if as_json else "\n".join(status_lines(shown)))


@cli.command()
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

    frame = export_frame(_existing(store), what)
    if output:
        write_export(frame, output)
        click.echo(f"{len(frame):,} rows in {output}")
    else:
        frame.to_csv(sys.stdout, index=False)


@cli.command()
@click.argument("images", type=click.Path(path_type=Path))
@click.option("--embedder", default="thumbnail", show_default=True, help=EMBEDDER_HELP)
@click.option("--second-stage/--no-second-stage", default=True, show_default=True, help=SECOND_STAGE_HELP)
@click.option(
    "--photos",
    type=click.IntRange(4),
    default=60,
    show_default=True,
    help="Images to plant edits in, chosen by a hash of their names.",
)
@click.option(
    "--picture",
    type=click.Path(path_type=Path),
    default=Path("calibration.png"),
    show_default=True,
    help="Where the picture of the curve goes, a PNG.",
)
@JSON_OPTION
def calibrate(images: Path, embedder: str, second_stage: bool, photos: int, picture: Path, as_json: bool) -> None:
    """Measure what a distance means on your own images, by planting edits in copies of them."""
    from dedup_assets.calibrating import calibrate_with_progress, calibration_lines
    from dedup_assets.core.calibration.picture import check_picture_path, draw_calibration

    check_picture_path(picture, images)
    report = calibrate_with_progress(images, embedder, second_stage=second_stage, photos=photos, quiet=as_json)
    draw_calibration(report, picture)
    told = {**asdict(report), "picture": str(picture)}
    click.echo(json.dumps(told, indent=2) if as_json else "\n".join(calibration_lines(report, picture)))


@cli.command()
@STORE_OPTION
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--port", type=int, help=f"Port to listen on.  [default: the first free one from {EXPLORER_PORT} on]")
def explore(store: Path | None, host: str, port: int | None) -> None:
    """Open the Explorer: look, compare, decide, in the browser."""
    from dedup_assets.explorer.server import serve

    def ready(address: str) -> None:
        click.echo(f"the Explorer is at {address} (Ctrl-C ends it)")

    serve(_existing(store), host=host, port=port, on_ready=ready)


def main() -> None:
    """The entry point: 0 done, 1 one clear line, 2 usage."""
    try:
        cli.main(standalone_mode=False)
    except click.exceptions.Exit as error:
        sys.exit(error.exit_code)
    except click.Abort:
        click.echo("stopped; what was finished is kept, run again to go on", err=True)
        sys.exit(130)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except DedupError as error:
        click.echo(f"error: {' '.join(str(error).splitlines())}", err=True)
        sys.exit(1)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)


def _project(images: Path, store: Path | None, settings: dict[str, object]) -> "Project":
    from dedup_assets.core.project import project_of

    names = {"name": "dataset_name", "description": "dataset_description"}
    known = ("embedder", "second_stage", "decisions", "placement", "max_pixels", "workers", "name", "description")
    given = {names.get(name, name): settings[name] for name in known if settings.get(name) is not None}
    for name in ("keeper_order", "split_priority"):
        if settings.get(name):
            given[name] = [term.strip() for term in str(settings[name]).split(",")]
    return project_of(images, store, **given)  # type: ignore[arg-type]  # click has checked the types


def _run(project: "Project", settings: dict[str, object], as_json: bool) -> None:
    from dedup_assets.core.report import overview
    from dedup_assets.core.settings import Thresholds
    from dedup_assets.terminal import job_with_progress, summary_lines

    defaults = Thresholds()
    thresholds = Thresholds(
        float(str(settings.get("duplicate_threshold", defaults.duplicate))),
        float(str(settings.get("near_duplicate_threshold", defaults.near_duplicate))),
    )
    result = job_with_progress(project, thresholds, quiet=as_json)
    shown = overview(project.store)
    if as_json:
        failed = [asdict(check) for check in result.failed_checks]
        report = {**asdict(shown), "run_id": result.run_id, "store": str(project.store.folder), "failed_checks": failed}
        click.echo(json.dumps(report, indent=2, default=str))
    else:
        click.echo("\n".join(summary_lines(project.store, shown, project.decisions_file, result.decoded)))


def _existing(store: Path | None) -> "Store":
    from dedup_assets.core.errors import StoreError
    from dedup_assets.core.store import Store, default_store

    found = Store(store) if store else default_store()
    if not found.exists():
        raise StoreError(f"there is no store at '{found.folder}'; run 'dedup-assets run IMAGES' first, or give --store")
    return found
