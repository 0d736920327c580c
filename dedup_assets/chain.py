"""The chain of one project as what starts its runs sees it: its assets, its job, the runs that are under way."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import dagster as dg

from dedup_assets.batches import STARTED_BY, Batches, Part, PartitionsRequest
from dedup_assets.core.living.changes import Due, Sight
from dedup_assets.core.living.configured import steps_below
from dedup_assets.core.living.covered import State, covered_settings
from dedup_assets.core.project import Project
from dedup_assets.core.sources.base import Listing
from dedup_assets.core.steps.record import DEDUPLICATED_DATASET, DUPLICATES, EMBEDDINGS, STEPS

DECISIONS_CHANGED = (DUPLICATES, DEDUPLICATED_DATASET)
_RUN_KEY = "dagster/run_key"
_LATEST_BACKFILLS = 25
_BECAUSE = "dedup_assets/because"
_INTERRUPTED = dg.DagsterExecutionInterruptedError.__name__
WAITING = (dg.DagsterRunStatus.QUEUED, dg.DagsterRunStatus.NOT_STARTED)
_GOING = (*WAITING, dg.DagsterRunStatus.STARTING, dg.DagsterRunStatus.STARTED, dg.DagsterRunStatus.CANCELING)


@dataclass(frozen=True, slots=True)
class Chain:
    """The project of a chain, the name of the job that runs it, and the keys of its assets, its sources included.

    `configured`: the settings of each step. `batches`: the partitions of `embeddings`, where it has any.
    """

    project: Project
    job: str
    keys: Sequence[dg.AssetKey]
    configured: Mapping[str, str]
    batches: Batches | None = None

    def key(self, name: str) -> dg.AssetKey:
        """The key of an asset, with the prefix."""
        return next(key for key in self.keys if key.path[-1] == name)

    def runs(self, instance: dg.DagsterInstance, statuses: Sequence[dg.DagsterRunStatus]) -> list[str]:
        """The ids of the runs that make any of the assets, started in whatever way."""
        runs = instance.get_runs(filters=dg.RunsFilter(statuses=list(statuses)))
        return [run.run_id for run in runs if run.job_name == self.job or set(run.asset_selection or ()) & {*self.keys}]

    def partitions(
        self, instance: dg.DagsterInstance, listing: Listing | None
    ) -> tuple[list[str], list[PartitionsRequest]]:
        """The partitions there ought to be, and what makes them so; none without batches."""
        if self.batches is None:
            return [], []
        return self.batches.kept_up(
            self.batches.known(instance), listing, lambda: bool(self.busy(instance)) or backfilled(instance)
        )

    def request(
        self,
        names: Sequence[str],
        listing: Listing | None,
        partitions: Sequence[str],
        run_key: str | None = None,
        *,
        started_by: str,
        because: str = "",
    ) -> dg.RunRequest:
        """A request for a run of these assets; with batches, of no more of `embeddings` than is new or changed.

        `partitions`: those there are, in order.
        """
        part = Part()
        if self.batches and EMBEDDINGS in names:
            part = self.batches.changed(listing, partitions)
            names = [name for name in names if name != EMBEDDINGS or part.partitions]
        return dg.RunRequest(
            run_key=run_key,
            partition_key=part.key,
            asset_selection=None if set(names) == set(STEPS) else [self.key(name) for name in names],
            tags={STARTED_BY: started_by, **({_BECAUSE: because} if because else {}), **dict(part.tags)},
        )

    def due(self, due: Due, sight: Sight, stands: State) -> Sequence[str]:
        """The assets that a run makes for what is due."""
        if due is Due.IMAGES:
            return STEPS
        if due is Due.DECISIONS:
            return DECISIONS_CHANGED
        below = steps_below(self.configured, covered_settings(self.project.store))
        return below if sight.state.decisions == stands.decisions else max(below, DECISIONS_CHANGED, key=len)

    def busy(self, instance: dg.DagsterInstance) -> str | None:
        """A sentence while a run goes on that may cover what has changed."""
        going = self.runs(instance, _GOING)
        if going:
            return f"run {going[0][:8]} goes on and may cover the change; waiting for it to end"
        if self.project.store.lease().busy():
            return "a run outside this deployment is using the store; waiting for it to end"
        return None

    def interrupted(self, instance: dg.DagsterInstance, run_key: str) -> bool:
        """Whether the run of that key failed for no reason of its own: it ended together with Dagster, or was killed.

        One that a person cancelled is meant to have ended.
        """
        runs = instance.get_runs(filters=dg.RunsFilter(tags={_RUN_KEY: run_key}), limit=1)
        if not runs or runs[0].status != dg.DagsterRunStatus.FAILURE:
            return False
        failures = instance.all_logs(runs[0].run_id, of_type=dg.DagsterEventType.STEP_FAILURE)
        errors = [entry.dagster_event.step_failure_data.error for entry in failures if entry.dagster_event]
        return all(error is not None and error.cls_name == _INTERRUPTED for error in errors)


def backfilled(instance: dg.DagsterInstance) -> bool:
    """Whether a backfill is under way; it has no run at first, and Dagster fails it when one of its partitions goes."""
    return any(one.status.name == "REQUESTED" for one in instance.get_backfills(limit=_LATEST_BACKFILLS))
