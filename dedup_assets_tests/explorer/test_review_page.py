"""The review in a real browser: by keyboard and mouse, by several people, with a server that comes and goes."""

import re
import shutil
import time
from pathlib import Path
from urllib.parse import urlencode

import pytest

from dedup_assets.core.project import remembered
from dedup_assets.core.run import Run
from dedup_assets.core.settings import Thresholds
from dedup_assets.core.steps import score_uniqueness
from dedup_assets.core.storage import schema
from dedup_assets.core.storage.store import Store
from dedup_assets_tests.explorer.support import (
    COPIES,
    GROUPS,
    apply_decisions,
    decisions,
    run_chain,
    scene,
    served,
    serving,
    wait_for_done,
)
from dedup_assets_tests.pictures import put

sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")


def decide_in_vain(tab, store, serving=served):
    """Decide to remove an image while no server answers; the port of the one that did."""
    with serving(store) as (address, port):
        tab.goto(f"{address}review?group=train/2.png")
        tab.get_by_text("Suggested: keep").wait_for()
    tab.keyboard.press("r")
    tab.get_by_text("The server does not answer. 1 decision kept").wait_for()
    return port


def test_the_review_is_done_by_keyboard_alone(tab, store):
    tab.goto("/review")
    wait_for_done(tab, 0)
    for done, key in enumerate(["r", "Enter", "n"], start=1):
        tab.wait_for_selector("[data-members] [aria-current=true]")
        tab.keyboard.press(key)
        wait_for_done(tab, done)
    tab.keyboard.press("u")
    wait_for_done(tab, 2)
    tab.keyboard.press("n")
    wait_for_done(tab, 3)
    tab.keyboard.press("d")
    wait_for_done(tab, GROUPS)
    tab.get_by_role("heading", name="All done").wait_for()
    assert set(decisions(store).values()) == {"remove", "not_duplicate", "discard"}
    assert apply_decisions(remembered(store)).removed > len(COPIES)


def test_another_keeper_is_chosen_by_its_number(tab, store):
    tab.goto("/review?group=train/2.png")
    tab.get_by_text("Suggested: keep").wait_for()
    tab.keyboard.press("2")
    tab.get_by_text("You chose: keep").wait_for()
    assert tab.inner_text("[data-suggestion]") == "You chose: keep 2_again.png, remove the other"
    tab.keyboard.press("Enter")
    wait_for_done(tab, 1)
    assert decisions(store) == {"train/2.png": "remove"}


def test_a_duplicate_is_not_discarded_by_itself_and_its_keeper_names_what_goes_too(tab, store):
    tab.goto(f"/image?{urlencode({'id': COPIES[0]})}")
    sync_api.expect(tab.get_by_role("button", name="Keep", exact=True)).to_be_visible()
    sync_api.expect(tab.get_by_role("button", name="Discard")).to_have_count(0)
    scores = store.read(schema.SCORES).set_index("image_id")
    keeper = scores.loc[COPIES[0], "keeper_id"]
    copies = scores.index[scores["keeper_id"] == keeper]
    tab.goto(f"/image?{urlencode({'id': keeper})}")
    sync_api.expect(tab.get_by_text("Discard lets the picture go altogether")).to_be_visible()
    tab.get_by_role("button", name="Discard").click()
    tab.get_by_text("decided: discard", exact=True).wait_for()
    assert decisions(store) == {keeper: "discard"}
    summary = apply_decisions(remembered(store))
    kept = Path(summary.folder, "manifest.csv").read_text()
    assert not [name for name in (keeper, *copies) if name in kept]
    tab.get_by_role("button", name="Undo").click()
    sync_api.expect(tab.get_by_text("decided: discard", exact=True)).to_have_count(0)
    assert decisions(store) == {}


