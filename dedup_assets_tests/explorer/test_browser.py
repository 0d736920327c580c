"""The Explorer in a real browser: every step of the workflow, the review by keyboard, and what must not happen."""

import csv
import io
import json
import re
from pathlib import Path

import pytest

from dedup_assets.core.lineage.versions import current_version
from dedup_assets.core.project import remembered
from dedup_assets.core.storage import schema
from dedup_assets_tests.explorer.support import (
    BROKEN,
    COPIES,
    HOSTILE,
    apply_decisions,
    decisions,
)

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


def test_coming_back_to_the_grid_it_is_where_it_was_left(tab):
    tab.set_viewport_size({"width": 700, "height": 420})
    tab.goto("/grid?sort=path")
    tab.wait_for_selector(".tile")
    tab.evaluate("scrollTo(0, 700)")
    tab.wait_for_function("() => document.querySelectorAll('.tile').length > 6")
    tab.locator(".tile .frame").last.click()
    tab.get_by_role("heading", name="Similar items").wait_for()
    tab.go_back()
    tab.wait_for_function("() => scrollY > 600")
    tab.goto("/grid?sort=path")
    tab.wait_for_selector(".tile")
    assert tab.evaluate("scrollY") == 0


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


@pytest.mark.parametrize(
    ("path", "asked"),
    [("/image?id=train/2.png", "**/api/resembling?*"), ("/plan", "**/api/plan/outcome"), ("/review", "**/api/review")],
)
def test_a_page_whose_question_has_no_answer_says_so(tab, path, asked):
    tab.route(asked, lambda route: route.abort())
    tab.goto(path)
    tab.locator(".toast", has_text="The server does not answer.").wait_for()
