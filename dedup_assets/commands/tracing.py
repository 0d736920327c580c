"""history, diff and rollback: what happened to an image, what differs between two datasets, and going back."""

import getpass
import uuid
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from dedup_assets.commands.options import JSON_OPTION, STORE_OPTION, existing, tell_json

if TYPE_CHECKING:
    from dedup_assets.core.lineage.image_history import ImageHistory
    from dedup_assets.core.lineage.versions import Difference
    from dedup_assets.core.living.rollback import RolledBack

_SHOWN = 20
_NAMED = 5


@click.command()
@click.argument("image")
@STORE_OPTION
@JSON_OPTION
def history(image: str, store: Path | None, as_json: bool) -> None:
    """Tell what happened to an image, oldest first, with the Dagster runs."""
    from dedup_assets.core.lineage.image_history import history as history_of
    from dedup_assets.core.storage.published import for_reading

    found = history_of(for_reading(existing(store)), image)
    if as_json:
        tell_json(asdict(found))
    else:
        click.echo("\n".join(_history_lines(found)))


@click.command()
@click.argument("before", metavar="VERSION")
@click.argument("after", metavar="[VERSION]", required=False, default="current")
@click.option("--all", "show_all", is_flag=True, help=f"Name every image, not the first {_SHOWN} of each kind.")
@STORE_OPTION
@JSON_OPTION
def diff(before: str, after: str, show_all: bool, store: Path | None, as_json: bool) -> None:
    """Tell what differs between two dataset versions, each image with the reason.

    A VERSION is the start of its digits, NAME/digits, NAME for its newest, or latest, previous or current, which the
    second is if left out.
    """
    from dedup_assets.core.lineage.versions import difference, version_called
    from dedup_assets.core.storage.published import for_reading

    reading = for_reading(existing(store))
    found = difference(reading, version_called(reading, before), version_called(reading, after))
    if as_json:
        tell_json(asdict(found))
    else:
        click.echo("\n".join(_diff_lines(found, None if show_all else _SHOWN)))


@click.command()
@click.argument("version", default="previous")
@STORE_OPTION
@JSON_OPTION
def rollback(version: str, store: Path | None, as_json: bool) -> None:
    """Go back to an earlier dataset version: its thresholds, its scores, its removals.

    VERSION is the start of its digits, NAME/digits, NAME for its newest, previous (the default) or latest, which undoes
    going back. Nothing is computed that is stored; no image and no reviewed file is changed.
    """
    from dedup_assets.core.lineage.run_links import ROLLBACK
    from dedup_assets.core.lineage.versions import version_called
    from dedup_assets.core.living.rollback import roll_back
    from dedup_assets.core.project import remembered
    from dedup_assets.core.run import Run

    found = existing(store)
    project = remembered(found)
    run = Run(f"{ROLLBACK}-{uuid.uuid4()}", say=lambda sentence: click.echo(sentence, err=True))
    done = roll_back(project, version_called(found, version), run, getpass.getuser())
    if as_json:
        tell_json(asdict(done))
    else:
        click.echo("\n".join(_rollback_lines(done, project.decisions_file)))


def _some(images: Sequence[str]) -> str:
    return ", ".join(images[:_NAMED]) + (", ..." if len(images) > _NAMED else "")


def _history_lines(found: "ImageHistory") -> list[str]:
    from dedup_assets.core.lineage.run_links import link_to

    lines = [f"{found.image_id}: {found.now}", ""]
    for entry in found.happenings:
        when = f"{entry.at:%Y-%m-%d %H:%M}" if entry.at else "at some time  "
        lines.append(f"  {when}  {entry.sentence}")
        if entry.run_id:
            lines.append(f"  {'':16}  run {link_to(entry.run_id) or entry.run_id}")
    if found.last_held:
        lines.append(f"  {'':16}  {found.last_held} is the newest dataset that holds it")
    if found.unlike_the_dataset:
        lines += ["", f"  {found.unlike_the_dataset}"]
    if found.other_paths:
        lines += ["", f"  the same bytes: {', '.join(found.other_paths)}"]
    return lines


def _diff_lines(found: "Difference", shown: int | None) -> list[str]:
    kinds = {
        "added": found.added,
        "removed": found.removed,
        "restored": found.restored,
        "vanished": found.vanished,
        "changed": found.changed,
    }
    lines = [f"from {found.before} to {found.after}", "", f"  {'in both':<10} {found.same:>7,}"]
    lines += [f"  {name:<10} {len(moved):>7,}" for name, moved in kinds.items() if moved]
    for name, moved in kinds.items():
        if moved:
            lines += ["", f"  {name}", *(f"    {one.image_id}: {one.why}" for one in moved[:shown])]
            if len(moved) > len(moved[:shown]):
                lines.append(f"    and {len(moved) - len(moved[:shown]):,} more (--all names them)")
    return lines


def _rollback_lines(done: "RolledBack", decisions: Path) -> list[str]:
    lines = [
        f"The dataset is {done.after} again, at {done.folder}; it was {done.before}.",
        f"Thresholds {done.thresholds.duplicate:g} and {done.thresholds.near_duplicate:g}, scores and removals are "
        f"those of that time: {done.restored:,} images restored, {done.removed:,} removed.",
    ]
    if done.cannot_leave:
        lines.append(
            f"{len(done.cannot_leave):,} images it left out have lost the image that stayed for them (it is gone, or "
            f"another picture now), so they are not removed: {_some(done.cannot_leave)}"
        )
    if done.other_now:
        lines.append(
            f"{len(done.other_now):,} images it kept show another picture now, or cannot be read: "
            f"{_some(done.other_now)}"
        )
    if done.gone_now:
        lines.append(f"{len(done.gone_now):,} images it kept are no longer in the folder: {_some(done.gone_now)}")
    if done.decisions_differ:
        then = f"; as it was then: {done.decisions_then}" if done.decisions_then else "; there was none then"
        lines.append(f"{decisions} was not changed and says something else now{then}")
    lines.append(
        "The next run starts from the images, decisions and thresholds it is given then, and moves on from here; "
        "'dedup-assets plan' tells what it would change."
    )
    return lines
