"""Small print that has to be read: its contrast against what is behind it, as WCAG 2 measures it."""

import pytest

sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")

CONTRAST = """element => {
    const parts = (color) => color.match(/[0-9.]+/g).map(Number);
    const light = (color) => parts(color).slice(0, 3)
        .map((part) => part / 255)
        .map((part) => (part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4))
        .reduce((sum, part, place) => sum + part * [0.2126, 0.7152, 0.0722][place], 0);
    let behind = element;
    while (parts(getComputedStyle(behind).backgroundColor)[3] === 0) behind = behind.parentElement;
    const [one, other] = [getComputedStyle(element).color, getComputedStyle(behind).backgroundColor].map(light);
    return (Math.max(one, other) + 0.05) / (Math.min(one, other) + 0.05);
}"""


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("selector", [".range-ticks span", ".badge"])
def test_numbers_are_told_from_what_is_behind_them(tab, theme, selector):
    tab.emulate_media(color_scheme=theme)
    tab.goto("/grid")
    assert tab.evaluate("document.documentElement.dataset.theme") == theme
    assert tab.locator(selector).first.evaluate(CONTRAST) >= 4.5
