"""Dataset versions: named by their content, whole or absent, and never touching the images."""

import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest

from dedup_assets.core import datasets
from dedup_assets.core.datasets import MANIFEST_COLUMNS, REMOVED_COLUMNS, DatasetRecipe, write_version
from dedup_assets.core.errors import DedupError, SettingsError
from dedup_assets.core.sources.folder import Folder

ODD_NAMES = ['quote".jpg', "comma,.jpg", "new\nline.jpg", "späß ✓.jpg", "deep/er/a b.jpg", "'; drop.jpg"]


class Source:
    """An image folder and the place for datasets."""

    def __init__(self, tmp_path):
        self.root, self.datasets = tmp_path / "images", tmp_path / "store" / "datasets"
        for number, name in enumerate(["a.jpg", "b.jpg", *ODD_NAMES]):
            path = self.root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(b"picture %d" % number)

    def manifest(self, *image_ids, **columns):
        frame = pd.DataFrame({"image_id": list(image_ids)})
        for name in MANIFEST_COLUMNS[1:]:
            frame[name] = columns.get(name, f"{name} 1")
        data = [path.read_bytes() if (path := self.root / image).is_file() else b"" for image in image_ids]
        frame["file_hash"] = [hashlib.sha256(picture).hexdigest() for picture in data]
        frame["size_bytes"] = [len(picture) for picture in data]
        return frame

    def write(self, *image_ids, removed=(), recipe=None, manifest=None, progress=lambda *_: None, **facts):
        gone = pd.DataFrame({name: [f"{name} {image}" for image in removed] for name in REMOVED_COLUMNS})
        frame = self.manifest(*image_ids) if manifest is None else manifest
        return write_version(recipe or DatasetRecipe(), self.datasets, Folder(self.root), frame, gone, facts, progress)

    def files(self):
        return sorted(path.relative_to(self.datasets).as_posix() for path in self.datasets.rglob("*"))


@pytest.fixture
def source(tmp_path):
    return Source(tmp_path)


def placed(placement, **more):
    return DatasetRecipe(placement=placement, **more)


def test_a_version_holds_its_lists_in_two_formats_its_images_and_a_summary(source):
    version = source.write("a.jpg", "b.jpg", removed=["c.jpg"], images="somewhere")
    names = {path.name for path in version.folder.iterdir()}
    assert names == {"images", "manifest.csv", "manifest.parquet", "removed.csv", "removed.parquet", "summary.json"}
    summary = json.loads((version.folder / "summary.json").read_text())
    assert (summary["name"], summary["version"]) == ("deduplicated", version.version)
    assert (summary["kept"], summary["removed"], summary["images"]) == (2, 1, "somewhere")


def test_both_formats_of_a_list_say_the_same(source):
    frame = source.manifest("a.jpg", 'quote".jpg', uniqueness=0.1 + 0.2, label=None)
    folder = source.write(manifest=frame).folder
    as_csv, as_parquet = pd.read_csv(folder / "manifest.csv"), pd.read_parquet(folder / "manifest.parquet")
    assert as_csv["image_id"].tolist() == as_parquet["image_id"].tolist() == ["a.jpg", 'quote".jpg']
    assert as_csv["uniqueness"].tolist() == as_parquet["uniqueness"].tolist() == [0.1 + 0.2] * 2
    assert as_csv.columns.tolist() == as_parquet.columns.tolist() == list(MANIFEST_COLUMNS)


def test_the_same_content_has_the_same_version_and_is_written_once(source):
    first = source.write("a.jpg", created_at="monday")
    second = source.write("a.jpg", created_at="tuesday")
    assert first.version == second.version
    assert (first.created, second.created) == (True, False)
    assert json.loads((first.folder / "summary.json").read_text())["created_at"] == "monday"


def test_other_content_has_another_version_beside_the_first(source):
    versions = {
        source.write("a.jpg").version,
        source.write("a.jpg", "b.jpg").version,
        source.write("a.jpg", removed=["b.jpg"]).version,
        source.write(manifest=source.manifest("a.jpg", uniqueness=0.5)).version,
    }
    assert len(versions) == 4
    assert {path.name for path in (source.datasets / "deduplicated").iterdir()} == versions


def test_an_empty_dataset_can_be_written(source):
    version = source.write(removed=["a.jpg"])
    assert (version.kept, version.removed) == (0, 1)


# ---- placing the images


def test_symlinks_lead_to_the_images(source):
    folder = source.write("a.jpg", recipe=placed("symlink")).folder
    assert (folder / "images" / "a.jpg").is_symlink()
    assert (folder / "images" / "a.jpg").resolve() == (source.root / "a.jpg").resolve()


