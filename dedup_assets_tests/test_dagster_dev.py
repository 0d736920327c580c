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
LOOK_SECONDS = 5
DEFINITIONS = """
from pathlib import Path

import dagster as dg

from dedup_assets import build_dedup_defs
from dedup_assets.automation import Automation

here = Path(__file__).parent
defs = dg.Definitions.merge(
    *(
        build_dedup_defs(
            here / name, here / f"{name}_store", key_prefix=name, automation=Automation("eager", look_every_seconds=5)
        )
        for name in ("cats", "dogs")
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


class Deployment:
    """Two datasets under a `dagster dev` of their own."""

    def __init__(self, folder):
        self.folder, self.home = folder, folder / "home"
        self.home.mkdir()
        shutil.copy(ROOT / "dagster.yaml", self.home)
        (folder / "datasets.py").write_text(DEFINITIONS)
        for name, first in (("cats", 0), ("dogs", 50)):
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

    def made(self, run):
        logs = self.instance.all_logs(run.dagster_run.run_id, of_type=dg.DagsterEventType.ASSET_MATERIALIZATION)
        return [entry.dagster_event.asset_key.path[-1] for entry in logs]

    def launch(self, job):
        data = json.dumps({"query": LAUNCH, "variables": {"job": job}}).encode()
        headers = {"Content-Type": "application/json"}
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}/graphql", data, headers)
        with urllib.request.urlopen(request, timeout=120) as answer:
            said = json.load(answer)
        assert said["data"]["launchRun"]["__typename"] == "LaunchRunSuccess", said


@pytest.fixture(scope="module")
def deployment(tmp_path_factory):
    deployment = Deployment(tmp_path_factory.mktemp("dev"))
    yield deployment
    deployment.stop()
    assert not deployment.alive()


@pytest.mark.slow
def test_a_change_is_one_run_and_runs_of_one_store_never_overlap(deployment):
    (cats,), (dogs,) = deployment.ended("cats", 1), deployment.ended("dogs", 1)
    assert deployment.made(cats) == CHAIN
    assert cats.start_time < dogs.end_time, "two datasets go side by side"
    assert dogs.start_time < cats.end_time, "two datasets go side by side"

    put_photos(deployment.folder / "cats", [10])
    assert deployment.made(deployment.ended("cats", 2)[-1]) == CHAIN

    (deployment.folder / "cats_store" / "decisions.csv").write_text("image_id,decision\n000.png,keep\n")
    run = deployment.ended("cats", 3)[-1]
    assert deployment.made(run) == ["duplicates", "deduplicated_dataset"]
    assert run.dagster_run.tags["dedup_assets/because"] == "decisions"

    time.sleep(5 * LOOK_SECONDS)
    deployment.ended("cats", 3)
    deployment.ended("dogs", 1)

    for _ in range(2):
        deployment.launch("cats_deduplicate")
    *_, first, second = sorted(deployment.ended("cats", 5), key=lambda run: run.start_time)
    assert first.end_time <= second.start_time