def test_a_decision_of_before_is_undone_on_the_page_of_its_image_and_that_of_another_is_not(tab, page, store):
    page.post("/api/decide", images=["train/6.png"], decision="keep", reviewer="bob")
    tab.goto("/image?id=train/6.png")
    tab.get_by_role("button", name="Undo").click()
    tab.get_by_text("You did not decide about this image alone").wait_for()
    assert decisions(store) == {"train/6.png": "keep"}
    tab.get_by_label("Reviewer name").fill("bob")
    tab.get_by_role("button", name="Undo").click()
    sync_api.expect(tab.get_by_text("decided: keep", exact=True)).to_have_count(0)
    assert decisions(store) == {}


def test_who_decided_that_an_image_stays_is_said_as_the_reason(tab):
    tab.goto("/review?group=train/2.png")
    tab.get_by_label("Reviewer name").fill("Ann")
    tab.get_by_label("Reviewer name").press("Tab")
    tab.locator("main").focus()
    tab.get_by_text("Suggested: keep").wait_for()
    tab.keyboard.press("k")
    tab.get_by_text("Ann decided to keep it").wait_for()
    said = "Suggested: keep 2_again.png, remove the other; Ann decided to keep it"
    assert tab.inner_text("[data-suggestion]") == said
    tab.keyboard.press("1")
    sync_api.expect(tab.locator("[data-suggestion]")).to_have_text(said)


def test_skipping_and_arrows_move_without_deciding(tab, store):
    tab.goto("/review")
    tab.get_by_text("Group 1 of 4").wait_for()
    tab.keyboard.press("s")
    tab.get_by_text("Group 2 of 4").wait_for()
    tab.keyboard.press("j")
    tab.get_by_text("Group 3 of 4").wait_for()
    tab.keyboard.press("ArrowUp")
    tab.get_by_text("Group 2 of 4").wait_for()
    assert decisions(store) == {}


def test_refusing_to_remove_the_last_one_is_told(tab, store):
    tab.goto("/review?group=train/2.png")
    tab.get_by_text("Suggested: keep").wait_for()
    tab.keyboard.press("r")
    wait_for_done(tab, 1)
    tab.goto("/review?group=train/2.png")
    tab.get_by_text("This group is decided.").wait_for()
    tab.keyboard.press("ArrowLeft")
    tab.keyboard.press("r")
    tab.get_by_text("would leave no copy").wait_for()
    assert decisions(store) == {"test/2_again.png": "remove"}


def test_a_second_tab_is_told_of_the_first_ones_decision_and_shows_the_group_again(tab, store):
    tab.goto("/review?group=train/2.png")
    tab.get_by_text("Suggested: keep").wait_for()
    other = tab.context.new_page()
    other.goto("/review?group=train/2.png")
    other.get_by_text("Suggested: keep").wait_for()
    other.keyboard.press("Enter")
    wait_for_done(other, 1)
    tab.keyboard.press("n")
    tab.get_by_text("decided to remove 'test/2_again.png' in favour of 'train/2.png'").wait_for()
    tab.get_by_text("This group is decided.").wait_for()
    assert decisions(store) == {"test/2_again.png": "remove"}


def test_a_broken_decisions_file_stays_told_and_covers_no_button(tab, store):
    tab.goto("/review?group=train/2.png")
    tab.get_by_text("Suggested: keep").wait_for()
    store.decisions_file.write_text("image_id,decision\ntrain/nowhere.png,keep\n")
    tab.keyboard.press("k")
    banner = tab.locator("[data-banner]")
    sync_api.expect(banner).to_contain_text("unknown image 'train/nowhere.png'")
    skip = tab.get_by_role("button", name="Skip").bounding_box()
    assert skip["y"] + skip["height"] <= tab.viewport_size["height"]
    assert banner.bounding_box()["y"] + banner.bounding_box()["height"] <= tab.locator("main").bounding_box()["y"]
    store.decisions_file.unlink()
    tab.keyboard.press("k")
    sync_api.expect(banner).to_be_hidden()
    assert decisions(store) == {"test/2_again.png": "keep"}


