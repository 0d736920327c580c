"""The Explorer in a real browser: every step of the workflow, the review by keyboard, and what must not happen."""

import csv
import io
import json
import re
import shutil
from pathlib import Path
from urllib.parse import urlencode

import pytest

from dedup_assets.core.lineage.versions import current_version
from dedup_assets.core.project import remembered
from dedup_assets.core.storage import schema
from dedup_assets.core.storage.store import Store
from dedup_assets_tests.explorer.support import BROKEN, COPIES, GROUPS, HOSTILE, Process, apply_decisions

sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")


def total(tab):
    """How many images the grid says it holds, once it has settled."""
    tab.wait_for_load_state("networkidle")
    return int(re.sub(r"\D", "", tab.text_content("[data-total]")))


def shown(tab):
    """The images in the grid, in order."""
    tab.wait_for_load_state("networkidle")
    return [tile.get_attribute("title") for tile in tab.query_selector_all(".tile .frame")]


def select_one(tab, place=0):
    tab.locator(".tile").nth(place).hover()
    tab.locator(".tile .tick").nth(place).click()


def set_range(tab, low, high):
    tab.get_by_label("Lowest uniqueness", exact=True).fill(str(low))
    tab.get_by_label("Lowest uniqueness", exact=True).press("Tab")
    tab.get_by_label("Highest uniqueness", exact=True).fill(str(high))
    tab.get_by_label("Highest uniqueness", exact=True).press("Tab")
    tab.wait_for_load_state("networkidle")


def add_to(tab, name, new):
    tab.get_by_role("button", name="Add to collection").click()
    if new:
        tab.get_by_label("Name of a new collection").fill(name)
    else:
        tab.locator("dialog").get_by_text(name, exact=True).click()
    tab.locator("dialog").get_by_role("button", name="Add", exact=True).click()


def decisions(store):
    if not store.decisions_file.exists():
        return {}
    with store.decisions_file.open(encoding="utf-8", newline="") as file:
        return {row["image_id"]: row["decision"] for row in csv.DictReader(file)}


def wait_for_done(tab, groups):
    sync_api.expect(tab.locator("[data-done]")).to_have_text(str(groups))


def make_dataset(tab, collection, button, name):
    tab.goto("/collections")
    card = tab.locator(f"[data-collection='{collection}']")
    card.get_by_role("button", name=button).click()
    tab.get_by_label("Name", exact=True).fill(name)
    tab.get_by_label("Description").fill("made in a test")
    tab.get_by_role("button", name="Create dataset", exact=True).click()
    return Path(tab.locator("[data-folder]").get_attribute("data-folder"))


# ---- the workflows


def test_removing_duplicates_step_by_step_gives_the_dataset_of_the_chain(tab, store):
    tab.goto("/")
    tab.get_by_role("link", name=re.compile("^Duplicates")).first.click()
    assert total(tab) == len(COPIES)
    tab.get_by_label("Sort").select_option("uniqueness")
    set_range(tab, 0, 0.00005)
    assert set(shown(tab)) == set(COPIES)
    select_one(tab)
    tab.get_by_role("button", name=re.compile("^Select all")).click()
    assert tab.text_content("[data-selected]") == "3"
    add_to(tab, "Duplicates", new=False)
    tab.get_by_text("3 images are in Duplicates already").wait_for()
    tab.get_by_role("button", name="Cancel").click()
    tab.get_by_role("button", name="Reset all").first.click()
    tab.get_by_role("button", name="Without Duplicates").click()
    sync_api.expect(tab.locator("[data-total]")).to_have_text("14 images")
    select_one(tab)
    tab.get_by_role("button", name=re.compile("^Select all")).click()
    add_to(tab, "clean pictures", new=True)
    tab.get_by_text("added to clean pictures").wait_for()
    folder = make_dataset(tab, "clean pictures", "Create dataset", "clean")
    made_here = [row["image_id"] for row in csv.DictReader((folder / "manifest.csv").open())]
    by_chain = Path(json.loads(store.step("deduplicated_dataset").summary)["folder"])
    assert made_here == [row["image_id"] for row in csv.DictReader((by_chain / "manifest.csv").open())]


def test_near_duplicates_selected_in_the_grid_leave_the_dataset_of_the_chain(tab, store):
    tab.goto("/grid")
    set_range(tab, 0, 0.05)
    names = shown(tab)
    for name in ("test/2_again.png", HOSTILE):
        select_one(tab, names.index(name))
    add_to(tab, "Duplicates", new=False)
    tab.get_by_role("button", name="Decide to remove 2").click()
    tab.get_by_text("2 images decided to be removed").wait_for()
    assert decisions(store) == {"test/2_again.png": "remove", HOSTILE: "remove"}
    summary = apply_decisions(remembered(store))
    folder = make_dataset(tab, "Duplicates", "Dataset of everything but these", "by-hand")
    assert (folder / "manifest.csv").read_bytes() == (Path(summary.folder) / "manifest.csv").read_bytes()


