"""Whether the reviewed file would stop a run, as far as that is known before an image is opened."""

from dataclasses import replace

import pandas as pd

from dedup_assets.core.living.folder_changes import FolderChanges
from dedup_assets.core.membership import among
from dedup_assets.core.project import Project
from dedup_assets.core.scoring.decisions import Decision, Library, bind, named, read_decisions
from dedup_assets.core.steps.duplicates import bound_decisions
from dedup_assets.core.storage import schema
from dedup_assets.core.storage.store import Store

_UNREAD = "not read yet"

Words = tuple[str, str, str]


def check_decisions(project: Project, reading: Store, images: pd.DataFrame, files: FolderChanges, to_read: int) -> None:
    """Raise the DecisionError that a run would stop with, as far as the listing tells.

    `images`: the rows of the last scan; `files`, `to_read`: what the folder differs in. Where files are still to be
    read, only names that are nowhere are certain: what else is said may be about the pictures in those files.
    """
    left = images[~among(images["image_id"], files.vanished)]
    if not to_read:
        bound_decisions(replace(project, store=reading, decisions=project.decisions_file), left)
        return
    applied, there = words_applied(reading), {*left["image_id"], *files.new}
    known = there | {name for image_id, _, other in applied for name in (image_id, other)}
    said = [named(line, known) for line in read_decisions(project.decisions_file)]
    unknown = [
        line
        for line in said
        if words_of(line) not in applied  # else its pictures were found once, and are known by their content
        and (
            (line.image_id not in there and not line.content_hash)
            or (line.duplicate_of and line.duplicate_of not in there)
        )
    ]
    names = {name for line in unknown for name in (line.image_id, line.duplicate_of)}
    bind(project.decisions_file, unknown, Library(dict.fromkeys(names & there, _UNREAD), frozenset(names & there)), {})


def words_applied(reading: Store) -> set[Words]:
    """What the decisions that were applied last said: image_id, decision, duplicate_of."""
    rows = reading.read(schema.DECISIONS)[["image_id", "decision", "duplicate_of"]].fillna("")
    return set(rows.itertuples(index=False, name=None))


def words_of(line: Decision) -> Words:
    """The same of a line of the reviewed file."""
    return line.image_id, line.decision, line.duplicate_of