def test_the_plan_page_keeps_saying_that_the_decisions_file_is_broken(tab, store):
    store.decisions_file.write_text("image_id,decision\ntrain/nowhere.png,keep\n")
    tab.goto("/plan")
    tab.get_by_role("alert").get_by_text(
        "A run would stop, and leave the dataset as it is: decisions.csv line 2"
    ).wait_for()
    assert tab.get_by_role("button", name="Run now").is_disabled()


def test_flicker_swipe_and_difference_compare_two_pictures(tab):
    tab.goto("/review?group=train/2.png")
    tab.wait_for_selector(".side .pane")
    tab.keyboard.down("Space")
    tab.wait_for_selector("[data-mode=flicker][aria-checked=true]")
    tab.keyboard.up("Space")
    tab.wait_for_selector(".side .pane")
    tab.get_by_role("radio", name="Swipe").click()
    tab.get_by_role("slider", name="Edge between the two pictures").press("ArrowRight")
    assert tab.get_by_role("slider", name="Edge").get_attribute("aria-valuenow") == "55"
    sync_api.expect(tab.locator(".caption")).to_contain_text("laid over one another")
    tab.get_by_role("radio", name="Difference").click()
    sync_api.expect(tab.locator(".caption")).to_contain_text(re.compile(r"blue, 1\d\.\d %: only in 2\.png"))
    share = float(tab.locator("canvas").get_attribute("data-share"))
    assert 0.1 < share < 1  # one is lighter
    assert "compare=difference" in tab.url


def test_who_wants_no_motion_turns_from_one_picture_to_the_other(tab):
    tab.emulate_media(reduced_motion="reduce")
    tab.goto("/review?group=train/2.png&compare=flicker")
    caption = tab.locator(".caption .path")
    for key, shown in (("", "test/2_again.png"), ("Space", "train/2.png"), ("Space", "test/2_again.png")):
        if key:
            tab.keyboard.press(key)
        sync_api.expect(caption).to_contain_text(shown)
    tab.locator(".one .canvas").click()
    sync_api.expect(caption).to_contain_text("train/2.png")
    assert caption.get_attribute("aria-live") == "off"


def looks(tab):
    return tab.locator(".side .canvas img").evaluate_all("all => all.map(({ style }) => style.cssText)")


def test_a_closer_look_is_had_of_both_pictures_at_the_same_place(tab):
    tab.goto("/review?group=train/2.png&compare=difference")
    tab.get_by_text("Suggested: keep").wait_for()
    pressed = tab.get_by_role("button", name="Zoom")
    tab.keyboard.press("z")
    sync_api.expect(pressed).to_have_attribute("aria-pressed", "true")
    first, second = looks(tab)
    assert "scale(2)" in first
    assert "scale(2)" in second
    tab.keyboard.press("Shift+ArrowRight")
    assert all(after != before for after, before in zip(looks(tab), (first, second), strict=True))
    tab.keyboard.press("2")
    tab.get_by_text("You chose: keep").wait_for()
    assert all("scale(2)" in look for look in looks(tab))
    tab.locator(".side .canvas").first.click()
    sync_api.expect(pressed).to_have_attribute("aria-pressed", "false")
    tab.locator(".side .canvas").first.click()
    tab.keyboard.press("j")
    sync_api.expect(pressed).to_have_attribute("aria-pressed", "false")
    assert not any("scale" in look for look in looks(tab))


def test_the_closer_look_shows_the_file_itself_and_what_was_shown_where_it_is_gone(tab, tmp_path):
    images, store = tmp_path / "images", Store(tmp_path / "large")
    put(scene(1, (1600, 1200)), images / "a.jpg", quality=90)
    put(scene(1, (1600, 1200)).crop((80, 60, 1560, 1170)), images / "b.jpg", quality=90)
    run_chain(images, store)
    with served(store) as (address, _):
        tab.goto(f"{address}review")
        tab.get_by_text("Suggested: keep").wait_for()
        loaded = "() => [...document.querySelectorAll('.canvas img')].filter(img => img.naturalWidth).length === 2"
        tab.wait_for_function(loaded)
        (images / "b.jpg").unlink()
        tab.keyboard.press("z")
        kept, gone = tab.locator(".side .canvas img").all()
        sync_api.expect(kept).to_have_attribute("src", re.compile("^/original/"))
        assert gone.get_attribute("src").startswith("/thumb/1280/")
        assert kept.evaluate("img => img.naturalWidth") == 1600


