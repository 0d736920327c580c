"""The command line: the group of all commands, and how it ends."""

import atexit
import errno
import gc
import os
import sys
from typing import NoReturn

import click

from dedup_assets import __version__
from dedup_assets.commands import asking, caring, looking, planning, running, splits, tracing
from dedup_assets.core.errors import DedupError

COMMANDS = (
    *(running.run, running.demo, planning.plan),
    *(asking.why, asking.status, asking.export, splits.leakage),
    *(tracing.history, tracing.diff, tracing.rollback, caring.doctor),
    *(looking.explore, looking.calibrate),
)
_COLLECT_AFTER = 10_000  # new objects
_FIRST = 100  # collections: as many as it takes to import everything


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__)
def cli() -> None:
    """Find and remove duplicate and near-duplicate images. Nothing of yours is ever deleted or changed."""


for command in COMMANDS:
    cli.add_command(command)


def main() -> NoReturn:
    """The entry point."""
    gc.set_threshold(_COLLECT_AFTER)
    gc.callbacks.append(Sparing())
    _leave(exit_code())


class Sparing:
    """Leaves out the first collections: what a command imports stays, and looking through it is a tenth of its time."""

    def __init__(self) -> None:
        self._seen = 0

    def __call__(self, phase: str, info: dict[str, int]) -> None:
        self._seen += phase == "start"
        if self._seen > _FIRST:
            gc.callbacks.remove(self)
        elif phase == "start":
            gc.freeze()


def exit_code() -> int:
    """Of the command asked for, which is carried out: 0 done, 1 one clear line, 2 usage."""
    try:
        cli.main(standalone_mode=False)
    except click.exceptions.Exit as error:
        return error.exit_code
    except click.Abort:
        click.echo("stopped; what was finished is kept, run again to go on", err=True)
        return 130
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except DedupError as error:
        click.echo(f"error: {' '.join(str(error).splitlines())}", err=True)
        return 1
    except OSError as error:
        return _untold(error)
    except SystemExit as end:  # a command's way to say that something is amiss, and click's that nobody reads
        return end.code if isinstance(end.code, int) else 1
    return 0


def _leave(code: int) -> NoReturn:
    """End the process without freeing, object by object, all that was imported: as long as a command itself may take.

    Nor does DuckDB, where torch was loaded, then list what Python never frees.
    """
    atexit._run_exitfuncs()
    try:
        sys.stdout.flush()
    except OSError as error:
        code = _untold(error)
    sys.stderr.flush()
    os._exit(code)


def _untold(error: OSError) -> int:
    """What is printed goes nowhere: nobody reads it, or the disk it goes to is full. Raises any other error."""
    if error.errno not in (errno.EPIPE, errno.ENOSPC, errno.EDQUOT):
        raise error
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    if error.errno != errno.EPIPE:
        click.echo(f"error: what the command prints could not be written ({error.strerror}); make room first", err=True)
    return 1
