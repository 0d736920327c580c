"""explore and calibrate: seeing the pictures, and what a distance means on them."""

from dataclasses import asdict
from pathlib import Path

import click

from dedup_assets.commands.options import JSON_OPTION, STORE_OPTION, existing, tell_json
from dedup_assets.core.settings import EMBEDDER_HELP, EXPLORER_PORT, SECOND_STAGE_HELP


@click.command()
@click.argument("images")
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
def calibrate(images: str, embedder: str, second_stage: bool, photos: int, picture: Path, as_json: bool) -> None:
    """Measure what a distance means on your own images, by planting edits in copies of them."""
    from dedup_assets.calibrating import calibrate_with_progress, calibration_lines
    from dedup_assets.core.calibration.picture import check_picture_path, draw_calibration
    from dedup_assets.core.sources import source_of

    source = source_of(images)
    check_picture_path(picture, source)
    report = calibrate_with_progress(source, embedder, second_stage=second_stage, photos=photos, quiet=as_json)
    draw_calibration(report, picture)
    if as_json:
        tell_json({**asdict(report), "picture": str(picture)})
    else:
        click.echo("\n".join(calibration_lines(report, picture)))


@click.command()
@STORE_OPTION
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--port", type=int, help=f"Port to listen on.  [default: the first free one from {EXPLORER_PORT} on]")
def explore(store: Path | None, host: str, port: int | None) -> None:
    """Open the Explorer: look, compare, decide, in the browser."""
    from dedup_assets.explorer.server import serve

    def ready(address: str) -> None:
        click.echo(f"the Explorer is at {address} (Ctrl-C ends it)")

    serve(existing(store), host=host, port=port, on_ready=ready)
