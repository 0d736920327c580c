"""Runs that are killed, run side by side, or lose their footing: the next one ends as if nothing had happened."""

import os
import subprocess
import sys
import time

import pytest

from dedup_assets.core import schema
from dedup_assets_tests.chain import RESULTS, chain_in
from dedup_assets_tests.pictures import exif, grain, photo, put, put_photos

RUN = """
import sys
from pathlib import Path
from dedup_assets_tests.chain import chain_in
chain = chain_in(Path(sys.argv[1]), Path(sys.argv[2]), placement="copy")
print("ready", flush=True)
chain.run()
"""


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    folder = tmp_path_factory.mktemp("faults") / "images"
    put_photos(folder, range(120))
    for number in range(40):
        put(photo(number), folder / "copies" / f"{number}.bmp")
        put(grain(number, (600, 400)), folder / "large" / f"{number}.jpg")
        put(grain(number, (600, 400)), folder / "text" / f"{number}.jpg", exif=exif(text="other bytes"))
    (folder / "broken.jpg").write_text("text")
    return folder


def start(folder, images):
    """A whole run in another process, about to begin."""
    process = subprocess.Popen([sys.executable, "-c", RUN, folder, images], stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "ready\n"
    return process


@pytest.fixture(scope="module")
def undisturbed(images, tmp_path_factory):
    """How long a whole run takes, and what it leaves."""
    folder = tmp_path_factory.mktemp("undisturbed")
    process, started = start(folder, images), time.monotonic()
    assert process.wait(300) == 0
    return time.monotonic() - started, left_by(chain_in(folder, images))


def left_by(chain):
    """All tables but for times and runs, and every file of the datasets but for the summaries."""
    files = {
        path.relative_to(chain.store.datasets).as_posix(): path.read_bytes()
        for path in chain.store.datasets.rglob("*")
        if path.is_file() and path.name != "summary.json"
    }
    return chain.results([*RESULTS, schema.FILE_FACTS, schema.REMOVALS, schema.DATASETS]), files


@pytest.mark.slow
@pytest.mark.parametrize("share", [0.02, 0.1, 0.2, 0.35, 0.5, 0.65, 0.8, 0.9, 0.97])
def test_a_killed_run_is_made_whole_by_the_next(images, undisturbed, tmp_path, share):
    seconds, whole = undisturbed
    process = start(tmp_path, images)
    time.sleep(seconds * share)
    process.kill()
    process.wait()
    chain = chain_in(tmp_path, images, placement="copy")
    chain.run()
    assert left_by(chain) == whole
    assert not [path for path in chain.store.folder.rglob("*") if path.name.startswith(".")]


@pytest.mark.slow
def test_a_store_killed_over_and_over_is_made_whole_in_the_end(images, undisturbed, tmp_path):
    seconds, whole = undisturbed
    for share in (0.05, 0.3, 0.15, 0.5, 0.25, 0.7):
        process = start(tmp_path, images)
        time.sleep(seconds * share)
        process.kill()
        process.wait()
    chain = chain_in(tmp_path, images, placement="copy")
    chain.run()
    assert left_by(chain) == whole


@pytest.mark.slow
def test_two_whole_runs_at_once_end_as_one(images, undisturbed, tmp_path):
    processes = [start(tmp_path, images) for _ in range(2)]
    assert [process.wait(300) for process in processes] == [0, 0]
    assert left_by(chain_in(tmp_path, images)) == undisturbed[1]


def test_a_file_that_changes_between_listing_and_reading_does_not_stop_the_run(tmp_path, monkeypatch):
    chain = chain_in(tmp_path)
    put_photos(chain.images, range(3))
    listed = os.scandir

    def vanishes(folder):
        (chain.images / "002.png").unlink(missing_ok=True)
        return listed(folder)

    chain.run()
    put_photos(chain.images, [2, 3])
    monkeypatch.setattr(
        "dedup_assets.core.sources.folder.path_of", lambda root, image: root / image.replace("003", "gone")
    )
    monkeypatch.setattr(os, "scandir", vanishes)
    chain.run()
    assert {image: row["status"] for image, row in chain.rows().items()} == {
        "000.png": "ok",
        "001.png": "ok",
        "003.png": "vanished",
    }


def test_a_cache_that_was_thrown_away_is_made_again(tmp_path):
    chain = chain_in(tmp_path)
    put_photos(chain.images, range(3))
    chain.run()
    before = chain.results()
    for name in ("sketches", "vectors", "comparisons"):
        for path in (chain.store.folder / name).rglob("*.npy"):
            path.unlink()
    put_photos(chain.images, [3])
    summaries = chain.run()
    assert summaries["embeddings"].computed == 4
    (chain.images / "003.png").unlink()
    chain.run()
    assert chain.results() == before
