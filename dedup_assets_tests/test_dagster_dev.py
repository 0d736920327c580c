"""A real `dagster dev`: a change is one run, runs of one store queue, datasets go side by side."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from contextlib import suppress
from pathlib import Path

import dagster as dg
import pytest

from dedup_assets_tests.pictures import put_photos

ROOT = Path(__file__).parent.parent
CHAIN = ["raw_images", "embeddings", "neighbours", "uniqueness_scores", "duplicates", "deduplicated_dataset"]
DEFINITIONS = """
from pathlib import Path

import dagster as dg

from dedup_assets import build_dedup_defs
from dedup_assets.automation import Automation

here = Path(__file__).parent
defs = dg.Definitions.merge(
    *(
        build_dedup_defs(
            here / name,
            here / f"{name}_store",
            key_prefix=name,
            automation=Automation("eager", look_every_seconds=2),
            batches=batches,
        )
        for name, batches in (("cats", "none"), ("dogs", "none"), ("birds", "folders"))
    )
)
"""
LAUNCH = """
mutation($job: String!) {
  launchRun(executionParams: {
    selector: {repositoryLocationName: "datasets.py", repositoryName: "__repository__", jobName: $job},
    runConfigData: "{}"
  }) { __typename ... on LaunchRunSuccess { run { runId } } ... on PythonError { message } }
}
"""
BACKFILL = """
mutation($job: String!, $partitions: [String!]!) {
  launchPartitionBackfill(backfillParams: {
    selector: {
      partitionSetName: $job,
      repositorySelector: {repositoryLocationName: "datasets.py", repositoryName: "__repository__"}
    },
    partitionNames: $partitions
  }) { __typename ... on LaunchBackfillSuccess { backfillId } ... on PythonError { message } }
}
"""


class Deployment:
    """Three datasets under a `dagster dev` of their own."""

    def __init__(self, folder):
        self.folder, self.home = folder, folder / "home"
        self.home.mkdir()
        shutil.copy(ROOT / "dagster.yaml", self.home)
        (folder / "datasets.py").write_text(DEFINITIONS)
        for name, first in (("cats", 0), ("dogs", 50), ("birds/day_1", 100), ("birds/day_2", 150)):
            put_photos(folder / name, range(first, first + 4))
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.instance = dg.DagsterInstance.from_config(str(self.home))  # makes its tables: two that do so at once fail
        command = [Path(sys.executable).with_name("dagster"), "dev", "-f", "datasets.py", "-p", str(self.port)]
        environment = {**os.environ, "DAGSTER_HOME": str(self.home), "PYTHONPATH": str(ROOT)}
        self.log = (folder / "log").open("w")
        self.process = subprocess.Popen(
            command, cwd=folder, env=environment, stdout=self.log, stderr=self.log, start_new_session=True
        )

    def stop(self):
        """End it with everything it started, which shares its process group."""
        for sign, seconds in ((signal.SIGINT, 30), (signal.SIGTERM, 10), (signal.SIGKILL, 10)):
            with suppress(ProcessLookupError):
                os.killpg(self.process.pid, sign)
            deadline = time.monotonic() + seconds
            while time.monotonic() < deadline and self.alive():
                time.sleep(0.2)
        self.log.close()
        self.instance.dispose()

    def alive(self):
        self.process.poll()
        try:
            os.killpg(self.process.pid, 0)
        except ProcessLookupError:
            return False
        return True

    def runs(self, name):
        """The runs of a dataset, oldest first."""
        records = self.instance.get_run_records(dg.RunsFilter(job_name=f"{name}_deduplicate"), ascending=True)
        return [record for record in records if record.dagster_run.job_name == f"{name}_deduplicate"]

    def ended(self, name, count, seconds=300):
        """The runs of a dataset once there are so many and all have ended."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            runs = self.runs(name)
            assert len(runs) <= count, [run.dagster_run.tags for run in runs]
            if len(runs) == count and all(run.end_time for run in runs):
                assert all(run.dagster_run.is_success for run in runs)
                return runs
            time.sleep(0.5)
        raise AssertionError(f"{len(self.runs(name))} runs of {name}, not {count}\n{(self.folder / 'log').read_text()}")

    def looked_again(self, name, times=5, seconds=120):
        """Wait until the sensor of a dataset has looked so many times more."""
        deadline, before = time.monotonic() + seconds, self.looks(name)
        while self.looks(name) <= before + times:  # one may have been going on
            assert time.monotonic() < deadline
            time.sleep(0.5)

    def looks(self, name):
        """How often the sensor of a dataset has looked."""
        sensor = f"{name}_deduplicate_when_changed"
        (state,) = (state for state in self.instance.all_instigator_state() if state.name == sensor)
        return len(self.instance.get_ticks(state.instigator_origin_id, state.selector_id))

    def made(self, run):
        logs = self.instance.all_logs(run.dagster_run.run_id, of_type=dg.DagsterEventType.ASSET_MATERIALIZATION)
        return [entry.dagster_event.asset_key.path[-1] for entry in logs]

    def left_queue(self, run):
        (entry,) = self.instance.all_logs(run.dagster_run.run_id, of_type=dg.DagsterEventType.RUN_STARTING)
        return entry.timestamp

    def launch(self, job):
        said = self.ask(LAUNCH, job=job)
        assert said["data"]["launchRun"]["__typename"] == "LaunchRunSuccess", said

    def backfill(self, job, partitions):
        said = self.ask(BACKFILL, job=f"{job}_partition_set", partitions=partitions)
        assert said["data"]["launchPartitionBackfill"]["__typename"] == "LaunchBackfillSuccess", said

    def ask(self, query, **variables):
        data = json.dumps({"query": query, "variables": variables}).encode()
        headers = {"Content-Type": "application/json"}
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}/graphql", data, headers)
        with urllib.request.urlopen(request, timeout=120) as answer:
            return json.load(answer)


