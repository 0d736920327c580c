"""Tables written to files: a place that cannot be written is one sentence that names it and the remedy."""

from pathlib import Path

import pandas as pd
import pytest

from dedup_assets.core.errors import DedupError
from dedup_assets.core.export import SUFFIXES, write_export

FRAME = pd.DataFrame({"image_id": ["a.png", "b.png"]})


def refused(path):
    with pytest.raises(DedupError) as caught:
        write_export(FRAME, path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_folder_that_is_not_there(tmp_path, suffix):
    folder = tmp_path / "nowhere"
    assert f"there is no folder '{folder}'; make it, or name another file" in refused(folder / f"x{suffix}")


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_file_in_place_of_the_folder(tmp_path, suffix):
    (tmp_path / "file").touch()
    assert f"there is no folder '{tmp_path / 'file'}'" in refused(tmp_path / "file" / f"x{suffix}")


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_folder_in_place_of_the_file(tmp_path, suffix):
    (tmp_path / f"x{suffix}").mkdir()
    assert "make it writable, or name another file with --output" in refused(tmp_path / f"x{suffix}")


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_folder_without_rights(tmp_path, unprivileged, suffix):
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o755)
    with unprivileged():
        sentence = refused(closed / f"x{suffix}")
    assert "(Permission denied); make it writable, or name another" in sentence


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full, a disk that is always full")
@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_full_disk(tmp_path, suffix):
    (tmp_path / f"x{suffix}").symlink_to("/dev/full")
    assert "is full, and the file is not whole; free some space, then export again" in refused(tmp_path / f"x{suffix}")
