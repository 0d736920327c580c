"""`python -m dedup_assets.explorer.apply STORE [all | DUPLICATE NEAR]`: the run behind "apply decisions".

Runs what changed decisions change, `all` of the chain, or with other thresholds what those change. Says how it goes on
standard output; see `dedup_assets.explorer.job.tell`.
"""

import json
import sys
from collections.abc import Sequence

from dedup_assets.core.errors import DedupError
from dedup_assets.core.project import remembered
from dedup_assets.core.settings import Thresholds
from dedup_assets.core.storage.store import Store
from dedup_assets.explorer.job import tell

ALL = "all"
DECISIONS_CHANGED = ("duplicates", "deduplicated_dataset")
THRESHOLDS_CHANGED = ("uniqueness_scores", *DECISIONS_CHANGED)
CHAIN = ("raw_images", "embeddings", "neighbours", *THRESHOLDS_CHANGED)


def assets_of(arguments: Sequence[str]) -> tuple[str, ...]:
    """The assets that a run with these arguments, after STORE, materialises."""
    if tuple(arguments) == (ALL,):
        return CHAIN
    return THRESHOLDS_CHANGED if arguments else DECISIONS_CHANGED


def main(arguments: list[str]) -> int:
    """Run the job; 0 when it succeeded."""
    from dedup_assets.jobs import run_job

    store, said = Store(arguments[0]), arguments[1:]
    assets = assets_of(said)

    def on_progress(what: str, done: int, total: int) -> None:
        tell(doing=what, share=done / max(total, 1))

    def on_notice(sentence: str) -> None:
        tell(line=sentence)

    try:
        project = remembered(store)
        thresholds = Thresholds(*map(float, said)) if len(said) == 2 else used_thresholds(store)
        tell(line=f"starting the Dagster job for {', '.join(assets)}")
        result = run_job(project, thresholds, assets=assets, on_progress=on_progress, on_notice=on_notice)
    except DedupError as error:
        tell(failed=str(error))
        return 1
    tell(line=f"materialised {', '.join(result.materialised)}")
    for check in result.failed_checks:
        tell(line=f"{check.name}: {check.sentence}")
    tell(line=f"run {result.run_id} succeeded", done=True)
    return 0


def used_thresholds(store: Store) -> Thresholds:
    """The thresholds that the scores of the store were made with."""
    step = store.step("uniqueness_scores")
    return Thresholds(**json.loads(step.settings)["thresholds"]) if step else Thresholds()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
