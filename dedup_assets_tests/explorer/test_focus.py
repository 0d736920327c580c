"""The review with mouse and keyboard by turns: what Enter and Space mean."""

import csv

import pytest

sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")


def words(store):
    with store.decisions_file.open(encoding="utf-8", newline="") as file:
        return [row["decision"] for row in csv.DictReader(file)]


def wait_for_group(tab, place):
    tab.get_by_text(f"Group {place} of 4").wait_for()


@pytest.fixture
def review(tab):
    """The review at its first group."""
    tab.goto("/review")
    wait_for_group(tab, 1)
    return tab


def test_enter_after_a_click_accepts_and_does_not_repeat_the_click(review, store):
    review.get_by_role("button", name="Not duplicates").click()
    wait_for_group(review, 2)
    review.keyboard.press("Enter")
    wait_for_group(review, 3)
    assert words(store).count("not_duplicate") == 1
    assert "remove" in words(store)


def test_enter_after_the_help_was_clicked_away_accepts(review, store):
    review.get_by_role("button", name="Keyboard shortcuts").click()
    review.get_by_role("button", name="Close").click()
    review.keyboard.press("Enter")
    wait_for_group(review, 2)
    assert words(store) == ["remove"]


@pytest.mark.parametrize("key", ["Enter", "Space"])
def test_a_button_with_the_focus_is_pressed_by_key(review, store, key):
    review.get_by_role("button", name="Not duplicates").focus()
    review.keyboard.press(key)
    wait_for_group(review, 2)
    assert words(store) == ["not_duplicate"]
    assert review.get_by_role("radio", name="Side by side").get_attribute("aria-checked") == "true"


def test_space_flickers_after_a_click(review):
    review.get_by_role("button", name="Skip").click()
    wait_for_group(review, 2)
    review.keyboard.down("Space")
    review.wait_for_selector("[data-mode=flicker][aria-checked=true]")
    review.keyboard.up("Space")
    review.wait_for_selector("[data-mode=side][aria-checked=true]")


def test_an_image_framed_by_key_keeps_the_focus(review):
    review.locator("[data-members] button").first.focus()
    review.keyboard.press("Space")
    first = review.locator("[data-members] button").first
    sync_api.expect(first).to_have_attribute("aria-current", "true")
    sync_api.expect(first).to_be_focused()


def chosen_way(review):
    return review.locator("[data-mode][aria-checked=true]").inner_text()


def test_the_ways_to_compare_are_one_stop_of_the_tab_key_and_arrows_choose_one(review):
    stops = review.locator("[data-mode][tabindex='0']")
    assert stops.all_inner_texts() == ["Side by side"]
    review.get_by_role("button", name="Zoom").focus()
    review.keyboard.press("Shift+Tab")
    for key, way in [("ArrowRight", "Flicker"), ("ArrowDown", "Swipe"), ("ArrowLeft", "Flicker")]:
        review.keyboard.press(key)
        assert chosen_way(review) == way
        assert review.evaluate("document.activeElement.textContent") == way
        assert stops.all_inner_texts() == [way]
    for _ in range(2):
        review.keyboard.press("ArrowUp")
    assert chosen_way(review) == "Difference"
    wait_for_group(review, 1)


def test_the_edge_of_swipe_goes_where_keys_say_and_keeps_the_focus_from_group_to_group(review):
    review.get_by_role("radio", name="Swipe").click()
    edge = review.get_by_role("slider")
    edge.focus()
    for key, at in [("ArrowUp", "55"), ("ArrowLeft", "50"), ("PageDown", "25"), ("Home", "0"), ("End", "100")]:
        review.keyboard.press(key)
        sync_api.expect(edge).to_have_attribute("aria-valuenow", at)
    review.keyboard.press("j")
    wait_for_group(review, 2)
    sync_api.expect(review.get_by_role("slider")).to_be_focused()


def test_a_way_to_compare_is_shown_as_chosen_when_all_is_decided_too(review):
    for place in range(1, 5):
        wait_for_group(review, place)
        review.keyboard.press("Enter")
    review.get_by_text("All done").wait_for()
    review.get_by_role("radio", name="Swipe").click()
    assert chosen_way(review) == "Swipe"


def test_who_is_among_the_images_of_a_group_is_among_those_of_the_next(review):
    framed = review.locator("[data-members] [aria-current=true]")
    framed.focus()
    review.keyboard.press("j")
    wait_for_group(review, 2)
    sync_api.expect(framed).to_be_focused()
