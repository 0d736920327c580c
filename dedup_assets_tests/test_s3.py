"""Against a real S3 server on this machine: what memory cannot show, such as etags, pages of a listing, and rights."""

import subprocess
import sys

import fsspec
import pytest

from dedup_assets.core.errors import NoImagesError
from dedup_assets.core.sources import connection, source_of
from dedup_assets.core.sources.base import FoundFile
from dedup_assets_tests.chain import chain_in
from dedup_assets_tests.pictures import photo, put, put_photos
from dedup_assets_tests.test_sources import upload

pytest.importorskip("s3fs")
server_module = pytest.importorskip("moto.server")


@pytest.fixture(scope="module")
def s3():
    """A server, with everything in the environment that finds it."""
    server = server_module.ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_ENDPOINT_URL", f"http://{host}:{port}")
        patch.setenv("AWS_ACCESS_KEY_ID", "somebody")
        patch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
        patch.setenv("AWS_DEFAULT_REGION", "us-east-1")
        fsspec.filesystem("s3").mkdir("photos")
        yield fsspec.filesystem("s3")
    server.stop()


@pytest.fixture
def images(tmp_path, s3, request):
    """Photos with a copy and a near duplicate, in a folder and under a prefix of their own."""
    put_photos(tmp_path / "images", range(4))
    put(photo(0), tmp_path / "images" / "copies" / "näher & so+on.png")
    put(photo(1).point(lambda value: min(value + 4, 255)), tmp_path / "images" / "near" / "001.png")
    uri = f"s3://photos/{abs(hash(request.node.name))}"
    upload(tmp_path / "images", uri)
    return uri


def test_a_run_over_a_bucket_gives_the_tables_of_the_folder(tmp_path, images):
    local, remote = chain_in(tmp_path), chain_in(tmp_path / "remote", images)
    local.run()
    remote.run()
    assert remote.results() == local.results()
    assert remote.run()["raw_images"].read == 0


def test_an_object_written_anew_is_told_by_its_etag(tmp_path, images, s3):
    chain = chain_in(tmp_path, images)
    chain.scan()
    (before,) = (file for file in source_of(images).listing().files if file.image_id == "001.png")
    data = bytearray(s3.cat_file(f"{images}/001.png"))
    data[-1] ^= 1  # the same size, within the second that S3 counts in
    s3.pipe_file(f"{images}/001.png", bytes(data))
    (after,) = (file for file in source_of(images).listing().files if file.image_id == "001.png")
    assert (after.size_bytes, after.etag != before.etag) == (before.size_bytes, True)
    assert chain.scan().read == 1


def test_a_folder_of_more_objects_than_a_page_is_listed_whole(s3, monkeypatch):
    monkeypatch.setenv("MOTO_S3_DEFAULT_MAX_KEYS", "10")  # the server's page; Amazon's is a thousand
    s3.pipe({f"photos/pages/inner/{number:04d}.jpg": b"x" for number in range(25)})
    assert len(s3.call_s3("list_objects_v2", Bucket="photos", Prefix="pages")["Contents"]) == 10
    files = source_of("s3://photos/pages").listing().files
    assert [file.image_id for file in files] == [f"inner/{number:04d}.jpg" for number in range(25)]
    assert isinstance(files[0], FoundFile)
    assert files[0].etag
    assert files[0].modified_ns > 0


def test_odd_keys_are_listed_as_they_are_and_read_back(s3):
    for key in ("w ith%20?#.jpg", "deep/dir.jpg/a.jpg", "deep//no_path.jpg"):
        s3.call_s3("put_object", Bucket="photos", Key=f"odd/{key}", Body=b"x")
    s3.call_s3("put_object", Bucket="photos", Key="odd/deep/", Body=b"")  # the mark of a folder
    listing = source_of("s3://photos/odd").listing()
    assert [file.image_id for file in listing.files] == ["deep/dir.jpg/a.jpg", "w ith%20?#.jpg"]
    assert listing.ignored == 2
    assert {source_of("s3://photos/odd").file(file.image_id).read_bytes() for file in listing.files} == {b"x"}


def test_a_bucket_that_is_not_there_is_no_empty_dataset(tmp_path, s3):
    with pytest.raises(NoImagesError, match=r"'s3://nowhere/x' does not exist, or holds nothing"):
        chain_in(tmp_path, "s3://nowhere/x").scan()


def test_a_dataset_is_delivered_to_a_bucket(tmp_path, images, s3):
    chain = chain_in(tmp_path, images, dataset_target="s3://photos/datasets", placement="copy")
    place = chain.run()["deduplicated_dataset"].delivered
    kept = {path.removeprefix(f"{place}/").removeprefix("s3://") for path in s3.find(f"{place}/images")}
    assert len(kept) == 5
    assert s3.cat_file(f"{place}/images/near/001.png") == s3.cat_file(f"{images}/near/001.png")
    assert s3.exists(f"{place}/summary.json")


def test_the_command_line_takes_a_uri(tmp_path, images):
    code = "import sys; from dedup_assets.cli import main; sys.exit(main())"
    command = [sys.executable, "-c", code, "run", images, "--store", str(tmp_path / "store")]
    ran = subprocess.run(command, capture_output=True, text=True)
    assert (ran.returncode, ran.stderr) == (0, "")
    assert f"under {images}" in ran.stdout
    stored = (tmp_path / "store" / "dedup.duckdb").read_bytes()
    assert not [word for word in (b"somebody", b"secret") if word in stored]


def test_a_server_that_is_gone_stops_the_run_with_a_sentence(tmp_path, monkeypatch):
    monkeypatch.setattr(connection, "_PAUSES_SECONDS", ())
    options = {
        "endpoint_url": "http://127.0.0.1:9",
        "key": "k",
        "secret": "s",
        "config_kwargs": {"retries": {"max_attempts": 0}},
    }
    monkeypatch.setitem(fsspec.config.conf, "s3", options)
    with pytest.raises(
        NoImagesError, match=r"cannot list 's3://gone/photos' \(Could not connect .*nothing was changed"
    ):
        chain_in(tmp_path, "s3://gone/photos").scan()