def test_hardlinks_are_the_same_files(source):
    folder = source.write("a.jpg", recipe=placed("hardlink")).folder
    assert (folder / "images" / "a.jpg").samefile(source.root / "a.jpg")
    assert not (folder / "images" / "a.jpg").is_symlink()


def test_a_hardlink_of_an_image_behind_a_link_is_one_of_the_file(source):
    (source.root / "link.jpg").symlink_to(source.root / "a.jpg")
    placed_file = source.write("link.jpg", recipe=placed("hardlink")).folder / "images" / "link.jpg"
    assert not placed_file.is_symlink()
    assert placed_file.samefile(source.root / "a.jpg")


def test_copies_are_files_of_their_own_with_the_same_time(source):
    os.utime(source.root / "a.jpg", (1, 1))
    copy = source.write("a.jpg", recipe=placed("copy")).folder / "images" / "a.jpg"
    assert not copy.samefile(source.root / "a.jpg")
    assert (copy.read_bytes(), copy.stat().st_mtime) == (b"picture 0", 1)


def test_placement_none_writes_the_lists_only(source):
    assert not (source.write("a.jpg", recipe=placed("none")).folder / "images").exists()


def test_images_can_be_placed_into_a_version_that_has_none_yet(source):
    source.write("a.jpg", recipe=placed("none"))
    version = source.write("a.jpg", recipe=placed("copy"))
    assert not version.created
    assert (version.folder / "images" / "a.jpg").is_file()


def standing(version):
    """How the version's one image is there, and what its summary says."""
    image = version.folder / "images" / "a.jpg"
    how = "symlink" if image.is_symlink() else "hardlink" if image.stat().st_nlink > 1 else "copy"
    return how, json.loads((version.folder / "summary.json").read_text())["placement"]


@pytest.mark.parametrize(
    ("stands", "asked", "then"),
    [
        ("symlink", "copy", "copy"),
        ("symlink", "hardlink", "hardlink"),
        ("hardlink", "copy", "copy"),
        ("none", "symlink", "symlink"),
        ("copy", "symlink", "copy"),
        ("hardlink", "symlink", "hardlink"),
        ("copy", "none", "copy"),
    ],
)
def test_images_that_stand_are_placed_anew_only_where_they_then_hold_more(source, stands, asked, then):
    source.write("a.jpg", recipe=placed(stands), created_at="monday")
    version = source.write("a.jpg", recipe=placed(asked), created_at="tuesday")
    assert (version.created, version.placement) == (False, then)
    assert standing(version) == (then, then)
    assert json.loads((version.folder / "summary.json").read_text())["created_at"] == "monday"


@pytest.mark.parametrize("asked", ["symlink", "none"])
def test_links_that_stand_lead_to_where_the_images_are_now(source, asked):
    before = source.write("a.jpg", "deep/er/a b.jpg", images="there", created_at="monday")
    source.root = source.root.rename(source.root.with_name("moved"))
    version = source.write("a.jpg", "deep/er/a b.jpg", recipe=placed(asked), images="here", created_at="tuesday")
    assert (version.folder, version.created, version.placement) == (before.folder, False, "symlink")
    for name in ("a.jpg", "deep/er/a b.jpg"):
        assert (version.folder / "images" / name).readlink() == source.root / name
    facts = json.loads((version.folder / "summary.json").read_text())
    assert (facts["images"], facts["created_at"]) == (str(source.root), "monday")


def test_a_version_placed_anew_keeps_all_else_in_it(source):
    folder = source.write("a.jpg").folder
    (folder / "labels").mkdir()
    (folder / "labels" / "labels.parquet").write_text("labels")
    (folder / "decisions.csv").write_text("decisions")
    before = {path.name: path.read_bytes() for path in folder.glob("[!s]*") if path.is_file()}
    source.write("a.jpg", recipe=placed("copy"))
    assert before == {path.name: path.read_bytes() for path in folder.glob("[!s]*") if path.is_file()}
    assert (folder / "labels" / "labels.parquet").read_text() == "labels"


def test_copies_whose_summary_is_lost_are_not_made_links(source):
    version = source.write("a.jpg", recipe=placed("copy"))
    (version.folder / "summary.json").unlink()
    assert source.write("a.jpg").placement == "copy"
    assert not (version.folder / "images" / "a.jpg").is_symlink()