@pytest.fixture(scope="module")
def deployment(tmp_path_factory):
    deployment = Deployment(tmp_path_factory.mktemp("dev"))
    yield deployment
    deployment.stop()
    assert not deployment.alive()


@pytest.mark.slow
def test_a_change_is_one_run_and_runs_of_one_store_never_overlap(deployment):
    (cats,), _ = deployment.ended("cats", 1), deployment.ended("dogs", 1)
    assert deployment.made(cats) == CHAIN

    put_photos(deployment.folder / "cats", [10])
    assert deployment.made(deployment.ended("cats", 2)[-1]) == CHAIN

    (deployment.folder / "cats_store" / "decisions.csv").write_text("image_id,decision\n000.png,keep\n")
    run = deployment.ended("cats", 3)[-1]
    assert deployment.made(run) == ["duplicates", "deduplicated_dataset"]
    assert run.dagster_run.tags["dedup_assets/because"] == "decisions"

    for name, runs in (("cats", 3), ("dogs", 1)):
        deployment.looked_again(name)
        deployment.ended(name, runs)

    for name in ("cats", "cats", "cats", "dogs"):
        deployment.launch(f"{name}_deduplicate")
    first, second, third = sorted(deployment.ended("cats", 6)[-3:], key=lambda run: run.start_time)
    assert first.end_time <= second.start_time
    assert second.end_time <= third.start_time
    dogs = deployment.ended("dogs", 2)[-1]
    assert deployment.left_queue(dogs) < deployment.left_queue(third), "a run of another dataset does not wait for them"


@pytest.mark.slow
def test_a_new_batch_is_a_partition_with_a_run_and_a_backfill_of_all_is_one_run(deployment):
    embeddings, partitions = dg.AssetKey(["birds", "embeddings"]), "birds_deduplicate_batches"
    (first,) = deployment.ended("birds", 1)
    assert deployment.made(first).count("embeddings") == 2
    assert deployment.instance.get_materialized_partitions(embeddings) == {"day_1", "day_2"}

    put_photos(deployment.folder / "birds" / "day_3", range(200, 203))
    new = deployment.ended("birds", 2)[-1]
    assert deployment.made(new) == CHAIN
    assert new.dagster_run.tags["dagster/partition"] == "day_3"
    every = list(deployment.instance.get_dynamic_partitions(partitions))
    assert every == ["day_1", "day_2", "day_3"]

    deployment.backfill("birds_deduplicate", every)
    run = deployment.ended("birds", 3)[-1]
    assert deployment.made(run).count("embeddings") == 3
    assert run.dagster_run.tags["dagster/backfill"]
    deployment.looked_again("birds")
    deployment.ended("birds", 3)
