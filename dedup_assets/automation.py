"""Runs that start by themselves: when something changed, or by the clock.

`eager` is a sensor of our own, not AutomationCondition.eager(): that condition forgets an observation made while a run
of the asset is under way (the run's end counts as its answer, though the run may have listed the folder before the
change), and answers again a change that a run started by hand has dealt with already. The sensor asks the store
what the dataset stands for, so one change leads to one run, whoever starts it; `core/living/changes.py` holds the rule,
and the run key keeps a tick that is evaluated twice from starting two.

A run that fails is not started again until something changes: the same files and the same decisions would fail again.
One that was interrupted is, for that says nothing about them.
"""

import time
from dataclasses import dataclass, replace
from zoneinfo import ZoneInfo

import dagster as dg

from dedup_assets.batches import Batches
from dedup_assets.chain import DECISIONS_CHANGED, WAITING, Chain
from dedup_assets.core.errors import DedupError, SettingsError
from dedup_assets.core.living.changes import Due, Memory, Sight, judge, look
from dedup_assets.core.living.configured import version_of_settings
from dedup_assets.core.living.covered import covered
from dedup_assets.core.settings import AUTOMATIONS, EAGER, NONE, SCHEDULE
from dedup_assets.core.sources.base import Listing
from dedup_assets.core.steps.record import EMBEDDINGS, STEPS
from dedup_assets.lease import end_killed


@dataclass(frozen=True, slots=True)
class Automation:
    """`mode`: none, eager or schedule, which needs a `cron`. `timezone`: of the cron, UTC when not given.

    `look_every_seconds`: how often eager looks at the folder. Raises SettingsError for what does not go together.
    """

    mode: str = NONE
    cron: str | None = None
    timezone: str | None = None
    look_every_seconds: int = 30

    def __post_init__(self) -> None:
        if self.mode not in AUTOMATIONS:
            raise SettingsError(f"automation is '{self.mode}'; it must be one of {', '.join(AUTOMATIONS)}")
        if self.mode == SCHEDULE and not self.cron:
            raise SettingsError("automation is 'schedule' but there is no cron; add one, such as cron: \"0 6 * * *\"")
        if self.mode != SCHEDULE and (self.cron or self.timezone):
            name, value = ("cron", self.cron) if self.cron else ("timezone", self.timezone)
            raise SettingsError(
                f"{name} is '{value}' but automation is '{self.mode}'; set automation to 'schedule' or leave {name} out"
            )
        if self.timezone:
            try:
                ZoneInfo(self.timezone)
            except (KeyError, ValueError, OSError) as error:
                raise SettingsError(
                    f"timezone '{self.timezone}' is not known; give one such as 'Europe/Berlin' or leave it out for UTC"
                ) from error
        if self.cron:
            try:
                dg.ScheduleDefinition(name="check", job_name="check", cron_schedule=self.cron)
            except dg.DagsterInvalidDefinitionError as error:
                raise SettingsError(
                    f"cron '{self.cron}' is not a cron schedule; give five fields, such as \"0 6 * * *\" for every day "
                    "at six"
                ) from error


def build_automation(chain: Chain, automation: Automation) -> list[dg.SensorDefinition | dg.ScheduleDefinition]:
    """The sensor or the schedule that starts the job; nothing for `none`. It is on once it is loaded.

    With batches a sensor keeps the partitions whatever the mode: under `eager` the one that starts the runs.
    """
    if automation.mode == EAGER:
        return [_sensor(chain, automation)]
    partitions = [_partitions_sensor(chain, chain.batches, automation)] if chain.batches else []
    return [*partitions, *([_schedule(chain, automation)] if automation.mode == SCHEDULE else [])]


