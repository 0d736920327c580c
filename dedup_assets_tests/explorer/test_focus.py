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
