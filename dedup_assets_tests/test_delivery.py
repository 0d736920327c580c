"""Datasets written to a folder or a bucket of the user's: whole there or without their summary, and never twice."""

import io
import json
import shutil

import fsspec
import pandas as pd
import pytest

from dedup_assets.core import steps
from dedup_assets.core.errors import DedupError, SettingsError
from dedup_assets.core.project import remembered
from dedup_assets.core.report import overview
from dedup_assets.core.run import Run
from dedup_assets.core.sources import connection
from dedup_assets_tests.buckets import FlakyFileSystem, upload
from dedup_assets_tests.chain import chain_in, dataset_folder
from dedup_assets_tests.pictures import photo, put, put_photos

LISTS = {"manifest.csv", "manifest.parquet", "removed.csv", "removed.parquet", "summary.json"}


@pytest.fixture
def images(tmp_path):
    put_photos(tmp_path / "images", range(3))
    put(photo(0), tmp_path / "images" / "copies" / "a.png")
    return tmp_path / "images"


def delivered(summaries):
    """Where the dataset was delivered, and its files by name."""
    place = summaries["deduplicated_dataset"].delivered
    filesystem, base = fsspec.core.url_to_fs(place)
    return place, {path.removeprefix(f"{base}/"): filesystem.cat_file(path) for path in filesystem.find(base)}


def test_a_bucket_gets_the_lists_and_the_kept_images(tmp_path, images, memory_root):
    chain = chain_in(tmp_path, images, dataset_target=f"memory://{memory_root}", placement="copy")
    summaries = chain.run()
    place, files = delivered(summaries)
    assert place.startswith(f"memory://{memory_root}/deduplicated/")
    assert set(files) == LISTS | {f"images/00{number}.png" for number in range(3)}
    assert files["images/001.png"] == (images / "001.png").read_bytes()
    manifest = pd.read_parquet(io.BytesIO(files["manifest.parquet"]))
    assert manifest["image_id"].tolist() == ["000.png", "001.png", "002.png"]
    assert json.loads(files["summary.json"])["placement"] == "copy"


def test_a_bucket_gets_the_labels_too(tmp_path, memory_root):
    for number, kind in enumerate(("cat", "dog")):
        put(photo(number), tmp_path / "classes" / kind / f"{number}.png")
    chain = chain_in(
        tmp_path, tmp_path / "classes", dataset_target=f"memory://{memory_root}", input_format="imagefolder"
    )
    summaries = chain.run()
    _, files = delivered(summaries)
    kept = dataset_folder(summaries) / "labels" / "labels.parquet"
    assert files["labels/labels.parquet"] == kept.read_bytes()
    assert set(pd.read_parquet(kept)["category"]) == {"cat", "dog"}


def test_the_store_keeps_the_lists_and_tells_where_the_dataset_is(tmp_path, images, memory_root):
    chain = chain_in(tmp_path, images, dataset_target=f"memory://{memory_root}", placement="copy")
    summaries = chain.run()
    assert not (dataset_folder(summaries) / "images").exists()
    assert overview(chain.store).dataset == summaries["deduplicated_dataset"].delivered
    assert remembered(chain.store).dataset_target == f"memory://{memory_root}"


def test_from_bucket_to_bucket(tmp_path, images, memory_root):
    upload(images, f"memory://{memory_root}/in")
    chain = chain_in(
        tmp_path, f"memory://{memory_root}/in", dataset_target=f"memory://{memory_root}/out", placement="copy"
    )
    assert {"images/000.png", "images/002.png"} < set(delivered(chain.run())[1])


def test_without_a_placement_a_bucket_gets_the_lists_alone_until_copies_are_asked_for(tmp_path, images, memory_root):
    target = f"memory://{memory_root}"
    assert set(delivered(chain_in(tmp_path, images, dataset_target=target).run())[1]) == LISTS
    summaries = chain_in(tmp_path, images, dataset_target=target, placement="copy").run()
    assert "images/000.png" in delivered(summaries)[1]


