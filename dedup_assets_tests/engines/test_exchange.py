"""The exchange: a result counts once the manifest names it, and only as long as its file is what was delivered."""

from pathlib import Path

import fsspec
import numpy as np
import pytest

from dedup_assets.core.engines.exchange import MANIFEST, Ledger, Prefix, forget_results, piece_name, prefix_of
from dedup_assets.core.errors import StoreError
from dedup_assets_tests.engines.works import Squares


@pytest.fixture(params=["folder", "bucket"])
def prefix(request, tmp_path):
    if request.param == "folder":
        yield Prefix(str(tmp_path / "exchange" / "work"))
        return
    uri = f"memory://{tmp_path.name}/work"
    yield Prefix(uri)
    fsspec.filesystem("memory").store.clear()


def test_what_is_delivered_can_be_collected(prefix):
    (result,) = prefix.collect(prefix.deliver("0", [np.arange(3)]))
    assert result.tolist() == [0, 1, 2]


def test_results_of_several_shards_come_back_as_several(prefix):
    assert prefix.collect(prefix.deliver("0", [["a"], ["b", "c"]])) == [["a"], ["b", "c"]]


def test_what_no_manifest_names_does_not_count(prefix):
    prefix.deliver("0", [1])
    assert prefix.named() == {}


def test_a_later_run_finds_what_is_named(prefix):
    ledger = Ledger(prefix)
    ledger.add(prefix.deliver("0", ["a"]))
    ledger.write()
    later = Ledger(prefix)
    assert "0" in later
    assert "1" not in later
    assert prefix.collect(later["0"]) == ["a"]


def test_two_workers_with_one_shard_never_meet(prefix):
    first, second = prefix.deliver("0", ["first"]), prefix.deliver("0", ["second"])
    assert [prefix.collect(parcel) for parcel in (first, second)] == [["first"], ["second"]]


def test_a_named_file_that_is_gone_or_cut_short_is_done_again(tmp_path):
    prefix = Prefix(str(tmp_path))
    ledger = Ledger(prefix)
    gone, cut, whole = (prefix.deliver(name, [name]) for name in ("gone", "cut", "whole"))
    for parcel in (gone, cut, whole):
        ledger.add(parcel)
    ledger.write()
    (tmp_path / gone.file).unlink()
    with (tmp_path / cut.file).open("r+b") as file:
        file.truncate(10)
    assert set(Ledger(prefix).prefix.named()) == {"whole"}


def test_a_file_with_other_content_is_refused(tmp_path):
    prefix = Prefix(str(tmp_path))
    parcel = prefix.deliver("0", ["a"])
    file = tmp_path / parcel.file
    file.write_bytes(file.read_bytes()[::-1])
    with pytest.raises(StoreError, match=r"not what a worker wrote there.*share"):
        prefix.collect(parcel)


def test_a_place_that_the_workers_have_to_themselves_is_named(tmp_path):
    parcel = Prefix(str(tmp_path / "theirs")).deliver("0", ["a"])
    with pytest.raises(StoreError, match=r"ours.*a place that this process and all workers share"):
        Prefix(str(tmp_path / "ours")).collect(parcel)


def test_a_place_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match=r"cannot write to '.*file/work'"):
        Prefix(str(tmp_path / "file" / "work")).deliver("0", ["a"])


def test_clearing_leaves_nothing(prefix):
    ledger = Ledger(prefix)
    ledger.add(prefix.deliver("0", ["a"]))
    ledger.write()
    exchange, _, step = prefix.uri.rpartition("/")
    forget_results(exchange, step)
    forget_results(exchange, step)
    assert prefix.named() == {}


def test_nothing_half_written_stays_behind(tmp_path):
    prefix = Prefix(str(tmp_path))
    ledger = Ledger(prefix)
    ledger.add(prefix.deliver("0", ["a"]))
    ledger.write(complete=True)
    assert sorted(file.suffix for file in tmp_path.iterdir()) == [".json", ".parquet"]
    assert '"complete": true' in (tmp_path / MANIFEST).read_text()


def test_the_same_work_has_the_same_prefix_and_other_work_another():
    trace = Path("trace")
    one = prefix_of("place", Squares(np.arange(3), trace), "1.0")
    assert one == prefix_of("place", Squares(np.arange(3), trace), "1.0")
    others = [
        prefix_of("place", Squares(np.arange(4), trace), "1.0"),
        prefix_of("place", Squares(np.array([0, 1, 3]), trace), "1.0"),
        prefix_of("place", Squares(np.arange(3), trace), "1.1"),
        prefix_of("elsewhere", Squares(np.arange(3), trace), "1.0"),
    ]
    assert len({one, *others}) == 5


def test_a_piece_is_named_by_place_and_content():
    assert len({piece_name(0, (0, 1)), piece_name(1, (0, 1)), piece_name(0, (0, 2))}) == 3