@pytest.mark.parametrize("placement", ["symlink", "hardlink", "copy"])
@pytest.mark.parametrize("name", ODD_NAMES)
def test_odd_names_are_placed_under_their_own_name(source, placement, name):
    folder = source.write(name, recipe=placed(placement)).folder
    assert (folder / "images" / name).read_bytes().startswith(b"picture")
    assert pd.read_csv(folder / "manifest.csv")["image_id"].tolist() == [name]


def test_progress_ends_at_the_number_of_images(source):
    seen = []
    source.write("a.jpg", "b.jpg", progress=lambda what, done, total: seen.append((what, done, total)))
    assert seen[-1] == ("placing images", 2, 2)


@pytest.mark.parametrize("placement", ["symlink", "hardlink", "copy", "none"])
def test_an_image_that_is_gone_is_named_and_nothing_is_left(source, placement):
    with pytest.raises(DedupError, match=r"'gone.jpg' was gone when the dataset was written; run again"):
        source.write("a.jpg", "gone.jpg", recipe=placed(placement))
    assert source.files() == ["deduplicated"]


@pytest.mark.parametrize("placement", ["symlink", "hardlink", "copy", "none"])
@pytest.mark.parametrize("now", [b"another length", b"picture 9"])
def test_an_image_that_changed_since_the_scan_is_named_and_nothing_is_left(source, placement, now):
    manifest = source.manifest("a.jpg", "b.jpg", "deep/er/a b.jpg")
    (source.root / "b.jpg").write_bytes(now)
    with pytest.raises(DedupError, match=r"'b.jpg' changed after it was scanned; run again from raw_images"):
        source.write(manifest=manifest, recipe=placed(placement))
    assert source.files() == ["deduplicated"]


@pytest.mark.parametrize("placement", ["symlink", "hardlink", "copy", "none"])
def test_an_image_that_was_only_touched_is_placed(source, placement):
    manifest = source.manifest("a.jpg").assign(modified_ns=(source.root / "a.jpg").stat().st_mtime_ns)
    os.utime(source.root / "a.jpg", (1, 1))
    assert source.write(manifest=manifest, recipe=placed(placement)).created


@pytest.mark.parametrize("placement", ["symlink", "hardlink", "none"])
def test_without_copying_no_image_is_read_that_has_the_size_and_time_of_the_scan(source, placement, monkeypatch):
    manifest = source.manifest("a.jpg").assign(modified_ns=(source.root / "a.jpg").stat().st_mtime_ns)
    monkeypatch.setattr(datasets.Path, "read_bytes", None)
    assert source.write(manifest=manifest, recipe=placed(placement)).created


def test_the_time_of_the_scan_is_in_no_list_and_not_in_the_version(source):
    manifest = source.manifest("a.jpg")
    timed = source.write(manifest=manifest.assign(modified_ns=1))
    assert pd.read_csv(timed.folder / "manifest.csv").columns.tolist() == list(MANIFEST_COLUMNS)
    assert source.write(manifest=manifest).version == timed.version


def test_an_image_that_cannot_be_copied_is_named(source, unprivileged):
    manifest = source.manifest("b.jpg")
    (source.root / "b.jpg").chmod(0)
    source.datasets.mkdir(parents=True)
    source.datasets.chmod(0o777)
    with unprivileged(), pytest.raises(DedupError, match=r"cannot make a copy of 'b.jpg'.*Permission denied"):
        source.write(manifest=manifest, recipe=placed("copy"))


def test_a_file_system_without_links_is_told_with_the_remedy(source, monkeypatch):
    def cross_device(*_):
        raise OSError(18, "Invalid cross-device link")

    monkeypatch.setattr(os, "link", cross_device)
    with pytest.raises(DedupError, match=r"cannot make a hardlink of 'a.jpg'.*choose the placement 'copy' or 'none'"):
        source.write("a.jpg", recipe=placed("hardlink"))


