"""The reviewed file: reading decisions.csv, and binding each decision to the pictures it was made about."""

import csv
import hashlib
import io
import re
import unicodedata
from collections.abc import Container, Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from dedup_assets.core.errors import DecisionError

KEEP, REMOVE, DISCARD, NOT_DUPLICATE = "keep", "remove", "discard", "not_duplicate"
WORDS = (KEEP, REMOVE, DISCARD, NOT_DUPLICATE)
COLUMNS = ("image_id", "decision", "duplicate_of", "content_hash", "reviewer", "decided_at", "note")
_NAMES = ("image_id", "duplicate_of")
_SHOWN_ERRORS = 10
_SEPARATOR = re.compile(r'sep=([^\w\s"]|\t)', re.IGNORECASE)
_EMPTY_ROWS = r"(?:[ \t,;]*(?:\r\n|\n|\r))*"
_ABOVE_HEADER = re.compile(
    rf'{_EMPTY_ROWS}(?:"?{_SEPARATOR.pattern}"?[,;\t]*(?:\r\n|\n|\r|$))?{_EMPTY_ROWS}', re.IGNORECASE
)


@dataclass(frozen=True, slots=True)
class Decision:
    """One line of decisions.csv; `line` counts from 1, the header included. Empty cells are ''."""

    line: int
    image_id: str
    decision: str
    duplicate_of: str = ""
    content_hash: str = ""
    reviewer: str = ""
    decided_at: str = ""
    note: str = ""


@dataclass(frozen=True, slots=True)
class BoundDecision:
    """A decision and the images it applies to now: the one named, else all that show the same content.

    `duplicate_of` is the image named as its partner, where it is now. No images: the picture decided on is gone.
    """

    decision: Decision
    image_ids: tuple[str, ...]
    duplicate_of: str | None
    content_hash: str | None
    duplicate_of_hash: str | None

    @property
    def moved(self) -> bool:
        """Whether the image named is gone, so that the decision is about whatever else shows its content."""
        return self.decision.image_id not in self.image_ids

    @property
    def partner_is_gone(self) -> bool:
        """Whether a partner was named that is no longer there."""
        return bool(self.decision.duplicate_of) and self.duplicate_of is None


@dataclass(slots=True)
class Library:
    """The readable images by path and by content, as decisions look them up. `hash_of`: image_id -> file_hash."""

    hash_of: Mapping[str, str]
    known_ids: frozenset[str]
    _by_hash: dict[str, list[str]] = field(init=False)
    _by_plain_name: dict[str, list[str]] = field(init=False, default_factory=dict)

    def __post_init__(self) -> None:
        self._by_hash = {}
        for image_id in sorted(self.hash_of):
            self._by_hash.setdefault(self.hash_of[image_id], []).append(image_id)

    def find(self, image_id: str, content_hash: str | None) -> tuple[str, ...]:
        """The image of that name if it still shows the content, else all images that show it now."""
        here = self.hash_of.get(image_id)
        if here is not None and content_hash in (None, "", here):
            return (image_id,)
        return tuple(self._by_hash.get(content_hash or "", ()))

    def meant(self, said: str) -> str | None:
        """The one image that a whole path, other capitals or another spelling of the same letters may mean."""
        if not self._by_plain_name:
            for image_id in sorted(self.known_ids):
                self._by_plain_name.setdefault(_plain(image_id), []).append(image_id)
        parts = _plain(said).split("/")
        ends = ("/".join(parts[place:]) for place in range(len(parts)))
        found = next((self._by_plain_name[end] for end in ends if end in self._by_plain_name), [])
        return found[0] if len(found) == 1 else None


def file_version(path: Path) -> str:
    """Changes when the content of the file does; 'none' when there is no file."""
    data = bytes_of(path)
    return "none" if data is None else hashlib.sha256(data).hexdigest()[:16]


def above_header(text: str) -> tuple[str, str]:
    """What a spreadsheet may have put above the line that names the columns, `sep=;` and empty rows, and the rest."""
    end = _ABOVE_HEADER.match(text).end()  # type: ignore[union-attr]  # it matches nothing, too
    return text[:end], text[end:]