def test_what_another_reviewer_decided_meanwhile_is_not_asked_again(tab, page, store):
    second = page.get("/api/review").json()["groups"][1][0]
    tab.goto("/review")
    tab.get_by_text("Group 1 of 4").wait_for()
    page.post("/api/review/decide", group=second, action="accept", reviewer="bob")
    tab.keyboard.press("Enter")
    tab.get_by_text("Group 3 of 4").wait_for()
    wait_for_done(tab, 2)


def test_an_address_may_name_any_image_of_a_group(tab):
    tab.goto("/review?group=test/3_small.png")
    tab.get_by_text("3 images").wait_for()
    assert "group=train%2F3.png" in tab.url
    tab.goto("/review?group=train/6.png")
    tab.get_by_text("is in no group of near duplicates").wait_for()
    tab.get_by_text("Group 1 of 4").wait_for()


def test_no_key_decides_about_a_group_that_is_being_left(tab, store):
    tab.goto("/review")
    tab.get_by_text("Group 1 of 4").wait_for()
    held = []
    tab.route("**/api/review/group?*", lambda route: held.append(route))
    tab.keyboard.press("j")
    tab.keyboard.press("j")
    tab.keyboard.press("j")  # none of these is there yet, or was asked for ahead
    tab.locator("[data-stage][aria-busy=true]").wait_for()
    tab.keyboard.press("r")
    for route in held:
        route.continue_()
    tab.get_by_text("Group 4 of 4").wait_for()
    assert decisions(store) == {}


def test_undo_says_what_it_was_about(tab):
    tab.goto("/review?group=train/2.png")
    tab.get_by_text("Suggested: keep").wait_for()
    tab.keyboard.press("r")
    wait_for_done(tab, 1)
    tab.keyboard.press("u")
    tab.get_by_text("Undone: what you decided about 2_again.png.").wait_for()


def test_a_run_that_another_process_ended_is_shown_to_who_comes_back_to_the_page(tab, store):
    tab.goto("/review?group=train/2.png")
    tab.get_by_text("Suggested: keep").wait_for()
    score_uniqueness(remembered(store), Thresholds(0.0001, 0.0002), Run())
    apply_decisions(remembered(store))
    tab.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
    tab.get_by_role("heading", name="Nothing to review").wait_for()


def test_the_images_of_a_group_are_one_stop_of_the_tab_key(tab):
    tab.goto("/review?group=train/3.png")
    tab.get_by_text("Suggested: keep").wait_for()
    framed = tab.locator("[data-members] [aria-current=true]")
    framed.focus()
    tab.keyboard.press("ArrowRight")
    sync_api.expect(framed).to_be_focused()
    tab.keyboard.press("Tab")
    sync_api.expect(tab.get_by_role("button", name="Accept suggestion")).to_be_focused()


def test_a_distance_that_is_none_accepts_nothing(tab, store):
    tab.goto("/review")
    tab.get_by_role("button", name="Accept many").click()
    dialog = tab.get_by_role("dialog")
    dialog.get_by_role("textbox", name="Distance").fill("0.05")
    dialog.get_by_role("textbox", name="Distance").press("Tab")
    dialog.get_by_role("button", name="Remove 5").wait_for()
    dialog.get_by_role("textbox", name="Distance").fill("0.o3")
    dialog.get_by_role("textbox", name="Distance").press("Tab")
    dialog.get_by_text("A distance is a number from 0 to 1.").wait_for()
    sync_api.expect(dialog.get_by_role("button", name="Accept")).to_be_disabled()


