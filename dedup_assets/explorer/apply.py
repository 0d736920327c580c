"""`python -m dedup_assets.explorer.apply STORE [DUPLICATE NEAR]`: the run behind "apply decisions".

Says how it goes on standard output, one JSON object a line: `line` a sentence, `doing` what and which `share` of 1 of
it is done, at the end `done` or `failed`.
"""

import contextlib
import json
import sys

from dedup_assets.core.errors import DedupError
from dedup_assets.core.project import remembered
from dedup_assets.core.settings import Thresholds
from dedup_assets.core.store import Store

DECISIONS_CHANGED = ("duplicates", "deduplicated_dataset")
THRESHOLDS_CHANGED = ("uniqueness_scores", *DECISIONS_CHANGED)


def main(arguments: list[str]) -> int:
    """Run the job; 0 when it succeeded."""
    from dedup_assets.jobs import run_job

    store = Store(arguments[0])
    assets = THRESHOLDS_CHANGED if len(arguments) == 3 else DECISIONS_CHANGED

    def on_progress(what: str, done: int, total: int) -> None:
        _tell(doing=what, share=done / max(total, 1))

    def on_notice(sentence: str) -> None:
        _tell(line=sentence)

    try:
        project = remembered(store)
        thresholds = Thresholds(*map(float, arguments[1:])) if len(arguments) == 3 else used_thresholds(store)
        _tell(line=f"starting the Dagster job for {', '.join(assets)}")
        result = run_job(project, thresholds, assets=assets, on_progress=on_progress, on_notice=on_notice)
    except DedupError as error:
        _tell(failed=str(error))
        return 1
    _tell(line=f"materialised {', '.join(result.materialised)}")
    for check in result.failed_checks:
        _tell(line=f"{check.name}: {check.sentence}")
    _tell(line=f"run {result.run_id} succeeded", done=True)
    return 0


def used_thresholds(store: Store) -> Thresholds:
    """The thresholds that the scores of the store were made with."""
    step = store.step("uniqueness_scores")
    return Thresholds(**json.loads(step.settings)["thresholds"]) if step else Thresholds()


def _tell(**said: object) -> None:
    with contextlib.suppress(OSError):  # whoever listened is gone; the run goes on
        sys.stdout.write(json.dumps(said) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
