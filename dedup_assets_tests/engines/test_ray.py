"""The Ray engine on a cluster of two CPUs on this machine: results in order, whatever happens to its workers."""

import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from dedup_assets.core.engines.base import RaySettings
from dedup_assets.core.engines.ray import RayEngine
from dedup_assets.core.errors import EngineError, SourceError
from dedup_assets_tests.engines import works

ray = pytest.importorskip("ray", reason="the Ray engine needs Ray: pip install 'dedup-assets[ray]'")

pytestmark = pytest.mark.slow

CPUS = 2
UV_RUN = "import subprocess, sys\nsys.exit(subprocess.call(sys.argv[1:]))"
ENVIRONMENT_OF_WORKERS = """
from dedup_assets.core.engines.base import RaySettings
from dedup_assets.core.engines.ray_cluster import connect
ray = connect(RaySettings(), 1, print)
print(dict(ray.get_runtime_context().runtime_env))
"""
SHARDS = [(start, start + 5) for start in range(0, 80, 5)]


@pytest.fixture(scope="module", autouse=True)
def cluster():
    """One cluster for all tests here, started by the first that needs it."""
    yield
    ray.shutdown()


@pytest.fixture
def engine(tmp_path):
    return RayEngine(str(tmp_path / "exchange"), RaySettings(), workers=CPUS)


@pytest.fixture
def work(tmp_path):
    """Goes through tasks."""
    trace = tmp_path / "trace"
    trace.mkdir()
    return works.Squares(np.arange(100), trace)


@pytest.fixture(params=[works.Squares, works.EmbedPictures], ids=["tasks", "pool"])
def any_work(request, work):
    """Goes through tasks, or a pool of actors."""
    return request.param(work.values, work.trace)


def slowly(work, seconds=0.2):
    return type(work)(work.values, work.trace, seconds)


def tries(work, shard):
    """The pids that began a shard, in order."""
    file = work.trace / f"{shard[0]:03d}"
    return [int(pid) for pid in file.read_text().split()] if file.exists() else []


def squares(results):
    return [values.tolist() for values, _ in results]


def test_results_come_in_the_order_of_the_shards(engine, work):
    assert squares(engine.each(work, iter(SHARDS))) == work.expected(SHARDS)
    assert os.getpid() not in {pid for shard in SHARDS for pid in tries(work, shard)}


def test_what_is_a_single_piece_is_done_in_this_process(engine, work):
    assert list(engine.each(work, [])) == []
    assert squares(engine.each(work, SHARDS[:1])) == work.expected(SHARDS[:1])
    assert tries(work, SHARDS[0]) == [os.getpid()]


def test_a_worker_killed_by_its_pid_leaves_the_result_whole(engine, any_work):
    work = slowly(any_work)
    results = engine.each(work, SHARDS)
    first = next(results)
    begun = [shard for shard in SHARDS if tries(work, shard)]
    victim = tries(work, begun[-1])[-1]
    os.kill(victim, signal.SIGKILL)
    assert squares([first, *results]) == work.expected(SHARDS)
    pids = {pid for shard in SHARDS for pid in tries(work, shard)}
    assert len(pids) > 1 or victim not in pids


def test_what_an_earlier_run_finished_is_not_done_again(engine, work):
    results = engine.each(slowly(work, 0.05), SHARDS)
    taken = [next(results) for _ in range(4)]
    results.close()
    assert squares(taken) == work.expected(SHARDS[:4])
    assert squares(engine.each(slowly(work, 0.05), SHARDS)) == work.expected(SHARDS)
    assert [len(tries(work, shard)) for shard in SHARDS[:4]] == [1, 1, 1, 1]


def test_a_finished_piece_of_work_needs_no_cluster_again(engine, work, tmp_path):
    list(engine.each(work, SHARDS))
    unreachable = RayEngine(str(tmp_path / "exchange"), RaySettings(address="ray://nowhere.invalid:10001"))
    assert squares(unreachable.each(work, SHARDS)) == work.expected(SHARDS)


def test_an_error_that_names_the_remedy_arrives_as_it_was_raised(engine):
    with pytest.raises(SourceError, match="shard 7 is behind a closed door"):
        list(engine.each(works.Refuses(), [7, 7]))


def test_a_mistake_in_the_work_is_told_with_its_place(engine):
    with pytest.raises(EngineError, match=r"(?s)Breaks failed on a Ray worker: ZeroDivisionError.*works\.py"):
        list(engine.each(works.Breaks(), [1, 2]))


def test_a_shard_that_kills_its_workers_ends_the_run(engine):
    with pytest.raises(EngineError, match="the Ray cluster could not do piece 000000"):
        list(engine.each(works.Dies(), [1, 2]))


def test_stopping_early_lets_what_is_ahead_finish_and_begins_nothing_more(engine, work):
    results = engine.each(slowly(work, 0.3), SHARDS)
    next(results)
    results.close()
    time.sleep(5.0)  # long enough for all of them
    ahead = 2 * CPUS + 1
    assert sum(bool(tries(work, shard)) for shard in SHARDS) <= 1 + ahead < len(SHARDS)


def test_workers_of_a_run_under_uv_have_its_own_python_and_no_copy_of_the_current_folder(tmp_path):
    (tmp_path / "run").write_text(UV_RUN)  # what Ray looks for is a process above that was called as `uv run`
    program = [sys.executable, "-c", ENVIRONMENT_OF_WORKERS]
    said = subprocess.run(
        ["uv", "run", *program],
        executable=sys.executable,
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert said.stdout.splitlines()[1:] == ["{}"], said
