"""How much of what arrives is there already."""

import shutil

import pandas as pd
import pytest

from dedup_assets.core.run import Run
from dedup_assets.core.scoring.drift import ALL, ROOT, Arrival, beyond, count_arrivals, last_arrivals, note_arrivals
from dedup_assets.core.storage import schema
from dedup_assets_tests.chain import chain_in
from dedup_assets_tests.pictures import photo, put, put_photos


def new(**duplicate_by_image):
    ids = [name.replace("__", "/") + ".jpg" for name in duplicate_by_image]
    return pd.DataFrame({"image_id": ids, "is_duplicate": list(duplicate_by_image.values())})


@pytest.fixture
def chain(tmp_path):
    """Two folders that were scored and counted."""
    chain = chain_in(tmp_path)
    put_photos(chain.images / "a", range(3))
    put_photos(chain.images / "b", range(3, 6))
    chain.run()
    assert {entry.first for entry in note_arrivals(chain.store, Run("first"))} == {True}
    return chain


def arrivals(chain, run_id="second"):
    chain.run()
    return {entry.folder: (entry.images, entry.duplicates) for entry in note_arrivals(chain.store, Run(run_id))}


def test_all_folders_come_first_and_then_each_top_folder():
    counted = count_arrivals(new(b__x=True, b__deep__y=False, top=True, a__z=False))
    assert counted == [Arrival(ALL, 4, 2), Arrival(ROOT, 1, 1), Arrival("a", 1, 0), Arrival("b", 2, 1)]
    assert counted[0].share == 0.5
    assert count_arrivals(new().astype({"is_duplicate": bool})) == []


def test_only_what_is_new_counts(chain):
    shutil.copy(chain.images / "a" / "000.png", chain.images / "b" / "copy.png")
    put_photos(chain.images / "b", [9])
    assert arrivals(chain) == {ALL: (2, 1), "b": (2, 1)}
    assert chain.store.read(schema.ARRIVALS)["run_id"].tolist() == ["first"] * 3 + ["second"] * 2


def test_nothing_new_is_nothing_counted(chain):
    before = chain.store.read(schema.ARRIVALS)
    assert arrivals(chain) == {}
    assert note_arrivals(chain.store, Run("again")) == []
    assert chain.store.read(schema.ARRIVALS).equals(before)


def test_a_renamed_file_is_not_new_and_a_changed_one_is(chain):
    (chain.images / "a" / "000.png").rename(chain.images / "a" / "renamed.png")
    put(photo(77), chain.images / "b" / "003.png")
    assert arrivals(chain) == {ALL: (1, 0), "b": (1, 0)}


def test_images_whose_run_stopped_before_they_were_counted_count_in_the_next(chain):
    put_photos(chain.images / "a", [20])
    chain.run()
    put_photos(chain.images / "a", [21])
    assert arrivals(chain) == {ALL: (2, 0), "a": (2, 0)}


def test_the_latest_arrivals_are_read_back(chain):
    put_photos(chain.images / "a", [20])
    chain.run()
    noted = note_arrivals(chain.store, Run("second"))
    assert last_arrivals(chain.store) == noted == [Arrival(ALL, 1, 0), Arrival("a", 1, 0)]


def test_a_share_above_the_bound_is_told_where_there_are_enough_images_and_some_were_there_before():
    few, many, fine = Arrival("few", 9, 9), Arrival("many", 10, 6), Arrival("fine", 10, 5)
    most = Arrival("most", 20, 20)
    assert beyond([few, many, fine, most], 0.5) == [most, many]
    assert beyond([Arrival("many", 10, 10, first=True)], 0.5) == []
