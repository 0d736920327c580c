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
_NO_ROOM = (errno.ENOSPC, errno.EDQUOT)


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__)
def cli() -> None:
    """Find and remove duplicate and near-duplicate images. Nothing of yours is ever deleted or changed."""


for command in COMMANDS:
    cli.add_command(command)


def main() -> NoReturn:
    """The entry point."""
    gc.set_threshold(_COLLECT_AFTER)
    gc.callbacks.append(FrozenImports())
    _leave(run_command())


class FrozenImports:
    """Freezes what there is at each of the first collections, so that these look through nothing: what a command
    imports stays, and looking for garbage in it is a tenth of its time."""

    def __init__(self) -> None:
        self._seen = 0

    def __call__(self, phase: str, info: dict[str, int]) -> None:
        self._seen += phase == "start"
        if self._seen > _FIRST:
            gc.callbacks.remove(self)
        elif phase == "start":
            gc.freeze()


def run_command() -> int:
    """Carry out the command asked for. Its exit code: 0 done, 1 one clear line, 2 usage, 130 told to stop."""
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
        if error.errno not in _NO_ROOM:
            raise
        click.echo(
            f"error: there is no room for what the command writes or prints ({error.strerror}); make some", err=True
        )
        return 1
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
    except OSError:  # which was told, or nobody reads
        code = code or 1
    sys.stderr.flush()
    os._exit(code)