def separator_of(text: str) -> str:
    """What stands between the cells: what the file says itself, else a comma, or the semicolon or tab that spreadsheets
    of many countries write."""
    above, rest = above_header(text)
    said = _SEPARATOR.search(above)
    header = rest.partition("\n")[0]
    return said[1] if said else max(",;\t", key=header.count)


def column_names(cells: Iterable[str]) -> list[str]:
    """The columns that a first line names; spaces around them and capitals do not count."""
    return [cell.strip().lower() for cell in cells]


def read_decisions(path: Path) -> list[Decision]:
    """The decisions of a file; none when there is no file. Raises DecisionError naming every bad line."""
    return parse_decisions(bytes_of(path), path)


def parse_decisions(data: bytes | None, path: Path) -> list[Decision]:
    """The same of the bytes of the file, None where there is none."""
    if data is None:
        return []
    try:
        text = data.decode("utf-8-sig").replace("\r\n", "\n").replace("\r", "\n")
    except UnicodeDecodeError as error:
        raise DecisionError(f"{path} is not UTF-8 text (byte {error.start}); save it as UTF-8 CSV") from error
    above, rest = above_header(text)
    first = above.count("\n")
    rows = csv.DictReader(io.StringIO(rest, newline=""), strict=True, delimiter=separator_of(text))
    try:
        names = column_names(rows.fieldnames or ())
        if not names:
            return []
        twice = [name for name in COLUMNS if names.count(name) > 1]
        if twice:
            raise DecisionError(f"{path} has two columns '{twice[0]}'; leave one of them out. Nothing was changed")
        missing = [name for name in COLUMNS[:2] if name not in names]
        if missing:
            raise DecisionError(
                f"{path} has no column '{missing[0]}'; its first line must name the columns, at least image_id,decision"
            )
        rows.fieldnames = names
        decisions = [_decision(rows.line_num + first, row) for row in rows if any(row.values())]
    except csv.Error as error:
        line = rows.line_num + first + 1
        raise DecisionError(f"{path} line {line}: {error}; mend the quotes of that line") from error
    _refuse(path, [problem for decision in decisions for problem in _problems(decision)])
    return decisions


def bind(
    path: Path,
    decisions: Iterable[Decision],
    library: Library,
    remembered: Mapping[tuple[str, str, str], tuple[str, str]],
) -> list[BoundDecision]:
    """Each decision with the images it is about, found by content when the path has changed.

    `remembered` gives, by (image_id, decision, duplicate_of), the two content hashes that a line without hashes was
    bound to before. Raises DecisionError for images nobody has ever seen and for contradictions, naming the lines.
    """
    bound, problems = [], []
    known = library.known_ids | {name for image_id, _, other in remembered for name in (image_id, other)}
    for decision in (named(decision, known) for decision in decisions):
        key = (decision.image_id, decision.decision, decision.duplicate_of)
        before = remembered.get(key, ("", ""))
        content_hash = decision.content_hash or before[0] or library.hash_of.get(decision.image_id)
        other_hash = before[1] or library.hash_of.get(decision.duplicate_of)
        image_ids = library.find(decision.image_id, content_hash)
        others = library.find(decision.duplicate_of, other_hash) if decision.duplicate_of else ()
        if decision.duplicate_of == decision.image_id:
            problems.append((decision.line, _of_itself(decision)))
        elif not image_ids and not content_hash:
            problems.append((decision.line, _unknown(decision.image_id, library)))
        elif decision.duplicate_of and not others and not other_hash:
            problems.append((decision.line, _unknown(decision.duplicate_of, library)))
        bound.append(BoundDecision(decision, image_ids, others[0] if others else None, content_hash, other_hash))
    _refuse(path, problems + _contradictions(bound))
    return bound


def bytes_of(path: Path) -> bytes | None:
    """The reviewed file; None where there is none. Raises DecisionError for one that cannot be read."""
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise DecisionError(f"cannot read '{path}': {error.strerror}; mend that, or name another file") from error


