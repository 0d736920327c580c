"""`python -m dedup_assets.explorer.foresee STORE`: the full plan, worked out beside the server.

Says how it goes on standard output as `dedup_assets.explorer.apply` does; at the end `done`, with the plan as `result`
and the quick plan that it started from, which tells later whether it still holds.
"""

import sys

from dedup_assets.core.errors import DedupError
from dedup_assets.core.exploring.planned import shown_plan
from dedup_assets.core.living.plan import full_plan, quick_plan
from dedup_assets.core.project import remembered
from dedup_assets.core.run import Run
from dedup_assets.core.storage.store import Store
from dedup_assets.explorer.job import tell


def main(arguments: list[str]) -> int:
    """Work it out; 0 when that succeeded."""

    def on_progress(what: str, done: int, total: int) -> None:
        tell(doing=what, share=done / max(total, 1))

    try:
        project = remembered(Store(arguments[0]))
        before = shown_plan(quick_plan(project))
        found = full_plan(project, Run("plan", progress=on_progress))
    except DedupError as error:
        tell(failed=str(error))
        return 1
    tell(result={"before": before, "plan": shown_plan(found)}, done=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
