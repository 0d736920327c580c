"""A search that was killed on this machine is taken up where it was: finished strips are not searched again."""

import json
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from dedup_assets.core.detection import search
from dedup_assets.core.engines.exchange import MANIFEST
from dedup_assets.core.engines.local import LocalEngine
from dedup_assets_tests.chain import chain_in
from dedup_assets_tests.engines import works
from dedup_assets_tests.pictures import photo, put

STRIP, IMAGES, FINISHED = 4, 48, 7
SHARDS = [(start, start + 5) for start in range(0, 80, 5)]

RUN = f"""
import sys, time
from pathlib import Path
from dedup_assets.core.detection import search
from dedup_assets.core.engines import exchange
from dedup_assets_tests.chain import chain_in
search.STRIP, exchange._MANIFEST_SECONDS = {STRIP}, 0
kind = getattr(search, sys.argv[3])
searched = kind.__call__
first = lambda strip: strip.rows[0] if isinstance(strip, search.ViewStrip) else strip[0]
kind.__call__ = lambda work, strip: searched(work, strip) if first(strip) < {STRIP * FINISHED} else time.sleep(600)
chain_in(Path(sys.argv[1]), Path(sys.argv[2])).run()
"""


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    folder = tmp_path_factory.mktemp("photos")
    for seed in range(IMAGES - 4):
        put(photo(seed), folder / f"{seed:02d}.png")
    for seed in range(4):
        put(photo(seed).point(lambda level: level * 0.9), folder / f"darker_{seed}.png")
    return folder


@pytest.fixture
def searched(monkeypatch):
    """The strips that are searched in this process, by the search."""
    seen = {"ViewSearch": [], "FrameSearch": []}
    monkeypatch.setattr(search, "STRIP", STRIP)
    for kind in (search.ViewSearch, search.FrameSearch):

        def counted(work, strip, kind=kind, look=kind.__call__):
            seen[kind.__name__].append(strip.rows[0] if isinstance(strip, search.ViewStrip) else strip[0])
            return look(work, strip)

        monkeypatch.setattr(kind, "__call__", counted)
    return seen


def named(exchange):
    return {
        manifest.parent.name.partition("-")[0]: len(json.loads(manifest.read_text())["results"])
        for manifest in exchange.rglob(MANIFEST)
    }


@pytest.mark.parametrize("kind", ["ViewSearch", "FrameSearch"])
def test_a_run_killed_in_a_search_is_taken_up_by_the_next(kind, images, searched, tmp_path):
    chain = chain_in(tmp_path, images)
    exchange = Path(chain.project.exchange)
    killed = subprocess.Popen([sys.executable, "-c", RUN, str(tmp_path), str(images), kind])
    try:
        deadline = time.monotonic() + 240
        while named(exchange).get(kind) != FINISHED:
            assert killed.poll() is None, "the run ended before it could be killed"
            assert time.monotonic() < deadline
            time.sleep(0.05)
    finally:
        killed.kill()
        killed.wait()
    chain.run()
    every = list(range(0, IMAGES, STRIP))
    assert searched[kind] == every[FINISHED:]
    assert searched["ViewSearch"] == (every[FINISHED:] if kind == "ViewSearch" else [])
    assert not exchange.exists()
    undisturbed = chain_in(tmp_path / "undisturbed", images)
    undisturbed.run()
    assert chain.results() == undisturbed.results()


@pytest.fixture
def work(tmp_path):
    (tmp_path / "trace").mkdir()
    return works.ViewSearch(np.arange(100), tmp_path / "trace")


def done(work):
    """How often each shard was begun."""
    return [len((work.trace / f"{start:03d}").read_text().split()) for start, _ in SHARDS]


@pytest.mark.parametrize("workers", [1, 3])
def test_what_is_kept_comes_in_the_order_of_the_shards_and_is_not_done_again(workers, work, tmp_path):
    engine = LocalEngine(workers, str(tmp_path / "exchange"))
    for _ in range(2):
        assert [values.tolist() for values, _ in engine.each(work, SHARDS)] == work.expected(SHARDS)
    assert set(done(work)) == {1}


def test_a_damaged_result_is_made_again(work, tmp_path):
    engine = LocalEngine(1, str(tmp_path / "exchange"))
    list(engine.each(work, SHARDS))
    damaged = min((tmp_path / "exchange").rglob("*.parquet"))
    damaged.write_bytes(bytes(damaged.stat().st_size))
    assert [values.tolist() for values, _ in engine.each(work, SHARDS)] == work.expected(SHARDS)
    assert done(work) == [2] + [1] * (len(SHARDS) - 1)


def test_a_few_shards_are_not_worth_keeping(work, tmp_path):
    list(LocalEngine(1, str(tmp_path / "exchange")).each(work, SHARDS[:3]))
    assert not (tmp_path / "exchange").exists()
