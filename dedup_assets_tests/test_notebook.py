"""The Python interface for notebooks: DataFrames of a store, and the duplicates of a folder in one call."""

import gc
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

import dedup_assets
from dedup_assets import find_duplicates, open_store
from dedup_assets.core.errors import DedupError, NoImagesError, SettingsError, StoreError
from dedup_assets.core.storage import schema
from dedup_assets_tests.chain import chain_in
from dedup_assets_tests.pictures import photo, put, put_photos

ROOT = Path(__file__).parent.parent
SNIPPET = """
import pandas as pd

from dedup_assets import Duplicates, StoreView, find_duplicates, open_store

found: Duplicates = find_duplicates("photos", duplicate_threshold=0.001, workers=2)
frames: list[pd.DataFrame] = [found.duplicates, found.near_duplicates, found.kept, found.unreadable]
store: StoreView = open_store("store")
frames += [store.images, store.scores, store.pairs, store.groups, store.removals, store.tags]
sentences: tuple[str, ...] = store.why("a.jpg").sentences
reveal_type(found.kept)
"""


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    folder = tmp_path_factory.mktemp("notebook") / "images"
    put_photos(folder, range(3))
    put(photo(0), folder / "z" / "copy & <b>.png")
    put(photo(1).point(lambda value: min(value + 6, 255)).resize((128, 96)), folder / "z" / "brighter.png")
    (folder / "broken.jpg").write_text("text")
    return folder


@pytest.fixture(scope="module")
def found(images):
    return find_duplicates(images)


def test_one_call_tells_what_goes_what_stays_and_what_to_look_at(found):
    assert found.duplicates[["image_id", "keeper_id", "reason"]].to_numpy().tolist() == [
        ["z/copy & <b>.png", "000.png", "identical"]
    ]
    assert found.kept["image_id"].tolist() == ["000.png", "001.png", "002.png", "z/brighter.png"]
    assert found.near_duplicates[["image_a", "image_b"]].to_numpy().tolist() == [["001.png", "z/brighter.png"]]
    assert found.unreadable["image_id"].tolist() == ["broken.jpg"]


def test_the_result_prints_as_one_sentence(found, images):
    assert repr(found) == (
        f"6 images under {images}: 4 kept, 1 removed, 1 unreadable; near-duplicate pairs to look at: 1"
    )


def test_a_notebook_shows_the_pairs_side_by_side_with_their_names_escaped(found):
    html = found._repr_html_()
    assert html.count('<img src="data:image/jpeg;base64,') == 4
    assert "z/copy &amp; &lt;b&gt;.png" in html
    assert "<b>" not in html


def test_the_answer_is_that_of_the_chain(found, images, tmp_path):
    chain = chain_in(tmp_path, images)
    chain.run()
    for table in (schema.SCORES, schema.PAIRS):
        pd.testing.assert_frame_equal(found.store.table(table.name), chain.store.read(table))


def test_a_temporary_store_goes_with_the_last_who_can_ask_it(tmp_path):
    put_photos(tmp_path / "images", range(2))
    store = find_duplicates(tmp_path / "images").store
    folder = store.folder
    gc.collect()
    assert len(store.images) == 2
    del store
    gc.collect()
    assert not folder.exists()


def test_a_store_that_is_named_is_kept_and_its_decisions_count(images, tmp_path):
    find_duplicates(images, tmp_path / "store")
    (tmp_path / "store" / "decisions.csv").write_text("image_id,decision,duplicate_of\nz/brighter.png,remove,001.png\n")
    told = []
    again = find_duplicates(images, tmp_path / "store", on_progress=lambda what, *_: told.append(what))
    assert set(again.duplicates["reason"]) == {"identical", "reviewed"}
    assert "reading images" not in told
    assert again.near_duplicates.empty
    assert not (tmp_path / "store" / "datasets").exists()


def test_a_store_is_opened_as_frames(found, monkeypatch):
    monkeypatch.setenv("DEDUP_STORE", str(found.store.folder))
    store = open_store()
    assert repr(store) == f"StoreView({str(store.folder)!r}: 6 images, 1 removed)"
    assert store.groups.groupby("group_id")["image_id"].agg(list).tolist() == [
        ["000.png", "z/copy & <b>.png"],
        ["z/brighter.png", "001.png"],  # the larger one leads
    ]
    assert (len(store.scores), len(store.pairs), store.tags["tag"].tolist()) == (5, 1, ["Duplicates"])
    assert str(store.why("broken.jpg")).startswith("broken.jpg cannot be used")


def test_what_is_not_there_is_told_in_a_sentence(found, images, tmp_path):
    with pytest.raises(StoreError, match="there is no store at"):
        open_store(tmp_path / "nothing")
    with pytest.raises(NoImagesError, match="does not exist"):
        find_duplicates(tmp_path / "nothing")
    with pytest.raises(SettingsError, match="must be smaller than"):
        find_duplicates(images, duplicate_threshold=0.5)
    with pytest.raises(DedupError, match="a store has no table 'beams'; there are images, "):
        found.store.table("beams")


def test_every_name_of_the_package_is_there():
    for name in dedup_assets.__all__:
        assert getattr(dedup_assets, name)
    with pytest.raises(AttributeError, match="no attribute 'beams'"):
        _ = dedup_assets.beams


@pytest.mark.slow
def test_a_notebook_is_type_checked_against_the_package(tmp_path):
    pytest.importorskip("mypy")
    settings = tmp_path / "pyproject.toml"  # ours, so that what mypy knows already serves, but for what is checked
    settings.write_text((ROOT / "pyproject.toml").read_text().replace('packages = ["dedup_assets"]', ""))
    command = [sys.executable, "-m", "mypy", "--config-file", settings, "-c", SNIPPET]
    ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert 'Revealed type is "pandas.core.frame.DataFrame"' in ran.stdout
