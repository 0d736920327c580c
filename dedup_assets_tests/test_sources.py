"""Images behind a URI: what is listed, how it is read, and what a broken connection does."""

import pickle
from types import SimpleNamespace

import pytest

from dedup_assets import DedupComponent, build_dedup_defs
from dedup_assets.core.errors import NoImagesError, SettingsError, SourceError
from dedup_assets.core.sources import connection, source_of
from dedup_assets.core.sources.bucket import Bucket
from dedup_assets.core.sources.facts import etag_of, modified_ns_of
from dedup_assets.core.sources.folder import Folder
from dedup_assets_tests.buckets import FlakyFileSystem, upload
from dedup_assets_tests.chain import chain_in, dataset_folder
from dedup_assets_tests.explorer.support import Page
from dedup_assets_tests.pictures import photo, put, put_photos


@pytest.fixture
def flaky(monkeypatch):
    """What breaks is set with `flaky(function)`; nobody waits between attempts."""
    monkeypatch.setattr(connection, "_PAUSES_SECONDS", (0, 0, 0))
    return lambda broken: monkeypatch.setattr(FlakyFileSystem, "broken", staticmethod(broken))


def refuse(wanted, error=None):
    """A connection that breaks on what `wanted(what, path)` says."""

    def broken(what, path):
        if wanted(what, path):
            raise error or ConnectionResetError("connection reset")

    return broken


@pytest.fixture
def photos(tmp_path, memory_root):
    """Six photos, two of them in folders, in a folder and behind both URIs of memory."""
    put_photos(tmp_path / "images", range(4))
    put(photo(0), tmp_path / "images" / "copies" / "a.png")
    put(photo(5), tmp_path / "images" / "other" / "deep" / "b.png")
    upload(tmp_path / "images", f"memory://{memory_root}")
    return f"memory://{memory_root}", f"flaky://{memory_root}"


def ids(source):
    return [file.image_id for file in source.listing().files]


def test_a_path_is_a_folder_and_a_uri_is_a_bucket(tmp_path):
    assert source_of(tmp_path) == source_of(str(tmp_path)) == source_of(f"file://{tmp_path}") == Folder(tmp_path)
    assert source_of("memory://photos/") == Bucket("memory://photos")
    assert source_of(Bucket("memory://photos")) == Bucket("memory://photos")


def test_a_uri_nobody_can_open_is_refused_with_the_ones_that_can():
    with pytest.raises(SettingsError, match=r"'beam://up' has an unknown protocol 'beam'; use s3://"):
        source_of("beam://up")


def test_a_protocol_whose_package_is_missing_names_the_extra(monkeypatch):
    def missing(uri, **options):
        raise ImportError("Install gcsfs to access Google Storage")

    monkeypatch.setattr("fsspec.core.url_to_fs", missing)
    with pytest.raises(SettingsError, match=r"'gs://some-bucket' needs a package.*pip install 'dedup-assets\[gs\]'"):
        source_of("gs://some-bucket")


def test_a_bucket_lists_what_a_folder_lists(tmp_path, photos):
    for name in ("notes.txt", ".hidden.png", ".git/inner.png", "store/dedup.duckdb", "store/thumbnails/x.jpg"):
        path = tmp_path / "images" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"other")
    upload(tmp_path / "images", photos[0])
    assert ids(source_of(photos[0])) == ids(Folder(tmp_path / "images"))


def test_a_listing_of_another_kind_of_file_leaves_the_images_out(tmp_path, photos):
    (tmp_path / "images" / "other" / "b.XML").write_text("<x/>")
    upload(tmp_path / "images", photos[0])
    for source in (source_of(photos[0]), Folder(tmp_path / "images")):
        (file,) = source.listing((".xml",)).files
        assert source.file(file.image_id).read_bytes() == b"<x/>"


def test_a_listing_can_be_kept_to_some_images(photos):
    listing = source_of(photos[0]).listing()
    only = listing.only(["000.png", "copies/a.png", "no_such.png"])
    assert [file.image_id for file in only.files] == ["000.png", "copies/a.png"]
    assert only.ignored == listing.ignored + 4


def test_a_source_travels_between_processes(photos):
    for source in (source_of(photos[0]), Folder("/images")):
        assert pickle.loads(pickle.dumps(source)) == source
    assert ids(pickle.loads(pickle.dumps(source_of(photos[0])))) == ids(source_of(photos[0]))


def test_an_image_is_named_by_its_uri_too(photos):
    source = source_of(photos[0])
    assert source.identify(source.place("copies/a.png")) == "copies/a.png"
    assert source.identify("memory://elsewhere/a.png") is None


@pytest.mark.parametrize(
    ("entry", "time", "version"),
    [
        ({"LastModified": "2024-01-02T03:04:05Z", "ETag": '"abc"'}, 1_704_164_645_000_000_000, "abc"),
        ({"mtime": 1.5, "generation": 7}, 1_500_000_000, "7"),
        ({"updated": "no time"}, 0, None),
        ({}, 0, None),
    ],
)
def test_times_and_versions_are_read_as_each_service_tells_them(entry, time, version):
    assert (modified_ns_of(entry), etag_of(entry)) == (time, version)


def test_a_bucket_gives_the_results_of_the_folder(tmp_path, photos):
    local, remote = chain_in(tmp_path), chain_in(tmp_path / "remote", photos[0], placement="copy")
    local.run()
    summaries = remote.run()
    assert remote.results() == local.results()
    placed = dataset_folder(summaries) / "images"
    assert {path.name: path.read_bytes() for path in placed.glob("*.png")} == {
        path.name: path.read_bytes() for path in (tmp_path / "images").glob("*.png")
    }
    assert remote.run()["raw_images"].read == 0


