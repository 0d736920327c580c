"""Runs that are killed, run side by side, or lose their footing: the next one ends as if nothing had happened."""

import os
import random
import signal
import time

import pandas as pd
import pytest

from dedup_assets.core.datasets import CURRENT
from dedup_assets.core.errors import DedupError
from dedup_assets.core.run import Run
from dedup_assets.core.steps import collect_duplicates, write_dataset
from dedup_assets.core.storage import schema
from dedup_assets_tests.chain import RESULTS, chain_in, dataset_folder, only_dataset
from dedup_assets_tests.pictures import exif, grain, photo, put, put_photos

DECISIONS = ("cropped/12.png,remove,012.png", "cropped/13.png,keep,", "cropped/15.png,not_duplicate,015.png")


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    folder = tmp_path_factory.mktemp("faults") / "images"
    put_photos(folder, range(60))
    for number in range(20):
        put(photo(number), folder / "copies" / f"{number}.bmp")
        put(grain(number, (600, 400)), folder / "large" / f"{number}.jpg")
        put(grain(number, (600, 400)), folder / "text" / f"{number}.jpg", exif=exif(text="other bytes"))
    (folder / "broken.jpg").write_text("text")
    return folder


@pytest.fixture(scope="module")
def undisturbed(images, tmp_path_factory):
    """How long a whole run takes, and what it leaves."""
    chain = chain_in(tmp_path_factory.mktemp("undisturbed"), images, placement="copy")
    process, started = chain.start(), time.monotonic()
    assert process.wait(300) == 0
    return time.monotonic() - started, left_by(chain)


def left_by(chain):
    """All tables but for times and runs, and every file of the datasets but for the summaries."""
    tables = (*RESULTS, schema.FILE_FACTS, schema.REMOVALS, schema.DATASETS)
    return chain.results(tables), files_under(chain.store.datasets)


def files_of(chain):
    """Every file of the dataset as it is now, but for the summary."""
    return files_under(chain.store.datasets / "deduplicated" / CURRENT)


def files_under(folder):
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and path.name != "summary.json"
    }


def unfinished(chain):
    """What a killed run left half written."""
    return [path for path in chain.store.folder.rglob("*") if path.name.startswith(".")]


def killed_after(seconds, process):
    """Kill the run once so many seconds have passed; whether it had not ended by itself before."""
    time.sleep(seconds)
    process.kill()
    return process.wait() == -signal.SIGKILL


@pytest.mark.slow
@pytest.mark.parametrize("share", [0.05, 0.25, 0.5, 0.75, 0.95])
def test_a_killed_run_is_made_whole_by_the_next(images, undisturbed, tmp_path, share):
    seconds, whole = undisturbed
    chain = chain_in(tmp_path, images, placement="copy")
    killed_after(seconds * share, chain.start())
    chain.run()
    assert left_by(chain) == whole
    assert not unfinished(chain)


def arrive(images):
    put_photos(images / "new", range(20, 30))
    for number in range(10, 20):
        put(photo(number), images / "copies" / f"{number}.bmp")
        put(photo(number).crop((2, 2, 62, 46)), images / "cropped" / f"{number}.png")


def change_move_and_leave(images):
    put(photo(90), images / "010.png")  # the copy of what it was takes its place
    (images / "012.png").rename(images / "new" / "moved.png")
    for name in ("001.png", "011.png", "cropped/14.png"):
        (images / name).unlink()


def nothing(images):
    pass


CHANGES = ((nothing, ()), (arrive, ()), (nothing, DECISIONS), (change_move_and_leave, DECISIONS[:2]))


@pytest.mark.slow
def test_runs_killed_at_random_times_over_a_chain_of_changes_leave_in_the_end_what_undisturbed_ones_do(tmp_path):
    images, chance, died = tmp_path / "images", random.Random(5), 0
    put_photos(images, range(20))
    settings = {"placement": "copy", "keeper_order": ["split", "resolution", "bytes", "image_id"]}
    undisturbed, disturbed = (chain_in(tmp_path / name, images, **settings) for name in ("undisturbed", "disturbed"))
    for change, decisions in CHANGES:
        change(images)
        for chain in (undisturbed, disturbed):
            chain.decide(*decisions)
        started = time.monotonic()
        undisturbed.run()
        seconds = time.monotonic() - started
        for _ in range(2):
            died += killed_after(chance.uniform(0, seconds), disturbed.start())
        if decisions:
            disturbed.run()
    assert died >= len(CHANGES), "too few runs were still going on when their time had come"
    assert disturbed.outcome() == undisturbed.outcome()
    assert files_of(disturbed) == files_of(undisturbed)
    assert not unfinished(disturbed)


@pytest.mark.slow
def test_two_whole_runs_at_once_end_as_one(images, undisturbed, tmp_path):
    chain = chain_in(tmp_path, images, placement="copy")
    processes = [chain.start() for _ in range(2)]
    assert [process.wait(300) for process in processes] == [0, 0]
    assert left_by(chain) == undisturbed[1]


@pytest.mark.parametrize("placement", ["symlink", "copy"])
def test_a_keeper_that_changed_since_the_scan_stops_the_dataset_that_leaves_its_copy_out(tmp_path, placement):
    chain = chain_in(tmp_path, placement=placement)
    for name, picture in {"a.png": photo(0), "b.png": photo(0), "c.png": photo(1)}.items():
        put(picture, chain.images / name)
    put(photo(1).crop((2, 2, 62, 46)), chain.images / "d.png")
    before = dataset_folder(chain.run())
    put(photo(3), chain.images / "a.png")
    chain.decide("d.png,remove,c.png")
    collect_duplicates(chain.project, Run())
    with pytest.raises(DedupError, match=r"'a.png' changed after it was scanned; run again from raw_images"):
        write_dataset(chain.project, Run())
    assert only_dataset(chain) == before
    kept = pd.read_csv(dataset_folder(chain.run()) / "manifest.csv")["image_id"].tolist()
    assert kept == ["a.png", "b.png", "c.png"]


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
