"""A run holds its store from its first step to its last, whatever process its steps are."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
from dataclasses import replace

import dagster as dg
import pytest

from dedup_assets import build_dedup_defs
from dedup_assets import lease as lease_of_run
from dedup_assets.core.errors import DedupError, StoreError
from dedup_assets.core.project import project_of
from dedup_assets.core.settings import Thresholds
from dedup_assets.core.storage import lease as lease_module
from dedup_assets.core.storage import store as store_module
from dedup_assets.core.storage.process import told
from dedup_assets.core.storage.store import Store
from dedup_assets.jobs import run_job
from dedup_assets_tests.chain import chain_in
from dedup_assets_tests.deployment import hold, kill_with_the_store
from dedup_assets_tests.pictures import put_photos

RUN = """
import json, sys
import dagster as dg
from dedup_assets import build_dedup_defs
job = build_dedup_defs(sys.argv[1], sys.argv[2], workers=1).resolve_job_def("deduplicate")
print("ready", flush=True)
sys.stdin.readline()
with dg.DagsterInstance.ephemeral() as instance:
    result = job.execute_in_process(
        instance=instance, run_config={"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}
    )
    logged = instance.all_logs(result.run_id)
events = [(entry.timestamp, entry.dagster_event) for entry in logged if entry.dagster_event]
times = [time for time, event in events if event.is_step_start or event.is_step_success]
print(json.dumps([min(times), max(times), len(times)]))
"""

OWN_JOB = """
import sys
import dagster as dg
from dedup_assets_tests.test_lease import own_job
if __name__ == "__main__":
    with dg.DagsterInstance.local_temp(sys.argv[1], {"telemetry": {"enabled": False}}) as instance:
        dg.execute_job(dg.reconstructable(own_job), instance)
"""


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path / "store")


@contextlib.contextmanager
def between_two_processes(store, run_id):
    """The store as a run leaves it that goes on in another process."""
    with store.exclusively(lease=replace(store.lease(run_id), hands_on=lambda: True)):
        pass
    yield


def test_who_waits_is_told_which_run_has_the_store(store):
    holder = hold(store, "0123456789", 1)
    heard = []
    with store.exclusively(heard.append):
        assert holder.wait(30) == 0
    assert heard == [f"another run (01234567) is using the store '{store.folder}'; waiting for it to end"]


def test_a_killed_run_counts_as_gone(store):
    holder = hold(store, "0123456789", 60)
    assert store.lease().busy()
    holder.send_signal(signal.SIGKILL)
    holder.wait()
    heard = []
    assert not store.lease().busy()
    with store.exclusively(heard.append, store.lease("other")):
        pass
    assert heard == []


def test_the_run_that_was_killed_with_the_store_is_known_until_another_takes_it(store):
    with store.exclusively(lease=store.lease("0123456789")):
        assert store.lease().killed() is None
    kill_with_the_store(store, "0123456789")
    assert store.lease().killed() == "0123456789"
    with store.exclusively(lease=store.lease("other")):
        assert store.lease().killed() is None
    assert store.lease().killed() is None
    with between_two_processes(store, "a"):
        assert store.lease().killed() is None


def test_a_run_whose_steps_are_processes_has_not_ended_for_the_loss_of_one(store):
    for led_by, killed in ((told(os.getpid()), None), ("", None), (ended(), "a")):
        with store.exclusively(lease=replace(store.lease("a"), led_by=led_by)):
            assert store.lease().killed() is None
            note = (store.folder / "run.json").read_text()
        (store.folder / "run.json").write_text(note)  # as a step leaves it that is killed
        assert store.lease().killed() == killed
        with store.exclusively(lease=replace(store.lease("a"), led_by=led_by, hands_on=lambda: True)):
            pass
        assert store.lease().killed() == killed, "between two steps"


def ended():
    """A process that is no more."""
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    said = told(process.pid)
    process.communicate(b"\n")
    return said


def test_work_inside_a_run_goes_on_at_once(store):
    with store.exclusively(lease=store.lease("a")), store.exclusively(), store.exclusively():
        store.set_fact("a", "1")
    assert not store.lease().busy()


def test_between_two_processes_of_a_run_others_wait(store, monkeypatch):
    monkeypatch.setattr(store_module, "_WAIT_SECONDS", 0.3)
    with between_two_processes(store, "a"):
        assert store.lease().busy()
        with pytest.raises(StoreError, match="still in use by another run"), store.exclusively():
            pass
        with pytest.raises(StoreError), store.exclusively(lease=store.lease("b")):
            pass


def test_the_next_process_of_the_run_goes_on_at_once_and_at_its_end_the_store_is_free(store):
    heard = []
    with between_two_processes(store, "a"), store.exclusively(heard.append, store.lease("a")):
        pass
    assert heard == []
    assert not store.lease().busy()


def test_a_run_whose_next_process_never_comes_counts_as_gone(store, monkeypatch):
    monkeypatch.setattr(lease_module, "HANDED_ON_SECONDS", 0.3)
    with between_two_processes(store, "a"):
        assert store.lease().busy()
        with store.exclusively():
            pass
    assert not store.lease().busy()


def test_a_run_that_is_known_to_have_ended_is_not_waited_for(store):
    with between_two_processes(store, "a"):
        heard = []
        with store.exclusively(heard.append, replace(store.lease("b"), is_over=lambda run_id: run_id == "a")):
            pass
        assert heard == []


def test_a_note_that_cannot_be_read_keeps_nobody_out(store):
    store.folder.mkdir()
    (store.folder / "run.json").write_text("{")
    with store.exclusively():
        pass


def test_a_job_waits_for_the_run_that_has_the_store_and_says_so(store, tmp_path, monkeypatch):
    put_photos(tmp_path / "images", range(3))
    monkeypatch.setattr(store_module, "_WAIT_SECONDS", 0.3)
    holder, heard = hold(store, "0123456789", 60), []
    with pytest.raises(DedupError, match="still in use by another run after"):
        run_job(project_of(tmp_path / "images", store.folder), Thresholds(), on_notice=heard.append)
    holder.kill()
    holder.wait()
    assert heard == [f"another run (01234567) is using the store '{store.folder}'; waiting for it to end"]


def test_a_dagster_run_gives_the_store_back_when_it_fails(store, tmp_path):
    job = build_dedup_defs(tmp_path / "nowhere", store.folder).resolve_job_def("deduplicate")
    with dg.DagsterInstance.ephemeral() as instance:
        assert not job.execute_in_process(instance=instance, raise_on_error=False).success
    assert not store.lease().busy()
    assert not (store.folder / "run.json").exists()


@pytest.mark.slow
def test_the_steps_of_two_runs_never_alternate(store, tmp_path):
    put_photos(tmp_path / "images", range(8))
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", RUN, tmp_path / "images", store.folder],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(2)
    ]
    for process in processes:
        assert process.stdout.readline() == "ready\n"
    for process in processes:
        process.stdin.write("\n")
        process.stdin.flush()
    spans = sorted(json.loads(process.communicate(timeout=300)[0]) for process in processes)
    assert all(events > 10 for _, _, events in spans)
    assert spans[0][1] <= spans[1][0]


def own_job():
    """The chain as a job with Dagster's default executor: each step is a process of its own."""
    defs = build_dedup_defs(os.environ["LEASE_IMAGES"], os.environ["LEASE_STORE"], workers=1)
    assets = dg.AssetSelection.all() - dg.AssetSelection.all_asset_checks()
    job = dg.define_asset_job("own", assets, executor_def=dg.multiprocess_executor)
    return dg.Definitions.merge(defs, dg.Definitions(jobs=[job])).resolve_job_def("own")


@pytest.mark.slow
def test_a_run_whose_steps_are_processes_ends_at_the_next_tick_once_all_of_them_were_killed(store, tmp_path):
    put_photos(tmp_path / "images", range(3))
    settings = {"telemetry": {"enabled": False}}
    environment = {**os.environ, "LEASE_IMAGES": str(tmp_path / "images"), "LEASE_STORE": str(store.folder)}
    with dg.DagsterInstance.local_temp(str(tmp_path), settings) as instance:
        run = subprocess.Popen([sys.executable, "-c", OWN_JOB, tmp_path], env=environment, start_new_session=True)
        deadline = time.monotonic() + 120
        while not (store.folder / "run.json").exists() and time.monotonic() < deadline:
            time.sleep(0.05)
        lease_of_run.end_killed(store, instance)
        (going,) = instance.get_runs()
        assert going.status == dg.DagsterRunStatus.STARTED
        os.killpg(run.pid, signal.SIGKILL)
        run.wait()
        while store.lease().busy() and 'until": 0.0' in (store.folder / "run.json").read_text():
            time.sleep(0.05)
        lease_of_run.end_killed(store, instance)
        assert instance.get_run_by_id(going.run_id).status == dg.DagsterRunStatus.FAILURE


@pytest.mark.slow
def test_a_run_whose_steps_are_processes_keeps_the_store_from_the_first_to_the_last(tmp_path, monkeypatch):
    chain = chain_in(tmp_path)
    put_photos(chain.images, range(10))
    monkeypatch.setenv("LEASE_IMAGES", str(chain.images))
    monkeypatch.setenv("LEASE_STORE", str(chain.store.folder))
    seen, over = [], threading.Event()

    def watch():
        while not over.wait(0.02):
            seen.append((time.time(), chain.store.lease().busy()))

    watcher = threading.Thread(target=watch)
    settings = {"telemetry": {"enabled": False}}
    with dg.DagsterInstance.local_temp(str(tmp_path), settings) as instance:
        watcher.start()
        try:
            result = dg.execute_job(dg.reconstructable(own_job), instance)
        finally:
            over.set()
            watcher.join()
        assert result.success
        logged = [(entry.timestamp, entry.dagster_event) for entry in instance.all_logs(result.run_id)]
    steps = [(when, event) for when, event in logged if event and (event.is_step_start or event.is_step_success)]
    assert len({event.pid for _, event in steps if event.is_step_start}) == len(steps) // 2 == 6
    first, last = min(when for when, _ in steps), max(when for when, _ in steps)
    between = [busy for when, busy in seen if first < when < last]
    assert len(between) > 100
    assert all(between)
    assert not chain.store.lease().busy()
    assert not (chain.store.folder / "run.json").exists()
    alone = chain_in(tmp_path / "alone", chain.images)
    alone.run()
    assert chain.results() == alone.results()