def _decision(line: int, row: Mapping[str | None, str | list[str] | None]) -> Decision:
    written = {name: str(row.get(name) or "") for name in COLUMNS}
    cells = {name: text.strip() for name, text in written.items()}
    names = {name: written[name] for name in _NAMES if cells[name]}  # a file may be called so: see `named`
    return Decision(line, **{**cells, **names, "decision": cells["decision"].lower()})


def named(decision: Decision, known: Container[str]) -> Decision:
    """The decision with spaces around its two names left out, but where an image is called just so."""
    names = {name: getattr(decision, name) for name in _NAMES}
    if all(text == text.strip() for text in names.values()):
        return decision
    return replace(decision, **{name: text if text in known else text.strip() for name, text in names.items()})


def _problems(decision: Decision) -> list[tuple[int, str]]:
    if not decision.image_id:
        return [(decision.line, "the image_id is empty")]
    if decision.decision not in WORDS:
        return [(decision.line, f"unknown decision '{decision.decision}'; it may be {', '.join(WORDS)}")]
    if decision.duplicate_of == decision.image_id:
        return [(decision.line, _of_itself(decision))]
    return []


def _of_itself(decision: Decision) -> str:
    return f"'{decision.image_id}' is called a duplicate of itself"


def _unknown(image_id: str, library: Library) -> str:
    if image_id in library.known_ids:
        return f"'{image_id}' cannot be read, so nothing can be decided about it"
    meant = library.meant(image_id)
    if meant is None:
        return f"unknown image '{image_id}'; it is not under the image folder"
    return f"unknown image '{image_id}'; '{meant}' is what it is called from the image folder on"


def _plain(name: str) -> str:
    return unicodedata.normalize("NFC", name.replace("\\", "/")).casefold()


def _contradictions(bound: list[BoundDecision]) -> list[tuple[int, str]]:
    """Two different words, or two different partners of a removal, for one image.

    A decision about a file that is gone gives way to those about the files that are left: it contradicts them only
    where one says keep and the other discard.
    """
    problems = []
    bound = [entry for entry in bound if not entry.moved or entry.decision.decision in (KEEP, DISCARD)]
    said: dict[str, BoundDecision] = {}
    apart = {
        frozenset((image_id, entry.duplicate_of)): entry
        for entry in bound
        for image_id in entry.image_ids
        if entry.decision.decision == NOT_DUPLICATE and not entry.partner_is_gone
    }
    for entry in bound:
        word = entry.decision.decision
        for image_id in entry.image_ids if word != NOT_DUPLICATE else ():
            earlier = said.setdefault(image_id, entry)
            before = earlier.decision
            gives_way = (entry.moved or earlier.moved) and {before.decision, word} != {KEEP, DISCARD}
            if (before.decision, before.duplicate_of) != (word, entry.decision.duplicate_of) and not gives_way:
                problems.append(
                    (
                        entry.decision.line,
                        f"'{image_id}' is to '{word}', but line {before.line} says "
                        f"'{before.decision}'{_partner(before.duplicate_of)}",
                    )
                )
            against = apart.get(frozenset((image_id, entry.duplicate_of))) or apart.get(frozenset((image_id, None)))
            if word == REMOVE and against:
                problems.append(
                    (
                        entry.decision.line,
                        f"'{image_id}' is removed{_partner(entry.duplicate_of)}, "
                        f"but line {against.decision.line} says '{NOT_DUPLICATE}'",
                    )
                )
    return problems


def _partner(image_id: str | None) -> str:
    return f" as a duplicate of '{image_id}'" if image_id else ""


def _refuse(path: Path, problems: list[tuple[int, str]]) -> None:
    if not problems:
        return
    shown = "; ".join(f"line {line}: {problem}" for line, problem in sorted(problems)[:_SHOWN_ERRORS])
    more = f"; and {len(problems) - _SHOWN_ERRORS} more" if len(problems) > _SHOWN_ERRORS else ""
    raise DecisionError(f"{path.name} {shown}{more}. Nothing was changed")