def test_a_version_that_stands_is_not_written_again(tmp_path, images, memory_root, monkeypatch):
    monkeypatch.setattr(connection, "_PAUSES_SECONDS", ())
    chain = chain_in(tmp_path, images, dataset_target=f"flaky://{memory_root}", placement="copy")
    chain.run()

    def refuse(self, path, value, **kwargs):
        raise AssertionError(f"{path} is written again")

    monkeypatch.setattr(FlakyFileSystem, "pipe_file", refuse)
    assert chain.run()["deduplicated_dataset"].changed is False


@pytest.mark.parametrize("name", ["images/001.png", "manifest.csv", "removed.parquet", "summary.json"])
def test_a_write_that_breaks_leaves_no_summary_and_the_next_run_makes_it_whole(
    tmp_path, images, memory_root, monkeypatch, name
):
    monkeypatch.setattr(connection, "_PAUSES_SECONDS", (0, 0))
    whole = FlakyFileSystem.pipe_file

    def breaks(self, path, value, **kwargs):
        if path.endswith(name):
            raise ConnectionResetError("connection reset")
        whole(self, path, value, **kwargs)

    chain = chain_in(tmp_path, images, dataset_target=f"flaky://{memory_root}", placement="copy")
    with monkeypatch.context() as broken:
        broken.setattr(FlakyFileSystem, "pipe_file", breaks)
        with pytest.raises(DedupError, match=r"cannot write the dataset to 'flaky://.*connection reset.* run again"):
            chain.run()
    assert not [path for path in fsspec.filesystem("memory").find(f"/{memory_root}") if path.endswith("summary.json")]
    assert set(delivered(chain.run())[1]) == LISTS | {f"images/00{number}.png" for number in range(3)}


def test_an_image_that_changed_since_the_scan_is_not_delivered(tmp_path, images, memory_root):
    chain = chain_in(tmp_path, images, dataset_target=f"memory://{memory_root}", placement="copy")
    chain.run()
    fsspec.filesystem("memory").rm(f"/{memory_root}", recursive=True)
    put(photo(9), images / "001.png")
    with pytest.raises(DedupError, match=r"'001.png' changed after it was scanned; run again"):
        steps.write_dataset(chain.project, Run())


def test_an_object_that_was_overwritten_or_deleted_since_the_scan_stops_the_lists_too(tmp_path, images, memory_root):
    upload(images, f"memory://{memory_root}")
    chain = chain_in(tmp_path, f"memory://{memory_root}")
    chain.run()
    shutil.rmtree(chain.store.datasets)
    filesystem = fsspec.filesystem("memory")
    filesystem.pipe_file(f"/{memory_root}/001.png", (images / "002.png").read_bytes())
    with pytest.raises(DedupError, match=r"'001.png' changed after it was scanned; run again"):
        steps.write_dataset(chain.project, Run())
    filesystem.rm(f"/{memory_root}/001.png")
    with pytest.raises(DedupError, match=r"'001.png' was gone when the dataset was written; run again"):
        steps.write_dataset(chain.project, Run())


def test_a_folder_gets_the_version_as_the_store_would(tmp_path, images):
    chain = chain_in(tmp_path, images, dataset_target=str(tmp_path / "there"))
    place, files = delivered(chain.run())
    assert place.startswith(str(tmp_path / "there" / "deduplicated"))
    assert files["images/001.png"] == (images / "001.png").read_bytes()


@pytest.mark.parametrize(
    ("target", "placement", "sentence"),
    [
        ("memory://t", "symlink", "placement is 'symlink', but 'memory://t' cannot hold links; use copy or none"),
        ("beam://t", "copy", "'beam://t' has an unknown protocol"),
        ("{images}/out", "copy", r"dataset_target '.*out' lies among the images"),
        ("{images}/../out/../{images.name}/out", "copy", r"dataset_target '.*out' lies among the images"),
    ],
)
def test_a_target_that_cannot_be_is_refused_before_anything_runs(tmp_path, images, target, placement, sentence):
    chain = chain_in(tmp_path, images, dataset_target=target.format(images=images), placement=placement)
    with pytest.raises(SettingsError, match=sentence):
        assert chain.project


def test_a_store_in_a_bucket_is_refused():
    from dedup_assets.core.project import project_of

    with pytest.raises(SettingsError, match="has to be a folder on this machine"):
        project_of("memory://images", "s3://bucket/store")
