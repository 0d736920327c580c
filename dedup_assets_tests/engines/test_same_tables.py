"""The contract of engines: the same cases through both leave the same tables, byte for byte, whatever is lost.

One Ray cluster of two CPUs serves all cases. Pieces are made so small that each step has several.
"""

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from dedup_assets.core.detection import comparing
from dedup_assets.core.engines import ray as ray_engine
from dedup_assets.core.steps import embeddings
from dedup_assets.core.storage import schema
from dedup_assets_tests.chain import chain_in
from dedup_assets_tests.pictures import grain, photo, put, put_photos

ray = pytest.importorskip("ray", reason="the Ray engine needs Ray: pip install 'dedup-assets[ray]'")

pytestmark = pytest.mark.slow

TABLES = (schema.CONTENT_PAIRS, schema.CONTENT_NEAREST, schema.PAIRS, schema.SCORES, schema.TAGS)


@pytest.fixture(scope="module", autouse=True)
def cluster():
    """One cluster for all tests here, started by the first that needs it."""
    yield
    ray.shutdown()


@pytest.fixture(autouse=True)
def small_pieces(monkeypatch):
    """Several pieces for every kind of work on a hundred pictures."""
    monkeypatch.setattr(ray_engine, "_SHARDS_OF_PIECE", {})
    monkeypatch.setattr(ray_engine, "_PIECES_WORTH_A_CLUSTER", 1)
    monkeypatch.setattr(ray_engine, "_PIECES_WORTH_A_POOL", 1)
    monkeypatch.setattr(embeddings, "CHUNK", 16)
    monkeypatch.setattr(comparing, "_CHUNK", 8)


@pytest.fixture
def without_pool(monkeypatch):
    """Tasks for all work: pools take long to start, and have their own test."""
    monkeypatch.setattr(ray_engine, "_POOLED", ())


def make_images(folder):
    """Photos, copies of them in other formats, near duplicates, and files that cannot be read."""
    put_photos(folder, range(60))
    for seed in range(0, 60, 6):
        put(photo(seed), folder / "copies" / f"{seed}.bmp")
        put(photo(seed), folder / "near" / f"{seed}.jpg", quality=60)
        put(photo(seed).crop((2, 2, 62, 46)), folder / "cropped" / f"{seed}.png")
    put(grain(1), folder / "grain.png")
    (folder / "broken.jpg").write_text("text")
    (folder / "empty.png").write_text("")


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    folder = tmp_path_factory.mktemp("contract") / "images"
    make_images(folder)
    return folder


@pytest.fixture(scope="module")
def local(images, tmp_path_factory):
    """The chain by the local engine."""
    chain = chain_in(tmp_path_factory.mktemp("local"), images)
    chain.run()
    return chain


def on_ray(folder, images, **settings):
    return chain_in(folder, images, engine="ray", workers=2, **settings)


def workers_of(kind):
    """The pids of Ray's processes at work on something of that name."""
    titles = {}
    for process in Path("/proc").glob("[0-9]*"):
        try:
            titles[int(process.name)] = (process / "cmdline").read_bytes().split(b"\0")[0].decode()
        except OSError:
            continue
    return [pid for pid, title in titles.items() if title.startswith("ray::") and kind in title]


@contextlib.contextmanager
def killing_one_of_each(*kinds):
    """While the block runs, the first worker seen of every kind is killed; the pids of those that were."""
    killed, over = {}, threading.Event()

    def look():
        while not over.wait(0.01):
            for kind in kinds:
                for pid in workers_of(kind)[:1] if kind not in killed else ():
                    os.kill(pid, signal.SIGKILL)
                    killed[kind] = pid

    killer = threading.Thread(target=look)
    killer.start()
    try:
        yield killed
    finally:
        over.set()
        killer.join()


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="finds Ray's processes in /proc")
def test_both_engines_leave_the_same_tables_though_workers_are_killed(local, images, tmp_path):
    chain, said = on_ray(tmp_path, images), []
    with killing_one_of_each("MapWorker", "fulfil") as killed:
        summaries = chain.run(say=said.append)
    assert set(killed) == {"MapWorker", "fulfil"}
    assert chain.results() == local.results()
    assert len(chain.store.read(schema.PAIRS)) > 20
    assert summaries["raw_images"].read == 93
    assert any("using a Ray cluster started on this machine: 2 CPUs" in sentence for sentence in said)
    assert not Path(chain.project.exchange).exists()


def test_new_images_are_compared_on_ray_as_they_are_here(local, images, tmp_path, without_pool):
    folder = tmp_path / "images"
    shutil.copytree(images, folder)
    for path in (folder / "near").iterdir():
        path.rename(tmp_path / path.name)
    chain = on_ray(tmp_path, folder)
    chain.run()
    for path in tmp_path.glob("*.jpg"):
        path.rename(folder / "near" / path.name)
    summaries = chain.run()
    assert 0 < summaries["neighbours"].searched < 60
    assert chain.results(TABLES) == local.results(TABLES)


DRIVER = """
import sys
from dedup_assets.core.engines import ray as engine
from dedup_assets_tests.chain import chain_in
from pathlib import Path
engine._PIECES_WORTH_A_CLUSTER, engine._POOLED = 1, ()
chain_in(Path(sys.argv[1]), Path(sys.argv[2]), engine="ray", workers=2).run()
"""


def test_a_driver_lost_in_the_middle_leaves_the_old_state_and_the_next_run_finishes(
    local, images, tmp_path, without_pool
):
    folder = tmp_path / "images"
    shutil.copytree(images, folder, ignore=shutil.ignore_patterns("near", "cropped"))
    chain = chain_in(tmp_path, folder)
    chain.run()
    before = chain.results()
    shutil.copytree(images, folder, dirs_exist_ok=True)
    exchange = Path(chain.project.exchange)
    driver = subprocess.Popen([sys.executable, "-c", DRIVER, str(tmp_path), str(folder)], stderr=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + 240
        while not list(exchange.rglob("*.parquet")):
            assert driver.poll() is None, "the driver ended before it could be killed"
            assert time.monotonic() < deadline
            time.sleep(0.02)
    finally:
        driver.kill()
        driver.wait()
    assert chain.results() == before
    on_ray(tmp_path, folder).run()
    assert chain.results(TABLES) == local.results(TABLES)
    assert not exchange.exists()
