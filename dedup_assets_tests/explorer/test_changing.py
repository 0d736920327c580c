"""The plan, the history of an image and the dataset versions, over HTTP."""

import time

import pytest

from dedup_assets.core.lineage.versions import current_version
from dedup_assets.core.project import remembered
from dedup_assets.core.run import Run
from dedup_assets.core.steps import collect_duplicates, write_dataset
from dedup_assets.core.storage import schema
from dedup_assets.core.storage.store import Store
from dedup_assets_tests.explorer.support import COPIES, HOSTILE, Page, apply_decisions, make_images, run_chain, scene
from dedup_assets_tests.pictures import put


@pytest.fixture
def decided(page, store):
    """The store with a second dataset version, without one image that a person decided about; the first one's name."""
    first = current_version(store)
    page.post("/api/decide", images=[HOSTILE], decision="discard", reviewer="ann")
    apply_decisions(remembered(store))
    page.app.state.explorer.watch.fresh()
    return first


def test_where_a_run_stopped_before_the_dataset_the_pages_say_so(page, store):
    older, unlike = "The dataset that stands is older than these numbers", "The dataset that stands, "
    page.post("/api/decide", images=[HOSTILE], decision="discard", reviewer="ann")
    collect_duplicates(remembered(store), Run())
    page.app.state.explorer.watch.fresh()
    assert older in page.get("/").text
    assert f"{unlike}{current_version(store)}, still holds it" in page.get("/image", id=HOSTILE).text
    assert unlike not in page.get("/image", id="train/0.png").text
    write_dataset(remembered(store), Run())
    page.app.state.explorer.watch.fresh()
    assert older not in page.get("/").text
    assert unlike not in page.get("/image", id=HOSTILE).text


def work_out(page):
    assert page.post("/api/plan/outcome").status_code == 200
    deadline = time.monotonic() + 60
    while page.get("/api/plan/outcome").json()["running"]:
        assert time.monotonic() < deadline
        time.sleep(0.1)
    assert page.get("/api/plan/outcome").json()["failed"] is None
    return page.get("/api/plan").json()


def test_the_plan_of_an_unchanged_folder_has_nothing_to_do(page):
    found = page.get("/api/plan").json()
    plan = found["plan"]
    assert [plan[kind]["total"] for kind in ("new", "changed", "vanished", "renamed")] == [0, 0, 0, 0]
    assert (plan["toRead"], plan["decisionsNew"], plan["outcome"], found["full"]) == (0, 0, None, False)


def test_the_plan_tells_decisions_that_wait_and_asked_for_who_would_leave(page, store):
    page.post("/api/decide", images=[HOSTILE], decision="discard", reviewer="ann")
    assert page.get("/api/plan").json()["plan"]["decisionsNew"] == 1
    standing, removals = current_version(store), len(store.read(schema.REMOVALS))
    found = work_out(page)
    assert [gone["id"] for gone in found["plan"]["outcome"]["leave"]["shown"]] == [HOSTILE]
    assert found["full"]
    assert HOSTILE in found["hashes"]
    assert (current_version(store), len(store.read(schema.REMOVALS))) == (standing, removals)
    page.post("/api/decide", images=["train/7.png"], decision="discard", reviewer="ann")
    later = page.get("/api/plan").json()
    assert (later["full"], later["outdated"], later["plan"]["outcome"]) == (False, True, None)


def test_the_plan_names_new_and_vanished_files_and_a_folder_that_is_gone(tmp_path):
    make_images(tmp_path / "images")
    run_chain(tmp_path / "images", Store(tmp_path / "own"))
    page = Page(Store(tmp_path / "own"))
    put(scene(50), tmp_path / "images" / "new.png")
    (tmp_path / "images" / "train" / "7.png").unlink()
    plan = page.get("/api/plan").json()["plan"]
    assert ([one["id"] for one in plan["new"]["shown"]], plan["toRead"]) == (["new.png"], 1)
    assert [one["id"] for one in plan["vanished"]["shown"]] == ["train/7.png"]
    (tmp_path / "images").rename(tmp_path / "elsewhere")
    answer = page.get("/api/plan")
    assert answer.status_code == 409
    assert str(tmp_path / "images") in answer.json()["error"]


def test_the_page_of_an_image_tells_its_history(page, decided):
    text = page.get("/image", id=HOSTILE).text
    assert text.index("first seen:") < text.index("removed: ")
    assert "decided by ann: discard" in text
    assert "removed: " in page.get("/image", id=COPIES[0]).text


def test_the_versions_page_compares_the_last_two_or_those_named(page, store, decided):
    text = page.get("/versions").text
    assert f"To {current_version(store)}" in text
    assert '<section id="removed"' in text
    assert "decided by ann" in text or "discard" in text
    back = page.get("/versions", before=current_version(store), after=decided).text
    assert '<section id="restored"' in back
    assert '<section id="removed"' not in back
    assert "<img src=x" not in text + back
    assert "there is no dataset version &#39;nothing&#39;" in page.get("/versions", before="nothing", after="x").text


def test_a_person_goes_back_to_an_earlier_version_from_the_page(page, store, decided):
    answer = page.post("/api/versions/back", version=decided, reviewer="ann")
    assert (answer.status_code, answer.json()["restored"]) == (200, 1)
    assert answer.json()["decisionsDiffer"]
    assert current_version(store) == decided
    assert store.read(schema.EVENTS).iloc[-1]["done_by"] == "ann"
    assert "by going back to" in page.get("/image", id=HOSTILE).text


def test_going_back_tells_which_images_are_not_as_they_were(tmp_path):
    images, store = tmp_path / "images", Store(tmp_path / "store")
    make_images(images)
    run_chain(images, store)
    first = current_version(store)
    (images / "train" / "7.png").unlink()
    put(scene(60), images / "train" / "6.png")
    run_chain(images, store)
    said = Page(store).post("/api/versions/back", version=first).json()
    assert said["goneNow"] == {"total": 1, "shown": ["train/7.png"]}
    assert said["otherNow"] == {"total": 1, "shown": ["train/6.png"]}
    assert said["cannotLeave"] == {"total": 0, "shown": []}


def test_going_back_is_refused_without_the_token_and_while_a_run_has_the_store(page, store, decided):
    standing = current_version(store)
    assert page.http.post("/api/versions/back", json={"version": decided}).status_code == 403
    assert page.post("/api/versions/back", version="nothing").status_code == 409
    with store.exclusively(lease=store.lease(Run("other").run_id)):
        answer = page.post("/api/versions/back", version=decided)
    assert answer.status_code == 409
    assert "is using the store" in answer.json()["error"]
    assert current_version(store) == standing