def test_by_tags_a_range_is_tagged_untagged_and_exported(tab):
    tab.goto("/grid")
    select_one(tab)
    tab.keyboard.press("Control+a")
    add_to(tab, "everything", new=True)
    tab.get_by_text("17 images added to everything").wait_for()
    set_range(tab, 0, 0)
    select_one(tab)
    tab.get_by_role("button", name=re.compile("^Select all")).click()
    tab.get_by_role("button", name="Remove from collection").click()
    tab.get_by_role("button", name="Remove", exact=True).click()
    tab.get_by_text("3 images taken out of everything").wait_for()
    tab.goto("/collections")
    with tab.expect_download() as download:
        tab.locator("[data-collection=everything]").get_by_role("link", name="CSV").click()
    rows = list(csv.DictReader(io.StringIO(Path(download.value.path()).read_text())))
    assert len(rows) == 14
    assert not {row["image_id"] for row in rows} & set(COPIES)


def test_similar_items_lead_from_a_duplicate_to_what_resembles_it(tab):
    tab.goto("/grid?min=0&max=0.0001")
    tab.locator(".tile .frame").first.click()
    tab.get_by_role("heading", name="Similar items").wait_for()
    assert tab.locator(".mini").filter(has_text="identical").count() >= 1
    tab.get_by_role("heading", name="Next in resemblance").wait_for()


# ---- the grid


def test_the_view_lives_in_the_address(tab):
    tab.goto("/grid")
    tab.get_by_label("Path contains").fill("again")
    tab.wait_for_url("**/grid?q=again")
    tab.get_by_label("Split").select_option("test")
    tab.get_by_label("Sort").select_option("path desc")
    tab.wait_for_load_state("networkidle")
    before = shown(tab)
    assert before == ["test/4_again.png", "test/3_again.png", "test/2_again.png"]
    tab.goto(tab.url)
    assert shown(tab) == before
    assert tab.get_by_label("Split").input_value() == "test"


def test_the_grid_follows_the_handles_of_the_range(tab):
    tab.goto("/grid")
    everything = total(tab)
    high = tab.get_by_label("Highest uniqueness shown")
    high.focus()
    for _ in range(8):
        high.press("PageDown")
    sync_api.expect(tab.locator("[data-total]")).not_to_have_text(f"{everything} images")
    assert "max=" in tab.url


def test_a_stretch_is_selected_with_shift_and_unselected_one_by_one(tab):
    tab.goto("/grid")
    select_one(tab, 1)
    tab.locator(".tile .tick").nth(4).click(modifiers=["Shift"])
    assert tab.text_content("[data-selected]") == "4"
    tab.locator(".tile .tick").nth(2).click()
    assert tab.text_content("[data-selected]") == "3"
    tab.get_by_role("button", name="Unselect all").click()
    assert tab.locator("[data-selection]").is_hidden()


def test_the_grid_is_walked_and_selected_by_keyboard(tab):
    tab.goto("/grid")
    tab.locator(".tile .frame").first.focus()
    tab.keyboard.press("ArrowRight")
    tab.keyboard.press("ArrowDown")
    tab.keyboard.press("x")
    assert tab.text_content("[data-selected]") == "1"
    assert tab.locator(".tile.chosen").get_attribute("data-index") == "5"


def test_a_hostile_file_name_runs_nothing_on_any_page(tab):
    for path in ("/", "/grid", "/review", "/audit", "/whatif?duplicate=0.02", "/collections"):
        tab.goto(path)
        tab.wait_for_load_state("networkidle")
    tab.goto("/grid?q=onerror")
    tab.locator(".tile .frame").click()
    tab.get_by_role("heading", name="<img src=x onerror=window.hacked=1>.jpg").wait_for()
    assert tab.evaluate("window.hacked") is None


def test_a_broken_picture_shows_as_such(tab):
    tab.goto("/grid?label=unreadable")
    tab.locator(".tile .cannot").get_by_text("unreadable").wait_for()
    assert shown(tab) == [BROKEN]


def test_a_picture_that_vanished_shows_as_such(tab, store, made):
    path = made / "images" / "train" / "6.png"
    kept = path.rename(made / "kept.png")  # and back with its time, since other tests share it
    try:
        tab.goto("/grid?q=train/6.png")
        tab.locator(".tile .cannot").get_by_text("cannot be shown").wait_for()
    finally:
        kept.rename(path)


# ---- the review


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
    tab.get_by_role("alert").get_by_text("A run would stop, and change nothing: decisions.csv line 2").wait_for()
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
    tab.get_by_role("radio", name="Difference").click()
    sync_api.expect(tab.locator("canvas")).to_have_attribute("data-share", re.compile("^0[.][2-9]"))
    assert "compare=difference" in tab.url


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
    server = Process(store)
    tab.goto(f"{server.address}review")
    tab.get_by_text("Suggested: keep").wait_for()
    server.kill()
    tab.keyboard.press("r")
    tab.get_by_text("The server does not answer").wait_for()
    again = Process(store, server.port)
    try:
        wait_for_done(tab, 1)
        assert list(decisions(store).values()) == ["remove"]
    finally:
        again.kill()


