"""What one check of a store found."""

from dataclasses import dataclass

OK, NOTE, WRONG = "ok", "note", "wrong"


@dataclass(frozen=True, slots=True)
class Finding:
    """`state` is OK, NOTE (worth knowing, nothing is broken) or WRONG. `remedy`: what mends it, if anything does."""

    check: str
    state: str
    sentence: str
    remedy: str = ""
