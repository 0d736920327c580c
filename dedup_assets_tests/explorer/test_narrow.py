"""The Explorer in windows of a phone, a tablet and a small laptop: nothing is cut off."""

import pytest

from dedup_assets.explorer.pages import PAGES

sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")

WINDOWS = [(390, 844), (768, 1024), (1024, 640)]
ADDRESSES = [*(address for address, _ in PAGES), "/image?id=train/2.png"]
IN_SIGHT = """element => {
    element.scrollIntoView({ block: "center", inline: "nearest" });
    const { left, right, top, bottom } = element.getBoundingClientRect();
    const at = document.elementFromPoint((left + right) / 2, (top + bottom) / 2);
    return left >= 0 && right <= innerWidth && top >= 0 && bottom <= innerHeight && element.contains(at);
}"""


@pytest.fixture(params=WINDOWS, ids=lambda size: str(size[0]))
def window(request, tab):
    """A tab of this size."""
    tab.set_viewport_size(dict(zip(("width", "height"), request.param, strict=True)))
    return tab


def test_no_page_is_wider_than_the_window(window):
    widths = {}
    for path in ADDRESSES:
        window.goto(path)
        window.wait_for_load_state("networkidle")
        widths[path] = window.evaluate("Math.max(document.documentElement.scrollWidth, document.body.scrollWidth)")
    assert {path: width for path, width in widths.items() if width > window.viewport_size["width"]} == {}


def test_every_page_is_named_in_sight(window):
    window.goto("/")
    nav = window.get_by_role("navigation", name="Pages")
    assert nav.get_by_role("link").count() == len(PAGES)
    assert nav.evaluate("e => e.scrollWidth <= e.clientWidth && e.scrollHeight <= e.clientHeight")


def test_both_pictures_and_every_button_of_the_review_come_into_sight(window):
    window.goto("/review?group=train/2.png")
    window.get_by_text("Suggested: keep").wait_for()
    seen = [*window.locator(".pane .canvas").all(), *window.locator("[data-review] button").all()]
    assert len(seen) == 2 + 4 + 3 + 2 + 7  # pictures, ways to compare, zoom and many and help, members, decisions
    assert [one.evaluate("e => e.outerHTML") for one in seen if not one.evaluate(IN_SIGHT)] == []


def test_each_way_to_compare_has_room_for_its_picture(window):
    for mode in ("flicker", "swipe", "difference"):
        window.goto(f"/review?group=train/2.png&compare={mode}")
        canvas = window.locator(".one .canvas")
        canvas.wait_for()
        assert canvas.evaluate(IN_SIGHT)
        assert canvas.bounding_box()["height"] >= 200


def test_the_next_group_of_a_review_is_shown_from_its_top(tab):
    tab.set_viewport_size({"width": 390, "height": 700})
    tab.goto("/review?group=train/2.png")
    tab.get_by_text("Suggested: keep").wait_for()
    assert tab.evaluate("scrollY") == 0
    tab.get_by_role("button", name="Not duplicates").click()
    tab.get_by_text("Group 2 of 4").wait_for()
    assert tab.locator(".stage").bounding_box()["y"] >= 0


def test_the_filters_of_the_grid_are_folded_where_it_is_narrow(tab):
    tab.set_viewport_size({"width": 390, "height": 844})
    tab.goto("/grid")
    tab.locator(".tile").first.wait_for()
    assert tab.locator(".tile").first.bounding_box()["y"] < 500
    assert tab.get_by_label("Path contains").is_hidden()
    tab.get_by_role("button", name="Filters").click()
    tab.get_by_label("Path contains").fill("again")
    sync_api.expect(tab.locator("[data-total]")).to_have_text("4 images")
