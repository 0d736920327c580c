"""A Dagster run holds its store from its first step to its last, as a resource of all its assets."""

import functools
import multiprocessing
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import dagster as dg

from dedup_assets.core.errors import SettingsError
from dedup_assets.core.storage.process import told
from dedup_assets.core.storage.store import Store

_BEGUN = (dg.DagsterRunStatus.STARTING, dg.DagsterRunStatus.STARTED, dg.DagsterRunStatus.CANCELING)
_ENDED = (dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.CANCELED)


class LeaseKey(str):
    """The key of the resource that holds a store, which stands for one place of images.

    Definitions are merged by their keys. Two places of images in one store are refused there, in words that tell what
    to do: each run would take the images of the other for vanished.
    """

    __slots__ = ("folder", "images")
    folder: Path
    images: str

    def __new__(cls, key: str, folder: Path, images: str) -> "LeaseKey":
        """`key` as text, with what it stands for."""
        made = super().__new__(cls, key)
        made.folder, made.images = folder, images
        return made

    def __reduce__(self) -> tuple[type[str], tuple[str]]:
        """As text: events name it from process to process."""
        return str, (str(self),)

    __hash__ = str.__hash__

    def __eq__(self, other: object) -> bool:
        """As text. Raises SettingsError for the same store with other images."""
        same = str.__eq__(self, str(other)) if isinstance(other, str) else False
        if same and isinstance(other, LeaseKey) and self.images != other.images:
            first, second = sorted((self.images, other.images))
            raise SettingsError(
                f"'{first}' and '{second}' both name the store '{self.folder}'; give each place of images a store of "
                "its own, in its attribute 'store'"
            )
        return same


@functools.cache
def lease_of(folder: Path, images: str) -> dg.ResourceDefinition:
    """A resource that has the store in `folder` from before the first step of a run until after the last.

    The same for all instances about these images: Dagster refuses two resources of one name.

    Where every step is a process with resources of its own, it hands the store on from each to the next.
    """
    store = Store(folder)

    @dg.resource(description=f"One run at a time writes to {store.folder}, about {images}.")
    def lease(context: dg.InitResourceContext) -> Iterator[None]:
        run, instance = context.run, context.instance
        if run is None or instance is None:  # made outside a run
            yield
            return

        def is_over(run_id: str) -> bool:
            known = instance.get_run_by_id(run_id)
            return known is not None and known.status in _ENDED

        lease = replace(
            store.lease(run.run_id),
            hands_on=lambda: _steps_follow(instance, run),
            is_over=is_over,
            led_by=_leader() if _in_processes(instance, run) else None,
        )
        with store.exclusively(context.log.info if context.log else None, lease):
            yield

    return lease


def end_killed(store: Store, instance: dg.DagsterInstance) -> None:
    """Tell Dagster of a run that was killed with all that would have told it, as when the machine goes down.

    It would count as going on, and keep the next one of its store in the queue, until a person ends it.
    """
    killed = store.lease().killed()
    run = instance.get_run_by_id(killed) if killed else None
    if run is not None and run.status in _BEGUN:
        instance.report_run_failed(run, f"The process of this run was killed while it had the store '{store.folder}'.")


def _leader() -> str:
    """The process that started this one to make a step; '' where that is not known, as when a cluster did."""
    parent = multiprocessing.parent_process()
    return told(parent.pid) if parent and parent.pid else ""


def _in_processes(instance: dg.DagsterInstance, run: dg.DagsterRun) -> bool:
    """Whether each step of the run is a process of its own."""
    if run.execution_plan_snapshot_id is None:
        return False
    plan = instance.get_execution_plan_snapshot(run.execution_plan_snapshot_id)
    return plan.executor_name not in (None, "in_process")  # None: execute_in_process


def _steps_follow(instance: dg.DagsterInstance, run: dg.DagsterRun) -> bool:
    """Whether steps of the run are still to come in other processes."""
    if run.execution_plan_snapshot_id is None or not _in_processes(instance, run):
        return False
    plan = instance.get_execution_plan_snapshot(run.execution_plan_snapshot_id)
    ended = {stats.step_key for stats in instance.get_run_step_stats(run.run_id) if stats.end_time is not None}
    return not ended >= set(plan.step_keys_to_execute)