def test_a_full_disk_while_copying_is_left_to_the_store_to_explain(source, monkeypatch):
    def full_disk(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(shutil, "copy2", full_disk)
    with pytest.raises(OSError, match="No space left"):
        source.write("a.jpg", recipe=placed("copy"))


# ---- whole or absent


@pytest.mark.parametrize("step", ["place", "parquet", "rename"])
def test_a_write_that_ends_half_way_leaves_nothing(source, monkeypatch, step):
    def killed(*_, **__):
        raise KeyboardInterrupt

    if step == "place":
        monkeypatch.setattr(os, "link", killed)
    elif step == "parquet":
        monkeypatch.setattr(pd.DataFrame, "to_parquet", killed)
    else:
        monkeypatch.setattr(datasets.Path, "rename", killed)
    with pytest.raises(KeyboardInterrupt):
        source.write("a.jpg", recipe=placed("hardlink"))
    assert source.files() == ["deduplicated"]


KILLED = """
import os, signal, sys
from pathlib import Path
from dedup_assets_tests.test_datasets import Source, placed
left, rename = int(sys.argv[2]), Path.rename
def dies(path, target):
    global left
    if left == 0:
        os.kill(os.getpid(), signal.SIGKILL)
    left -= 1
    return rename(path, target)
Path.rename = dies
Source(Path(sys.argv[1])).write("a.jpg", recipe=placed("copy"))
"""


@pytest.mark.parametrize("renames", [0, 1])
def test_a_run_killed_while_copies_take_the_place_of_links_leaves_one_or_the_other(source, renames):
    version = source.write("a.jpg")
    killed = subprocess.run([sys.executable, "-c", KILLED, source.root.parent, str(renames)], capture_output=True)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert version.folder.exists() == (renames == 0)
    assert standing(source.write("a.jpg")) == ("symlink", "symlink")
    assert standing(source.write("a.jpg", recipe=placed("copy"))) == ("copy", "copy")
    assert [path.name for path in (source.datasets / "deduplicated").iterdir()] == [version.version]


def test_an_error_while_copies_take_the_place_of_links_leaves_the_links(source, monkeypatch):
    version, rename = source.write("a.jpg"), datasets.Path.rename

    def fails(path, target):
        if path.name.count(".") == 2 and target.name == version.version and not path.name.endswith(".aside"):
            raise OSError(5, "Input/output error")
        return rename(path, target)

    monkeypatch.setattr(datasets.Path, "rename", fails)
    with pytest.raises(OSError, match="Input/output error"):
        source.write("a.jpg", recipe=placed("copy"))
    assert standing(version) == ("symlink", "symlink")
    assert len(source.files()) == len(list(version.folder.rglob("*"))) + 2


def test_links_stay_when_an_image_that_is_to_be_copied_changed(source):
    version, manifest = source.write("a.jpg"), source.manifest("a.jpg")
    (source.root / "a.jpg").write_bytes(b"another picture")
    with pytest.raises(DedupError, match="changed after it was scanned"):
        source.write(manifest=manifest, recipe=placed("copy"))
    assert standing(version) == ("symlink", "symlink")


def test_what_a_killed_run_left_is_cleared_by_the_next(source):
    version = source.write("a.jpg").version
    leftover = source.datasets / "deduplicated" / f".{version}.abc"
    leftover.mkdir()
    (leftover / "manifest.csv").touch()
    source.write("b.jpg")
    assert not leftover.exists()


def test_hidden_folders_of_other_programs_are_left_alone(source):
    other = source.datasets / "deduplicated" / ".dvc"
    other.mkdir(parents=True)
    source.write("a.jpg")
    assert other.is_dir()


def test_the_images_are_never_touched(source):
    before = {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in source.root.rglob("*") if path.is_file()}
    for placement in datasets.PLACEMENTS:
        source.write("a.jpg", recipe=placed(placement, name=placement))
    assert before == {
        path: (path.read_bytes(), path.stat().st_mtime_ns) for path in source.root.rglob("*") if path.is_file()
    }


# ---- the recipe


@pytest.mark.parametrize("name", ["", ".", "..", ".hidden", "a/b", "/a", "a\\b", "a\0b", "a\nb", "x" * 300])
def test_names_that_cannot_be_a_folder_are_refused(name):
    with pytest.raises(SettingsError, match="cannot be a folder name"):
        DatasetRecipe(name)


@pytest.mark.parametrize("name", ["a", "my dataset", "2024-05.v1", "späß"])
def test_names_that_can_be_a_folder_are_taken(source, name):
    assert source.write("a.jpg", recipe=DatasetRecipe(name)).folder.parent.name == name


def test_an_unknown_placement_is_refused_with_the_known_ones():
    with pytest.raises(SettingsError, match="'move'; it may be symlink, hardlink, copy, none"):
        placed("move")


def test_the_version_does_not_depend_on_name_description_or_placement(source):
    recipes = [DatasetRecipe(), DatasetRecipe("other", "words", "none")]
    assert len({source.write("a.jpg", recipe=recipe).version for recipe in recipes}) == 1


def test_numbers_are_written_in_full(source):
    values = np.random.default_rng(0).random(2)
    folder = source.write(manifest=source.manifest("a.jpg", "b.jpg", uniqueness=values)).folder
    read = pd.read_csv(folder / "manifest.csv")["uniqueness"]
    assert read.tolist() == values.tolist()
