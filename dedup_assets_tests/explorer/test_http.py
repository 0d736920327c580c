"""The Explorer over HTTP: what its pages hold, and what it refuses."""

import hashlib
import html
import os
import shutil
import time

import pytest

from dedup_assets.core.errors import StoreError
from dedup_assets.core.exploring.decision_file import DecisionFile, NewDecision
from dedup_assets.core.exploring.identity import identity
from dedup_assets.core.exploring.thumbnails import thumbnail
from dedup_assets.core.sources.base import InMemory
from dedup_assets.core.storage import schema
from dedup_assets.core.storage.store import Store
from dedup_assets.explorer.pages import PAGES
from dedup_assets.explorer.security import STORE_HEADER
from dedup_assets_tests.explorer.support import BROKEN, GROUPS, HOSTILE, Page


def hash_of(page, image_id):
    return next(tile["hash"] for tile in page.get("/api/images", limit=400).json()["tiles"] if tile["id"] == image_id)


@pytest.mark.parametrize(
    "path", ["/", "/grid", "/review", "/collections", "/whatif", "/plan", "/labels", "/leakage", "/versions", "/audit"]
)
def test_every_page_answers_with_a_policy_against_foreign_scripts(page, path):
    answer = page.get(path)
    assert answer.status_code == 200
    assert "script-src 'self'" in answer.headers["content-security-policy"]
    assert "default-src 'none'" in answer.headers["content-security-policy"]
    assert answer.headers["x-content-type-options"] == "nosniff"


def test_the_overview_counts_what_the_chain_found_and_names_broken_files(page):
    text = page.get("/").text
    assert "Duplicates</dt><dd>3<" in text
    assert f"<dd>{GROUPS}</dd>" in text
    assert BROKEN in text
    assert "not in an image format" in text or "unreadable" in text


def test_a_file_name_with_html_in_it_is_shown_as_text(page):
    assert HOSTILE in page.ids()
    for path in ("/", "/grid", "/audit"):
        assert "<img src=x" not in page.get(path).text
    answer = page.get("/image", id=HOSTILE)
    assert "<img src=x" not in answer.text
    assert html.escape(HOSTILE.rpartition("/")[2]) in answer.text


def test_an_unknown_image_or_page_is_not_found(page):
    assert page.get("/image", id="../../etc/passwd").status_code == 404
    assert page.get("/nothing").status_code == 404


def test_a_request_for_another_host_is_refused(page):
    assert page.http.get("/", headers={"host": "evil.example"}).status_code == 403
    assert page.http.get("/", headers={"host": "localhost:8765"}).status_code == 200
    assert page.http.get("/", headers={"host": "[::1]:8765"}).status_code == 200


@pytest.mark.parametrize(
    "headers",
    [
        {"origin": "http://evil.example"},
        {"origin": "null"},
        {"origin": "http://127.0.0.1:1"},
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site"},
        {"x-dedup-token": "guessed"},
    ],
)
def test_a_write_from_elsewhere_is_refused(page, store, headers):
    body = {"images": ["train/0.png"], "decision": "keep"}
    assert page.http.post("/api/decide", json=body, headers={**page.headers, **headers}).status_code == 403
    assert not store.decisions_file.exists()


def test_a_write_without_the_token_is_refused(page, store):
    assert page.http.post("/api/decide", json={"images": ["train/0.png"], "decision": "keep"}).status_code == 403
    assert not store.decisions_file.exists()


def test_a_write_from_the_page_of_another_store_is_refused_by_name(page, store, made, tmp_path):
    shutil.copytree(store.folder, tmp_path / "copy")
    other = Page(Store(tmp_path / "copy"))
    decision = {"json": {"images": ["train/0.png"], "decision": "keep"}}
    answer = page.http.post(
        "/api/decide", **decision, headers={**page.headers, STORE_HEADER: other.headers[STORE_HEADER]}
    )
    assert answer.status_code == 412
    assert str(store.folder) in answer.json()["error"]
    without = {name: value for name, value in page.headers.items() if name != STORE_HEADER}
    assert page.http.post("/api/decide", **decision, headers=without).status_code == 412
    assert not store.decisions_file.exists()


def test_a_store_stays_the_same_one_and_its_copy_or_a_new_one_in_its_place_is_another(store, tmp_path):
    first = identity(store)
    assert identity(Store(store.folder)) == first
    shutil.copytree(store.folder, tmp_path / "copy")
    assert identity(Store(tmp_path / "copy")) != first
    kept = store.folder.rename(tmp_path / "kept")
    shutil.copytree(kept, store.folder, ignore=shutil.ignore_patterns(".explorer_id"))
    assert identity(store) != first


def test_a_store_in_which_nothing_can_be_noted_is_told_by_its_folder(store):
    (store.folder / ".explorer_id").mkdir()
    assert f'name="dedup-store" content="{identity(store)}"' in Page(store).get("/").text


def test_reading_never_writes(page):
    assert page.get("/api/decide").status_code == 405
    assert page.get("/api/review/decide").status_code == 405


def test_pictures_are_served_by_content_and_kept_as_thumbnails(page, store):
    content = hash_of(page, "train/0.png")
    first = page.get(f"/thumb/320/{content}")
    assert first.headers["content-type"] == "image/jpeg"
    assert "immutable" in first.headers["cache-control"]
    assert list((store.folder / "thumbnails" / "320").rglob(f"{content}.jpg"))
    assert page.get(f"/thumb/320/{content}").content == first.content


