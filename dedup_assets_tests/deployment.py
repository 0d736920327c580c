"""A dataset that runs by itself, and a daemon that ticks when told to, in this process."""

import os
import shutil
import signal
import subprocess
import sys
import time

import dagster as dg

from dedup_assets import build_dedup_defs
from dedup_assets.core.living.configured import configured
from dedup_assets.core.living.covered import note_dataset
from dedup_assets.core.project import project_of
from dedup_assets.core.settings import Thresholds

CHAIN = ["raw_images", "embeddings", "neighbours", "uniqueness_scores", "duplicates", "deduplicated_dataset"]
HOLD = """
import sys, time
from dedup_assets.core.storage.store import Store
store = Store(sys.argv[1])
with store.exclusively(lease=store.lease(sys.argv[2])):
    print("held", flush=True)
    time.sleep(float(sys.argv[3]))
"""
QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}


class Deployment:
    """A folder, its definitions, and a daemon that ticks when told to."""

    def __init__(self, folder, instance, automation="eager", **settings):
        self.images, self.store, self.instance = folder / "images", folder / "store", instance
        self.cursor, self.keys = None, set()
        self.configure(automation=automation, **settings)

    def configure(self, automation="eager", **settings):
        """The definitions with these settings, as after an edit of the component."""
        self.defs = build_dedup_defs(self.images, self.store, automation=automation, workers=1, **settings)
        self.sensor = next(iter(self.defs.sensors or ()), None)
        self.repository = self.defs.get_repository_def()

    def settled(self):
        """As if the last seconds had passed without a change."""
        for path in (*self.images.rglob("*"), *self.store.glob("decisions.csv")):
            if path.is_file() and time.time() - path.stat().st_mtime < 10:
                os.utime(path, (path.stat().st_mtime - 60,) * 2)

    def tick(self):
        """One evaluation: what it asked for, and what it said."""
        reference = self.instance.get_ref() if self.instance.is_persistent else None
        with dg.build_sensor_context(
            instance=self.instance, instance_ref=reference, cursor=self.cursor, repository_def=self.repository
        ) as context:
            result = self.sensor.evaluate_tick(context)
        self.cursor = result.cursor
        for request in result.dynamic_partitions_requests or ():
            if isinstance(request, dg.AddDynamicPartitionsRequest):
                self.instance.add_dynamic_partitions(request.partitions_def_name, request.partition_keys)
            else:
                for key in request.partition_keys:
                    self.instance.delete_dynamic_partition(request.partitions_def_name, key)
        fresh = [request for request in result.run_requests if request.run_key not in self.keys]
        self.keys |= {request.run_key for request in fresh}
        return fresh, result.skip_message

    def ticks(self, count=3):
        """The assets made by each run that so many ticks started; None for a run that failed."""
        self.settled()
        return [self.run(request) for _ in range(count) for request in self.tick()[0]]

    def run(self, request=None, tags=None, assets=None, **config):
        """A run of what is requested, of these assets or of the whole chain, with this run config."""
        result = self.defs.resolve_job_def("deduplicate").execute_in_process(
            instance=self.instance,
            run_config={**QUIET, **config},
            asset_selection=[dg.AssetKey(name) for name in assets] if assets else request and request.asset_selection,
            tags=tags or (request and {**request.tags, "dagster/run_key": request.run_key or ""}),
            raise_on_error=False,
        )
        self.checks = {check.check_name: check for check in result.get_asset_check_evaluations()}
        self.failures = [
            event.step_failure_data.user_failure_data.description
            for event in result.all_events
            if event.is_step_failure
        ]
        made = [event.materialization for event in result.get_asset_materialization_events()]
        self.partitions = sorted(one.partition for one in made if one.partition is not None)
        return list(dict.fromkeys(one.asset_key.path[-1] for one in made)) if result.success else None

    def decide(self, text):
        """Write the reviewed file."""
        (self.store / "decisions.csv").write_text(f"image_id,decision\n{text}\n")


def copied(once, folder, instance, **settings):
    """A deployment over a copy of the folder of another, that has nothing to do."""
    shutil.copytree(once / "images", folder / "images")
    shutil.copytree(once / "store", folder / "store", symlinks=True)
    project = project_of(folder / "images", folder / "store")  # whose images are in another place
    note_dataset(project.store, "copied", configured(project, Thresholds()))
    deployment = Deployment(folder, instance, **settings)
    assert deployment.ticks() == []
    return deployment


def hold(store, run_id, seconds):
    """A process that holds the store for a run."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, store.folder, run_id, str(seconds)], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout.readline() == "held\n"
    return process


def kill_with_the_store(store, run_id):
    """Leave the store as a run does that is killed."""
    holder = hold(store, run_id, 60)
    holder.send_signal(signal.SIGKILL)
    holder.wait()
