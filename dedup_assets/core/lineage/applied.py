"""The reviewed file as it was applied last, whatever stands in it by now."""

import io
from dataclasses import replace
from pathlib import Path

import pandas as pd

from dedup_assets.core.errors import DecisionError
from dedup_assets.core.scoring.decisions import COLUMNS, Decision, bytes_of, named, parse_decisions


def file_as_applied(path: Path, applied: pd.DataFrame) -> bytes | None:
    """The file at `path`, byte for byte, where it still says what was applied; else the decisions that were, with the
    contents they were bound to. None where nothing was applied.

    `applied`: the rows of the decisions table.
    """
    rows = applied[list(COLUMNS)].fillna("").astype(str)
    before = [Decision(0, *row) for row in rows.itertuples(index=False, name=None)]
    known = {name for line in before for name in (line.image_id, line.duplicate_of)}
    try:
        now = bytes_of(path)
        said = [named(line, known) for line in parse_decisions(now, path)]
    except DecisionError:  # it is being worked on
        now, said = None, []
    if len(said) == len(before) and all(map(_same, said, before)):
        return now
    if not before:
        return None
    text = io.StringIO()
    rows.to_csv(text, index=False, lineterminator="\n")
    return text.getvalue().encode()


def _same(said: Decision, before: Decision) -> bool:
    """Whether a line says what was applied; the content it was bound to need not be written there."""
    return replace(said, line=0, content_hash=said.content_hash or before.content_hash) == before