def test_only_what_changed_in_a_bucket_is_read_again(tmp_path, photos):
    chain = chain_in(tmp_path, photos[0])
    assert chain.scan().read == 6
    assert chain.scan().read == 0
    upload(put(photo(9), tmp_path / "changed" / "001.png").parent, photos[0])
    assert chain.scan().read == 1


@pytest.mark.parametrize("placement", ["symlink", "hardlink"])
def test_an_image_in_a_bucket_cannot_be_linked_to(tmp_path, photos, placement):
    with pytest.raises(SettingsError, match=f"placement is '{placement}', but .* use copy or none"):
        chain_in(tmp_path, photos[0], placement=placement).run()


def test_a_place_that_holds_nothing_is_no_empty_dataset(tmp_path):
    with pytest.raises(NoImagesError, match=r"'memory://test/nowhere' does not exist, or holds nothing"):
        chain_in(tmp_path, "memory://test/nowhere").scan()


def test_a_connection_that_breaks_now_and_then_is_asked_again(tmp_path, photos, flaky):
    calls = {}

    def every_second(what, path):
        calls[what, path] = calls.get((what, path), 0) + 1
        if calls[what, path] % 2:
            raise ConnectionResetError("connection reset")

    flaky(every_second)
    chain = chain_in(tmp_path, photos[1])
    assert chain.scan().problems == {}
    assert len(chain.rows()) == 6


@pytest.mark.parametrize("error", [ConnectionResetError("connection reset"), PermissionError("Access Denied")])
def test_a_listing_that_fails_part_way_stops_the_scan_and_changes_nothing(tmp_path, photos, flaky, error):
    chain = chain_in(tmp_path, photos[1])
    chain.scan()
    before = chain.results()
    flaky(refuse(lambda what, path: what == "ls" and path.endswith("/deep"), error))
    with pytest.raises(NoImagesError, match=r"cannot list 'flaky://test/\w+/other/deep' \((connection|Access)"):
        chain.scan()
    assert chain.results() == before


def test_an_image_that_cannot_be_had_is_a_row_while_the_bucket_answers(tmp_path, photos, flaky):
    flaky(refuse(lambda what, path: what == "cat" and path.endswith("002.png")))
    chain = chain_in(tmp_path, photos[1])
    chain.run()
    row = chain.rows()["002.png"]
    assert (row["status"], "connection reset" in row["error"]) == ("unreachable", True)
    flaky(lambda what, path: None)
    assert chain.scan().read == 1
    assert chain.rows()["002.png"]["status"] == "ok"


@pytest.mark.parametrize(
    "error", [ConnectionResetError("reset"), PermissionError("expired"), FileNotFoundError("gone")]
)
def test_a_bucket_that_stops_answering_stops_the_scan_and_what_was_known_stays(tmp_path, photos, flaky, error):
    chain = chain_in(tmp_path, photos[1])
    chain.scan()
    before = chain.results()
    upload(put(photo(11), tmp_path / "more" / "new.png").parent, photos[0])
    flaky(refuse(lambda what, path: what != "ls", error))
    with pytest.raises(SourceError, match=r"'flaky://test/\w+' does not answer any more .* run again to go on"):
        chain.scan()
    assert chain.results() == before


@pytest.mark.parametrize(("error", "status"), [(PermissionError("no"), "denied"), (FileNotFoundError(), "vanished")])
def test_what_the_bucket_says_of_one_image_is_its_status(tmp_path, photos, flaky, error, status):
    flaky(refuse(lambda what, path: what == "cat" and path.endswith("002.png"), error))
    chain = chain_in(tmp_path, photos[1])
    chain.scan()
    assert chain.rows()["002.png"]["status"] == status


def test_images_known_already_do_not_need_the_connection(tmp_path, photos, flaky):
    chain = chain_in(tmp_path, photos[1])
    chain.run()
    flaky(refuse(lambda what, path: what == "cat"))
    assert chain.run()["raw_images"].read == 0


def test_a_connection_lost_while_pairs_are_compared_stops_the_run_with_a_sentence(tmp_path, photos, flaky):
    put(photo(0).point(lambda value: min(value + 3, 255)), tmp_path / "images" / "near.png")
    upload(tmp_path / "images", photos[0])
    chain = chain_in(tmp_path, photos[1])
    chain.scan()
    flaky(refuse(lambda what, path: what in ("cat", "info")))
    with pytest.raises(SourceError, match="does not answer any more"):
        chain.run()


def test_the_explorer_shows_pictures_of_a_bucket_and_outlives_a_lost_connection(tmp_path, photos, flaky):
    chain = chain_in(tmp_path, photos[1])
    chain.run()
    page, rows = Page(chain.store), chain.rows()
    shown, other = (rows[image]["file_hash"] for image in ("001.png", "002.png"))
    assert page.get(f"/original/{shown}").content == (tmp_path / "images" / "001.png").read_bytes()
    assert page.get(f"/thumb/320/{shown}").headers["content-type"] == "image/jpeg"
    flaky(refuse(lambda what, path: True))
    assert page.get(f"/thumb/320/{shown}").status_code == 200  # kept in the store
    assert page.get(f"/thumb/320/{other}").status_code == 404
    assert page.get("/").status_code == 200


def test_definitions_and_components_take_a_uri(tmp_path, photos):
    target = f"{photos[0]}_cleaned"
    defs = build_dedup_defs(photos[0], tmp_path / "store", dataset_target=target)
    assert photos[0] in defs.resolve_job_def("deduplicate").description
    component = DedupComponent(images=photos[0], store=str(tmp_path / "other"), dataset_target=target)
    found = component.build_defs(SimpleNamespace(path=tmp_path))
    assert photos[0] in found.resolve_job_def("deduplicate").description
