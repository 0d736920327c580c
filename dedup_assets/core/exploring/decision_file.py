"""Writing decisions.csv: at once, whole or not at all, and nothing lost that a person wrote there by hand."""

import contextlib
import csv
import io
import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

from filelock import FileLock, Timeout

from dedup_assets.core.errors import DecisionError, StoreError
from dedup_assets.core.scoring.decisions import (
    COLUMNS,
    NOT_DUPLICATE,
    REMOVE,
    above_header,
    column_names,
    separator_of,
)

_BOM = "\ufeff"
_LOCK_SECONDS = 10.0
_CHANGES_KEPT = 1000

Check = Callable[[Path, Sequence[str]], None]


def _anything(partial: Path, images: Sequence[str]) -> None: ...


@dataclass(frozen=True, slots=True)
class NewDecision:
    """One decision to write; the cells are those of decisions.csv."""

    image_id: str
    decision: str
    duplicate_of: str = ""
    content_hash: str = ""
    note: str = ""


class DecisionFile:
    """A decisions.csv that a page writes to while people may edit it by hand.

    Lines it has no reason to touch keep every byte, columns of one's own included. What a reviewer changed is noted
    beside it, so that the last own change can be undone, also by a later process. Its folder is never made: one that is
    missing has gone away, and what was decided before with it. That raises StoreError.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def record(
        self,
        decisions: Sequence[NewDecision],
        reviewer: str,
        decided_at: str,
        check: Check = _anything,
    ) -> None:
        """Write decisions, in place of earlier ones that they contradict.

        `check` is given the file as it would be and the images that differ in it, and keeps it from being written by
        raising.
        """
        with self.held():
            sheet = self._read()
            replaced = [record for record in sheet.records if any(_replaces(new, record.cells) for new in decisions)]
            common = {"reviewer": reviewer, "decided_at": decided_at}
            names = (*COLUMNS[:4], "note")
            added = [sheet.compose({**{name: getattr(new, name) for name in names}, **common}) for new in decisions]
            gone = {id(record) for record in replaced}
            places = [place for place, record in enumerate(sheet.records) if id(record) in gone]
            sheet.records = [record for record in sheet.records if id(record) not in gone] + added
            images = sorted({new.image_id for new in decisions})
            self._write(sheet, images, check)
            texts = [record.text for record in replaced]
            added_texts = [record.text for record in added]
            self._note_change(_Change(reviewer, images, added_texts, list(zip(places, texts, strict=True))))

    def undo(self, reviewer: str, about: str = "", check: Check = _anything) -> tuple[str, ...]:
        """Take the reviewer's last change back, or the last one `about` an image alone; the images it was about, none
        when there is nothing to take back.

        Raises DecisionError when the lines were changed since, and what `check` raises.
        """
        with self.held():
            changes = self._changes()
            own = [
                place
                for place, change in enumerate(changes)
                if change.reviewer == reviewer and (not about or change.images == [about])
            ]
            if not own:
                return ()
            change = changes.pop(own[-1])
            sheet = self._read()
            for text in reversed(change.added):
                found = [place for place, record in enumerate(sheet.records) if record.text == text]
                if not found:
                    raise DecisionError(
                        f"{self.path.name} was changed since: the line '{text.strip()}' is not there any more, so "
                        "it cannot be undone. Nothing was changed"
                    )
                del sheet.records[found[-1]]
            for place, text in change.replaced:
                sheet.records[place:place] = sheet.parse(text)
            self._write(sheet, change.images, check)
            _replace(self._journal, "".join(entry.line for entry in changes))
            return tuple(change.images)

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        """Keep every other writer out, in this process and in others, until the block ends: what is read in it still
        holds when it is written. May be nested in one thread."""
        if not self.path.parent.is_dir():
            raise StoreError(f"cannot write '{self.path}': its folder is not there; bring it back or make it")
        lock = FileLock(self.path.with_name(f".{self.path.name}.lock"), timeout=_LOCK_SECONDS, is_singleton=True)
        try:
            with lock:
                yield
        except Timeout as error:
            raise StoreError(
                f"'{self.path}' has been in use by another process for {_LOCK_SECONDS:.0f} seconds; try again, or end "
                "that process. Nothing was changed"
            ) from error
        except OSError as error:
            raise StoreError(f"cannot write '{self.path}' ({error.strerror}); mend that, then decide again") from error

    @property
    def _journal(self) -> Path:
        return self.path.with_name(f".{self.path.name}.undo")

    def _read(self) -> "_Sheet":
        if not self.path.is_file():
            return _Sheet.of("", self.path)
        try:
            return _Sheet.of(self.path.read_bytes().decode("utf-8"), self.path)
        except UnicodeDecodeError as error:
            raise DecisionError(f"{self.path} is not UTF-8 text (byte {error.start}); save it as UTF-8 CSV") from error

    def _write(self, sheet: "_Sheet", images: Sequence[str], check: Check) -> None:
        _replace(self.path, sheet.text, lambda partial: check(partial, images))

    def _changes(self) -> "list[_Change]":
        if not self._journal.is_file():
            return []
        lines = self._journal.read_text(encoding="utf-8").splitlines()
        return [_Change(**json.loads(line)) for line in lines]

    def _note_change(self, change: "_Change") -> None:
        with self._journal.open("a", encoding="utf-8") as file:
            file.write(change.line)
        changes = self._changes() if self._journal.stat().st_size > _CHANGES_KEPT * 512 else []
        if len(changes) > _CHANGES_KEPT:
            _replace(self._journal, "".join(entry.line for entry in changes[-_CHANGES_KEPT:]))


@dataclass(frozen=True, slots=True)
class _Change:
    """What one action did to the file: rows added, and rows replaced with the places they stood at."""

    reviewer: str
    images: list[str]
    added: list[str]
    replaced: list[tuple[int, str]]

    @property
    def line(self) -> str:
        return json.dumps(asdict(self)) + "\n"


@dataclass(slots=True)
class _Record:
    """One row: its text with the line end, as it stands in the file, and its cells by column."""

    text: str
    cells: Mapping[str, str]


@dataclass(slots=True)
class _Sheet:
    """The file taken apart. Only the header line may change: missing columns are added at its end."""

    start: str
    columns: list[str]
    line_end: str
    separator: str
    records: list[_Record] = field(default_factory=list)

    @classmethod
    def of(cls, text: str, path: Path) -> "_Sheet":
        bom, text = (_BOM, text[1:]) if text.startswith(_BOM) else ("", text)
        separator = separator_of(text)
        above, text = above_header(text)
        rows = _rows(text or separator.join(COLUMNS) + "\n", path, separator)
        header, names = next(rows)
        columns = column_names(names)
        line_end = "\r\n" if header.endswith("\r\n") else "\n"
        missing = [name for name in COLUMNS if name not in columns]
        sheet = cls(
            bom + above + (header.rstrip("\r\n") + "".join(f"{separator}{name}" for name in missing) + line_end),
            columns,
            line_end,
            separator,
        )
        longest = len(columns)
        columns += missing
        for line, (row, cells) in enumerate(rows, start=2 + len(above.splitlines())):
            if missing and len(cells) > longest:
                raise DecisionError(f"{path.name} row {line} has more cells than the first line names; mend that row")
            sheet.records.append(sheet._record(row, cells))
        return sheet

    @property
    def text(self) -> str:
        """The file's text."""
        return self.start + "".join(record.text for record in self.records)

    def parse(self, text: str) -> list[_Record]:
        """Records from their text."""
        return [self._record(row, cells) for row, cells in _rows(text, Path("decisions.csv"), self.separator)]

    def compose(self, cells: Mapping[str, str]) -> _Record:
        """A new record."""
        buffer = io.StringIO()
        writer = csv.writer(buffer, lineterminator=self.line_end, delimiter=self.separator)
        writer.writerow([cells.get(name, "") for name in self.columns])
        return _Record(buffer.getvalue(), cells)

    def _record(self, text: str, cells: Sequence[str]) -> _Record:
        ended = text if text.endswith(("\n", "\r")) else text + self.line_end
        return _Record(ended, dict(zip(self.columns, (cell.strip() for cell in cells), strict=False)))


