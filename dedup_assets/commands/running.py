"""run and demo: the same Dagster job in this process, with progress bars and a short summary."""

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from dedup_assets.commands.options import JSON_OPTION, STORE_OPTION, tell_json
from dedup_assets.core.settings import (
    ANNOTATIONS_HELP,
    DATASET_DESCRIPTION_HELP,
    DATASET_NAME_HELP,
    DATASET_TARGET_HELP,
    DECISIONS_HELP,
    DUPLICATE_THRESHOLD,
    EMBEDDER_HELP,
    ENGINE_HELP,
    INPUT_FORMAT_HELP,
    INPUT_FORMATS,
    KEEPER_ORDER_HELP,
    LABEL_OVERLAP,
    LABEL_POLICIES,
    LABELS_HELP,
    LEAKAGE_HELP,
    LEAKAGE_POLICIES,
    MAX_PIXELS_SETTING,
    NEAR_DUPLICATE_THRESHOLD,
    PLACEMENT_HELP,
    PROTECT_HELP,
    RAY_ADDRESS_HELP,
    RAY_CPUS_HELP,
    RAY_GPUS_HELP,
    RAY_STORAGE_HELP,
    REFERENCE_HELP,
    SEARCH_DEVICE_HELP,
    SECOND_STAGE_HELP,
    SPLIT_PRIORITY_HELP,
    WORKERS_HELP,
)

if TYPE_CHECKING:
    from dedup_assets.core.project import Project


@click.command()
@click.argument("images")
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
@click.option("--protect", default="", help=PROTECT_HELP + " Separated by commas.")
@click.option("--reference", default="", help=REFERENCE_HELP + " Separated by commas.")
@click.option("--input-format", type=click.Choice(INPUT_FORMATS), help=INPUT_FORMAT_HELP + "  [default: auto]")
@click.option("--annotations", type=click.Path(path_type=Path), help=ANNOTATIONS_HELP)
@click.option("--labels", type=click.Choice(LABEL_POLICIES), help=LABELS_HELP + "  [default: keeper]")
@click.option("--label-overlap", type=float, default=LABEL_OVERLAP.default, show_default=True, help=LABEL_OVERLAP.help)
@click.option("--leakage", type=click.Choice(LEAKAGE_POLICIES), help=LEAKAGE_HELP + "  [default: warn]")
@click.option("--name", default="deduplicated", show_default=True, help=DATASET_NAME_HELP)
@click.option("--description", default="", help=DATASET_DESCRIPTION_HELP)
@click.option("--dataset-target", help=DATASET_TARGET_HELP)
@click.option("--placement", help=PLACEMENT_HELP)
@click.option(
    "--max-pixels", type=int, default=MAX_PIXELS_SETTING.default, show_default=True, help=MAX_PIXELS_SETTING.help
)
@click.option("--workers", type=click.IntRange(1), help=WORKERS_HELP)
@click.option("--search-device", default="auto", show_default=True, help=SEARCH_DEVICE_HELP)
@click.option("--engine", default="local", show_default=True, help=ENGINE_HELP)
@click.option("--ray-address", help=RAY_ADDRESS_HELP)
@click.option("--ray-cpus", type=float, default=1.0, show_default=True, help=RAY_CPUS_HELP)
@click.option("--ray-gpus", type=float, default=0.0, show_default=True, help=RAY_GPUS_HELP)
@click.option("--ray-storage", help=RAY_STORAGE_HELP)
@JSON_OPTION
def run(images: str, store: Path | None, as_json: bool, **settings: object) -> None:
    """Find the duplicates among the images of a folder or bucket, and write the dataset without them.

    IMAGES is a folder, or a URI: s3://bucket/photos, gs://..., az://...
    """
    run_and_tell(project_from(images, store, settings), settings, as_json)


@click.command()
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
    run_and_tell(project_from(folder, store or Path("dedup_store") / "demo", settings), settings, as_json=False)


def project_from(images: str | Path, store: Path | None, settings: dict[str, object]) -> "Project":
    from dedup_assets.core.project import project_of

    names = {"name": "dataset_name", "description": "dataset_description"}
    known = ("embedder", "second_stage", "decisions", "dataset_target", "placement", "max_pixels", "workers")
    engine = ("search_device", "engine", "ray_address", "ray_cpus", "ray_gpus", "ray_storage")
    labels = ("input_format", "annotations", "labels", "label_overlap", "leakage")
    every = (*known, *engine, *labels, *names)
    given = {names.get(name, name): settings[name] for name in every if settings.get(name) is not None}
    for name in ("keeper_order", "split_priority", "protect", "reference"):
        if settings.get(name):
            given[name] = [term.strip() for term in str(settings[name]).split(",")]
    return project_of(images, store, **given)  # type: ignore[arg-type]  # click has checked the types


def run_and_tell(project: "Project", settings: dict[str, object], as_json: bool) -> None:
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
        tell_json({**report, "version_before": result.before, "differs": result.differs})
    else:
        click.echo("\n".join(summary_lines(project.store, shown, project.decisions_file, result)))