def test_a_preview_that_no_longer_holds_is_shown_anew(tab, store):
    tab.goto("/review")
    tab.get_by_role("button", name="Accept many").click()
    dialog = tab.get_by_role("dialog")
    sync_api.expect(dialog.get_by_role("button", name="Remove 5")).to_be_enabled()
    store.decisions_file.write_text("image_id,decision\ntrain/2.png,keep\n")
    dialog.get_by_role("button", name="Remove 5").click()
    dialog.get_by_role("alert").get_by_text("the groups changed since the preview").wait_for()
    dialog.get_by_role("button", name="Remove 4").click()
    wait_for_done(tab, 3)


def test_many_are_accepted_after_a_preview_and_undone_as_one(tab, store):
    tab.goto("/review")
    tab.get_by_role("button", name="Accept many").click()
    tab.get_by_role("dialog").get_by_role("textbox", name="Distance").fill("0.05")
    tab.get_by_role("dialog").get_by_role("textbox", name="Distance").press("Tab")
    tab.get_by_role("button", name="Remove 5").click()
    wait_for_done(tab, GROUPS)
    assert len(decisions(store)) == 5
    tab.keyboard.press("u")
    wait_for_done(tab, 0)
    assert decisions(store) == {}


def test_decisions_made_while_the_server_is_away_are_written_when_it_is_back(tab, store):
    port = decide_in_vain(tab, store, serving)
    with serving(store, port):
        wait_for_done(tab, 1)
        assert list(decisions(store).values()) == ["remove"]


def test_decisions_kept_for_one_store_are_never_written_to_another(tab, store, made, tmp_path):
    shutil.copytree(made / "store", tmp_path / "other")
    other = Store(tmp_path / "other")
    port = decide_in_vain(tab, store)
    with served(other, port):
        tab.get_by_text("The server shows another store by now").wait_for()
        tab.reload()
        wait_for_done(tab, 0)
        assert decisions(other) == {}
    with served(store, port):
        tab.reload()
        wait_for_done(tab, 1)
        assert decisions(store) == {"test/2_again.png": "remove"}


def test_the_reviewers_name_is_remembered_and_written(tab, store):
    tab.goto("/review")
    tab.get_by_label("Reviewer name").fill("Ann Other")
    tab.get_by_label("Reviewer name").press("Tab")
    tab.goto("/review?group=train/4.png")
    assert tab.get_by_label("Reviewer name").input_value() == "Ann Other"
    tab.get_by_role("button", name="Accept suggestion").click()
    wait_for_done(tab, 1)
    assert "Ann Other" in store.decisions_file.read_text()


def cut_off(route):
    """The answer without its end."""
    route.fulfill(status=200, content_type="application/json", body=route.fetch().text()[:-1])


def test_an_answer_that_is_cut_off_is_said_and_asked_for_again(tab, store):
    tab.route("**/api/review/group?*", cut_off)
    tab.goto("/review?group=train/2.png")
    tab.get_by_text("The answer of the server was cut off.").wait_for()
    tab.unroute("**/api/review/group?*")
    tab.reload()
    tab.get_by_text("Suggested: keep").wait_for()
    tab.route("**/api/review/decide", cut_off)
    tab.keyboard.press("r")
    tab.get_by_text("The answer of the server was cut off. 1 decision kept").wait_for()
    tab.unroute("**/api/review/decide")
    wait_for_done(tab, 1)
    assert decisions(store) == {"test/2_again.png": "remove"}


def test_a_question_that_no_server_answers_is_said(tab, store):
    with served(store) as (address, _):
        tab.goto(f"{address}review?group=train/3.png")
        tab.get_by_text("Suggested: keep").wait_for()
    tab.keyboard.press("2")
    tab.locator(".toast", has_text="The server does not answer.").wait_for()


def test_a_decision_from_before_a_reload_is_settled_once_the_groups_are_there(tab, store):
    port = decide_in_vain(tab, store)
    with served(store, port):
        tab.route("**/api/review", lambda route: (time.sleep(1), route.continue_()))
        tab.reload()
        wait_for_done(tab, 1)
        assert tab.locator(".unsaved").count() == 0
