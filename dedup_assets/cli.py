"""The command line: the group of all commands, and how it ends."""

import atexit
import gc
import os
import sys

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
_COLLECT_AFTER = 10_000  # new objects; what a command imports stays, so looking through it often is a tenth of its time


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__)
def cli() -> None:
    """Find and remove duplicate and near-duplicate images. Nothing of yours is ever deleted or changed."""


for command in COMMANDS:
    cli.add_command(command)


def main() -> None:
    """The entry point: 0 done, 1 one clear line, 2 usage."""
    gc.set_threshold(_COLLECT_AFTER)
    atexit.register(_end_quietly)
    try:
        cli.main(standalone_mode=False)
    except click.exceptions.Exit as error:
        sys.exit(error.exit_code)
    except click.Abort:
        click.echo("stopped; what was finished is kept, run again to go on", err=True)
        sys.exit(130)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except DedupError as error:
        click.echo(f"error: {' '.join(str(error).splitlines())}", err=True)
        sys.exit(1)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)


def _end_quietly() -> None:
    """Where torch was loaded, DuckDB lists dozens of things that Python never frees, when all is said and done."""
    sys.stderr.flush()
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