def test_decisions_kept_for_one_store_are_never_written_to_another(tab, store, made, tmp_path):
    shutil.copytree(made / "store", tmp_path / "other")
    other = Store(tmp_path / "other")
    server = Process(store)
    tab.goto(f"{server.address}review?group=train/2.png")
    tab.get_by_text("Suggested: keep").wait_for()
    server.kill()
    tab.keyboard.press("r")
    tab.get_by_text("1 decision kept").wait_for()
    stranger = Process(other, server.port)
    try:
        tab.get_by_text("The server shows another store by now").wait_for()
        tab.reload()
        wait_for_done(tab, 0)
        assert decisions(other) == {}
    finally:
        stranger.kill()
    again = Process(store, server.port)
    try:
        tab.reload()
        wait_for_done(tab, 1)
        assert decisions(store) == {"test/2_again.png": "remove"}
    finally:
        again.kill()


def test_the_reviewers_name_is_remembered_and_written(tab, store):
    tab.goto("/review")
    tab.get_by_label("Reviewer name").fill("Ann Other")
    tab.get_by_label("Reviewer name").press("Tab")
    tab.goto("/review?group=train/4.png")
    assert tab.get_by_label("Reviewer name").input_value() == "Ann Other"
    tab.get_by_role("button", name="Accept suggestion").click()
    wait_for_done(tab, 1)
    assert "Ann Other" in store.decisions_file.read_text()


# ---- the rest


def test_what_if_shows_who_would_go_before_anything_runs(tab, store):
    tab.goto("/whatif")
    tab.get_by_label("Duplicate, removed by itself").fill("0.02")
    tab.get_by_label("Duplicate, removed by itself").press("Tab")
    tab.get_by_text("+5 against now").wait_for()
    assert tab.locator("[data-list=leave] li").count() == 5
    assert "duplicate=0.02" in tab.url
    assert len(store.read(schema.REMOVALS)) == len(COPIES)


@pytest.mark.slow
def test_decisions_are_applied_from_the_page(tab, store):
    tab.goto("/review?group=train/2.png")
    tab.get_by_text("Suggested: keep").wait_for()
    tab.keyboard.press("Enter")
    tab.get_by_role("button", name="Apply 1 decision").click()
    tab.get_by_role("button", name="Apply now").click()
    tab.get_by_text("The run is done.").wait_for(timeout=60_000)
    assert "test/2_again.png" in set(store.read(schema.TAGS, "tag = 'Duplicates'")["image_id"])


@pytest.mark.slow
def test_what_the_plan_foresees_is_run_from_its_page(tab, store):
    tab.goto("/image?id=train/7.png")
    tab.get_by_role("button", name="Discard").click()
    tab.goto("/plan")
    tab.get_by_role("button", name="Work out the outcome").click()
    leaving = tab.locator("[data-list=leave] li")
    leaving.wait_for(timeout=60_000)
    assert leaving.all_inner_texts()[0].startswith("train/7.png")
    tab.get_by_role("button", name="Run now").click()
    tab.get_by_text("The run is done.").wait_for(timeout=120_000)
    tab.get_by_text("Neither images nor decisions changed").wait_for()
    assert "train/7.png" in set(store.read(schema.TAGS, "tag = 'Duplicates'")["image_id"])


def test_going_back_to_an_earlier_version_by_keyboard(tab, store):
    first = current_version(store)
    store.decisions_file.write_text("image_id,decision,duplicate_of\ntrain/7.png,discard,\n")
    apply_decisions(remembered(store))
    tab.goto("/versions")
    assert "train/7.png" in tab.inner_text("#removed")
    tab.get_by_role("button", name=f"Go back to {first}").press("Enter")
    tab.get_by_role("button", name="Go back", exact=True).press("Enter")
    tab.get_by_role("button", name="Close").press("Enter")
    sync_api.expect(tab.get_by_role("row").filter(has_text="stands now")).to_contain_text(first)
    assert current_version(store) == first


@pytest.mark.parametrize("path", ["/", "/grid", "/review", "/collections", "/whatif", "/plan", "/versions", "/audit"])
def test_everything_that_can_be_pressed_has_a_name(tab, path):
    tab.goto(path)
    tab.wait_for_load_state("networkidle")
    nameless = tab.evaluate(
        "[...document.querySelectorAll('a, button, input, select')].filter((e) => !(e.innerText?.trim() || "
        "e.ariaLabel || e.title || e.labels?.length || e.querySelector('title'))).map((e) => e.outerHTML)"
    )
    assert nameless == []


def test_dark_and_light_are_chosen_and_remembered(tab):
    tab.goto("/")
    first = tab.evaluate("document.documentElement.dataset.theme")
    tab.get_by_role("button", name="Switch between light and dark").click()
    tab.goto("/grid")
    assert tab.evaluate("document.documentElement.dataset.theme") != first
