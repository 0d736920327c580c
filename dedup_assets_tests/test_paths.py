"""Paths as people write them, and what is made of them."""

from pathlib import Path

import pytest

from dedup_assets.core.paths import plain_path
from dedup_assets.core.sources.folder import Folder
from dedup_assets.core.storage.store import Store


@pytest.fixture
def here(tmp_path, monkeypatch):
    """The folder a person is in: work, beside photos, with a link to far/away in it."""
    for folder in ("work", "photos", "far/away"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "work" / "link").symlink_to(tmp_path / "far" / "away")
    monkeypatch.chdir(tmp_path / "work")
    monkeypatch.setenv("HOME", str(tmp_path))
    return tmp_path


@pytest.mark.parametrize(
    ("said", "meant"),
    [
        ("a.jpg", "work/a.jpg"),
        ("../photos/a.jpg", "photos/a.jpg"),
        ("~/photos/new/../a.jpg", "photos/a.jpg"),
        ("link/a.jpg", "work/link/a.jpg"),
        ("link/../a.jpg", "far/a.jpg"),
        ("nowhere/../../photos", "photos"),
    ],
)
def test_a_path_is_whole_and_has_no_dots(here, said, meant):
    assert plain_path(said) == here / meant


def test_an_image_is_known_by_a_path_that_goes_up_first(here):
    assert Folder(here / "photos").identify("../photos/a.jpg") == "a.jpg"
    assert Folder(here / "photos").identify("../photos/../elsewhere/a.jpg") is None


def test_a_store_is_the_same_however_its_folder_is_named(here):
    assert Store("../photos/../store").folder == Store(Path(here / "store")).folder