@pytest.mark.parametrize(
    "path",
    [
        "/thumb/320/..%2f..%2f..%2fetc%2fpasswd",
        "/thumb/320/%2e%2e/%2e%2e/etc/passwd",
        "/original/..%2fdedup.duckdb",
        "/static/..%2fapp.py",
        "/static/%2e%2e/app.py",
        "/thumb/999/" + "0" * 64,
        "/thumb/320/" + "0" * 64,
        "/original/" + "0" * 64,
    ],
)
def test_nothing_but_images_of_the_store_is_served(page, path):
    assert page.http.get(path).status_code == 404


def test_a_file_swapped_for_a_link_after_the_scan_is_not_served(tmp_path, made, store):
    page = Page(store)
    content = hash_of(page, "train/7.png")
    secret = tmp_path / "secret.png"
    secret.write_bytes(b"\x89PNG the family silver")
    image = made / "images" / "train" / "7.png"
    kept = image.rename(tmp_path / "kept.png")  # and back with its time, since other tests share it
    try:
        image.symlink_to(secret)
        assert page.get(f"/original/{content}").status_code == 404
        assert page.get(f"/thumb/320/{content}").status_code == 404
    finally:
        image.unlink()
        kept.rename(image)
    assert hashlib.sha256(page.get(f"/original/{content}").content).hexdigest() == content


def test_a_broken_picture_shows_its_status_and_error(page):
    broken = next(tile for tile in page.get("/api/images", label="unreadable").json()["tiles"])
    assert (broken["id"], broken["hash"], broken["score"]) == (BROKEN, None, None)
    text = page.get("/image", id=BROKEN).text
    assert 'class="cannot"' in text
    assert "<img src=" not in text


def test_a_page_answers_while_another_process_holds_the_database(page, store):
    page.get("/api/images")
    with store.connect(write=True) as db:
        db.execute("INSERT INTO tags VALUES ('train/0.png', 'mine', 'by hand', 'x', now()::TIMESTAMP)")
        start = time.monotonic()
        assert page.get("/api/images").status_code == 200
        assert time.monotonic() - start < 1.0


def test_a_page_is_told_that_it_is_behind_the_store(page, store):
    assert page.get("/api/run").json()["behind"] is False
    with store.connect(write=True):
        os.utime(store.database)
        assert page.get("/api/run").json()["behind"] is True
    page.app.state.explorer.watch.fresh()
    assert page.get("/api/run").json()["behind"] is False


def test_what_is_written_to_the_store_is_soon_seen(page, store):
    before = page.get("/api/filters").json()["tag"]
    with store.connect(write=True) as db:
        db.execute("INSERT INTO tags VALUES ('train/0.png', 'mine', 'by hand', 'x', now()::TIMESTAMP)")
    page.app.state.explorer.watch.fresh()
    assert page.get("/api/filters").json()["tag"] == [*before, ["mine", 1]]


def test_a_store_that_is_not_there_is_one_sentence(tmp_path):
    answer = Page(Store(tmp_path / "none")).get("/api/images")
    assert answer.status_code == 409
    assert "there is no store" in answer.json()["error"]


@pytest.fixture
def gone(page, store, tmp_path):
    """The store that was shown, moved away; where it is now."""
    assert page.get("/review").status_code == 200
    return store.folder.rename(tmp_path / "moved")


@pytest.mark.parametrize("path", [*(path for path, _ in PAGES), "/api/images", "/api/review", "/api/run"])
def test_a_store_that_went_away_is_told_and_shown_again_once_it_is_back(page, store, gone, path):
    answer = page.get(path)
    assert answer.status_code == 409
    assert "is gone; bring it back" in answer.text
    gone.rename(store.folder)
    assert page.get(path).status_code == 200


WRITES = {
    "/api/review/decide": {"group": "train/2.png", "action": "accept"},
    "/api/review/undo": {},
    "/api/decide": {"images": ["train/0.png"], "decision": "keep"},
    "/api/collections/add": {"tag": "mine", "images": ["train/0.png"]},
    "/api/collections/take": {"tag": "mine", "everything": True},
    "/api/run": {},
    "/api/plan/outcome": {},
}


@pytest.mark.parametrize("path", WRITES)
def test_nothing_is_written_where_a_store_went_away(page, store, gone, path):
    answer = page.post(path, **WRITES[path])
    assert answer.status_code == 409
    assert "is gone; bring it back" in answer.json()["error"]
    assert not store.folder.exists()


def test_a_decisions_file_whose_folder_is_missing_makes_none(tmp_path):
    with pytest.raises(StoreError, match="its folder is not there; bring it back or make it"):
        DecisionFile(tmp_path / "none" / "decisions.csv").record([NewDecision("a.png", "keep")], "ann", "")
    assert not (tmp_path / "none").exists()


def test_a_thumbnail_makes_no_store(tmp_path, made):
    store, picture = Store(tmp_path / "none"), (made / "images" / "train" / "0.png").read_bytes()
    assert thumbnail(store, InMemory(".png", picture), "0" * 64).startswith(b"\xff\xd8")
    assert not store.folder.exists()


def test_a_request_that_is_no_json_or_of_the_wrong_shape_is_one_sentence(page):
    bad = page.http.post("/api/decide", content=b"{", headers=page.headers)
    assert (bad.status_code, bad.json()["error"]) == (400, "the request is not JSON")
    assert page.post("/api/decide", images="train/0.png", decision="keep").status_code == 400
    assert page.post("/api/decide", images=["train/0.png"], decision="burn").status_code == 400
    assert page.get("/api/images", min="low").status_code == 409


def test_the_audit_finds_removals_by_text_reason_and_state(page, store):
    assert "3</strong> removals" in page.get("/audit").text
    assert "1</strong> removals" in page.get("/audit", q="0_COPY").text
    assert "3</strong> removals" in page.get("/audit", reason="identical").text
    assert "0</strong> removals" in page.get("/audit", state="restored").text
    assert len(store.read(schema.REMOVALS)) == 3
