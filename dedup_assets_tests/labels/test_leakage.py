"""Pictures in two splits: counted, listed, and gone once the copies outside the protected split are."""

import json

import pytest
from click.testing import CliRunner

from dedup_assets.cli import cli
from dedup_assets.core.errors import DedupError
from dedup_assets.core.scoring.leakage import leakage
from dedup_assets_tests.chain import chain_in
from dedup_assets_tests.explorer.support import Page, altered, scene
from dedup_assets_tests.pictures import put


@pytest.fixture(scope="module")
def chain(tmp_path_factory):
    """Train and test share one picture exactly (twice in train) and one nearly; val is clean; one has no split."""
    chain = chain_in(tmp_path_factory.mktemp("leakage"))
    for name in ("train/a.png", "train/a_copy.png", "test/a.png"):
        put(scene(0), chain.images / name)
    put(scene(2), chain.images / "train" / "b.png")
    put(altered(2), chain.images / "test" / "b.png")
    put(scene(4), chain.images / "val" / "c.png")
    put(scene(4), chain.images / "elsewhere" / "c.png")
    chain.run()
    return chain


def pairs(found):
    return {(pair.split_a, pair.split_b): (pair.exact, pair.near, pair.exact_left, pair.near_left) for pair in found}


def test_pairs_are_counted_by_split_across_and_within(chain):
    report = leakage(chain.store)
    assert report.splits == {"test": 2, "train": 3, "val": 1}
    assert pairs(report.across) == {("test", "train"): (2, 1, 0, 1)}
    assert pairs(report.within) == {("train", "train"): (1, 0, 0, 0)}
    assert (report.found, report.left) == (3, 1)


def test_what_is_left_is_listed_first(chain):
    first, second = leakage(chain.store).leaks
    assert (first.image_a, first.image_b, first.left, first.exact) == ("test/b.png", "train/b.png", True, False)
    assert (second.image_a, second.left, second.exact) == ("test/a.png", False, True)


def test_a_pair_that_a_person_called_different_is_not_left(tmp_path):
    chain = chain_in(tmp_path)
    put(scene(2), chain.images / "train" / "b.png")
    put(altered(2), chain.images / "test" / "b.png")
    chain.decide("train/b.png,not_duplicate,test/b.png")
    chain.run()
    report = leakage(chain.store)
    assert (report.found, report.left) == (1, 0)


def test_pairs_within_a_split_are_no_leaks(tmp_path):
    chain = chain_in(tmp_path)
    for name in ("train/a.png", "train/a_copy.png"):
        put(scene(0), chain.images / name)
    chain.run()
    report = leakage(chain.store)
    assert pairs(report.within) == {("train", "train"): (1, 0, 0, 0)}
    assert (report.leaks, report.found) == ((), 0)


def test_images_without_splits_leak_nothing(tmp_path):
    chain = chain_in(tmp_path)
    put(scene(2), chain.images / "a.png")
    put(scene(2), chain.images / "b.png")
    with pytest.raises(DedupError, match="nothing has been scored"):
        leakage(chain.store)
    chain.run()
    assert leakage(chain.store).sentence == "no image belongs to a split"


def test_the_command_tells_numbers_pairs_and_json(chain, tmp_path):
    runner = CliRunner()
    store = ["--store", str(chain.store.folder)]
    shown = runner.invoke(cli, ["leakage", *store, "-o", str(tmp_path / "pairs.csv")]).output
    assert "test / train" in shown
    assert (tmp_path / "pairs.csv").read_text().startswith("image_a,image_b,split_a,split_b,distance,exact,left")
    said = json.loads(runner.invoke(cli, ["leakage", *store, "--json"]).output)
    assert (said["found"], said["left"]) == (3, 1)


def test_the_explorer_shows_the_pairs_and_says_which_are_settled(chain):
    text = Page(chain.store).get("/leakage").text
    assert "3 pairs across splits, 1 of them left in the dataset" in text
    assert (text.count('<span class="muted">both in the dataset'), text.count(">settled<")) == (1, 1)