def _rows(text: str, path: Path, separator: str) -> Iterator[tuple[str, list[str]]]:
    """Each row's own text and its cells; a row may span lines."""
    taken: list[str] = []

    def lines() -> Iterator[str]:
        for line in io.StringIO(text, newline=""):
            taken.append(line)
            yield line

    try:
        for cells in csv.reader(lines(), strict=True, delimiter=separator):
            yield "".join(taken), cells
            taken.clear()
    except csv.Error as error:
        raise DecisionError(f"{path.name}: {error}, near '{''.join(taken)[:60].strip()}'; mend the quotes") from error


def _replaces(new: NewDecision, cells: Mapping[str, str]) -> bool:
    """Whether a row has to go for the new decision: one word for an image, one word for a pair."""
    word, image, partner = cells.get("decision", "").lower(), cells.get("image_id", ""), cells.get("duplicate_of", "")
    about_pair = {image, partner} == {new.image_id, new.duplicate_of}
    if new.decision == NOT_DUPLICATE:
        return about_pair and word in (NOT_DUPLICATE, REMOVE)
    if word == NOT_DUPLICATE:
        return new.decision == REMOVE and about_pair
    return image == new.image_id


def _replace(path: Path, text: str, check: Callable[[Path], None] = lambda _: None) -> None:
    """Put a file in place in one step, flushed to the disk first."""
    target = path.resolve()
    partial = target.with_name(f".{target.name}.{os.getpid()}.partial")
    try:
        with partial.open("w", encoding="utf-8", newline="") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        check(partial)
        if target.exists():
            partial.chmod(target.stat().st_mode & 0o777)
        partial.replace(target)
    finally:
        partial.unlink(missing_ok=True)