def _sensor(chain: Chain, automation: Automation) -> dg.SensorDefinition:
    project = chain.project

    @dg.sensor(
        name=f"{chain.job}_when_changed",
        job_name=chain.job,
        minimum_interval_seconds=automation.look_every_seconds,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description=f"One run when the images under {project.images} or their labels change, one of "
        f"{' and '.join(DECISIONS_CHANGED)} when the decisions do, one of the assets concerned when a setting does. "
        "Half-copied files are let settle first.",
    )
    def when_changed(context: dg.SensorEvaluationContext) -> dg.SensorResult | dg.SkipReason:
        end_killed(project.store, context.instance)
        memory = Memory.of(context.cursor)
        if memory.rests(time.time()):
            return _resting(memory)
        sight = look(project, settings=version_of_settings(chain.configured))
        stands = covered(project.store)
        partitions, requests = chain.partitions(context.instance, sight.listing)
        memory, due, why = judge(
            memory,
            sight,
            stands,
            time.time(),
            busy=lambda: chain.busy(context.instance),
            interrupted=lambda key: chain.interrupted(context.instance, key),
        )
        if due is Due.NOTHING:
            return dg.SensorResult(skip_reason=why, cursor=memory.text, dynamic_partitions_requests=requests)
        context.log.info(why)
        names = chain.due(due, sight, stands)
        request = chain.request(
            names, sight.listing, partitions, run_key=memory.key, started_by=EAGER, because=due.value
        )
        seen = _observations(chain, sight)
        return dg.SensorResult([request], cursor=memory.text, asset_events=seen, dynamic_partitions_requests=requests)

    return when_changed


def _partitions_sensor(chain: Chain, batches: Batches, automation: Automation) -> dg.SensorDefinition:
    @dg.sensor(
        name=f"{batches.partitions.name}_kept",
        minimum_interval_seconds=automation.look_every_seconds,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description=f"A partition of {EMBEDDINGS} for every top folder of {chain.project.images}. Starts no run.",
    )
    def batches_kept(context: dg.SensorEvaluationContext) -> dg.SensorResult | dg.SkipReason:
        end_killed(chain.project.store, context.instance)
        memory, started = Memory.of(context.cursor), time.time()
        if memory.rests(started):
            return _resting(memory)
        try:
            listing = chain.project.images.listing()
        except DedupError as error:
            return dg.SkipReason(str(error))
        partitions, requests = chain.partitions(context.instance, listing)
        memory = replace(memory, looked_at=started, seconds=time.time() - started)
        return dg.SensorResult(
            skip_reason=f"{len(partitions):,} batches",
            cursor=memory.text,
            dynamic_partitions_requests=requests,
        )

    return batches_kept


def _resting(memory: Memory) -> dg.SkipReason:
    return dg.SkipReason(f"listing the images took {memory.seconds:.0f} seconds; resting before the next look")


def _observations(chain: Chain, sight: Sight) -> list[dg.AssetObservation]:
    """What was seen, so that the UI shows the sources as they are."""
    versions = {"image_folder": sight.state.images, "review_decisions": sight.state.decisions}
    return [
        dg.AssetObservation(chain.key(name), tags={"dagster/data_version": version})
        for name, version in versions.items()
    ]


def _schedule(chain: Chain, automation: Automation) -> dg.ScheduleDefinition:
    @dg.schedule(
        name=f"{chain.job}_on_schedule",
        job_name=chain.job,
        cron_schedule=str(automation.cron),
        execution_timezone=automation.timezone,
        default_status=dg.DefaultScheduleStatus.RUNNING,
        description="The whole chain by the clock; where nothing is new its steps do nothing.",
    )
    def on_schedule(context: dg.ScheduleEvaluationContext) -> dg.RunRequest | dg.SkipReason:
        end_killed(chain.project.store, context.instance)
        waiting = chain.runs(context.instance, WAITING)
        if waiting:
            return dg.SkipReason(f"run {waiting[0][:8]} has not begun yet and will do the same")
        return chain.request(STEPS, *_batches_now(chain, context.instance), started_by=SCHEDULE)

    return on_schedule


def _batches_now(chain: Chain, instance: dg.DagsterInstance) -> tuple[Listing | None, list[str]]:
    """The images and the partitions of their batches, which are added here: a schedule cannot ask for that."""
    if chain.batches is None:
        return None, []
    try:
        listing = chain.project.images.listing()
    except DedupError:  # the scan will stop with it, and say so
        return None, []
    partitions, requests = chain.partitions(instance, listing)
    for request in requests:
        if isinstance(request, dg.AddDynamicPartitionsRequest):
            instance.add_dynamic_partitions(request.partitions_def_name, request.partition_keys)
    return listing, partitions
