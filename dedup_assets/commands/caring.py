"""doctor: what is wrong with a store, what can be rebuilt, and what nobody needs any more."""

import sys
import uuid
from dataclasses import asdict
from pathlib import Path

import click

from dedup_assets.commands.options import JSON_OPTION, STORE_OPTION, existing, store_at, tell_json


@click.command()
@STORE_OPTION
@click.option("--repair", "repairing", is_flag=True, help="Rebuild what can be rebuilt. Images are never touched.")
@click.option("--prune", "pruning", is_flag=True, help="Remove vectors and comparisons of images that are gone.")
@JSON_OPTION
def doctor(store: Path | None, repairing: bool, pruning: bool, as_json: bool) -> None:
    """Check a store, a line for each check; exit code 1 when something is wrong."""
    from dedup_assets.core.doctor.examine import WRONG, examine, prune_store, repair
    from dedup_assets.core.run import Run
    from dedup_assets.core.storage.published import current_set

    found = store_at(store)
    if current_set(found) is None:  # else the database may be gone, and can be rebuilt
        found = existing(store)

    def run(kind: str) -> Run:
        return Run(f"{kind}-{uuid.uuid4()}", say=lambda sentence: click.echo(sentence, err=True))

    done = repair(found, run("repair")) if repairing else []
    freed = prune_store(found, run("prune")) if pruning else None
    findings = examine(found)
    if as_json:
        tell_json({"findings": [asdict(finding) for finding in findings], "repaired": done, "bytes_freed": freed})
    else:
        width = max(len(finding.check) for finding in findings)
        for finding in findings:
            remedy = f" ({finding.remedy})" if finding.remedy else ""
            click.echo(f"  {finding.state:<5}  {finding.check:<{width}}  {finding.sentence}{remedy}")
        for sentence in done:
            click.echo(f"  repaired: {sentence}")
        if freed is not None:
            click.echo(f"  pruned: {freed / 1e6:,.1f} MB freed")
    if any(finding.state == WRONG for finding in findings):
        sys.exit(1)
