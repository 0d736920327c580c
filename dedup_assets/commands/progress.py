"""Progress of long work on the terminal (standard error)."""

import contextlib
from collections.abc import Callable, Iterator

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bars

from dedup_assets.core.run import Progress

Say = Callable[[str], None]


@contextlib.contextmanager
def progress_bars(*, quiet: bool) -> Iterator[tuple[Progress | None, Say]]:
    """A bar for each long step, and a place for sentences; no bars when `quiet` or nobody looks."""
    console = Console(stderr=True)
    if quiet or not console.is_terminal:
        yield None, console.print
        return
    columns = (TextColumn("{task.description:<28}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Bars(*columns, console=console) as bars:
        tasks = {}

        def show(what: str, done: int, total: int) -> None:
            if what not in tasks:
                tasks[what] = bars.add_task(what, total=total)
            bars.update(tasks[what], completed=done, total=total)

        yield show, bars.console.print
