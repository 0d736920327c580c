"""What every step is given about the run it is part of."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timezone

Progress = Callable[[str, int, int], None]


def now_utc() -> datetime:
    """The time, UTC, without a zone, as the tables hold it."""
    return datetime.now(timezone.utc).replace(tzinfo=None)


def _silent(*_: object) -> None:
    pass


@dataclass(frozen=True, slots=True)
class Run:
    """`run_id`: the Dagster run. `now`: one time for all rows of a step, UTC. `progress(what, done, total)` and
    `say(sentence)` tell a person how it goes."""

    run_id: str = "local"
    now: datetime = field(default_factory=now_utc)
    progress: Progress = _silent
    say: Callable[[str], None] = _silent
