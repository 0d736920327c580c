"""The grid with 100,000 images, in a real browser."""

import pytest

from dedup_assets_tests.benchmarks.explorer import make_store

sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")


SETTLED = """wanted => {
    const indices = [...document.querySelectorAll(".tile")].map(tile => Number(tile.dataset.index));
    return indices.length >= 8 && Math.abs(indices[indices.length >> 1] - wanted) < 2000;
}"""


@pytest.fixture
def store(tmp_path):
    return make_store(tmp_path, 100_000)


@pytest.mark.slow
def test_a_hundred_thousand_images_are_scrolled_with_few_tiles_at_a_time(tab):
    tab.goto("/grid")
    sync_api.expect(tab.locator("[data-total]")).to_have_text("100,000 images")
    for share in (0.5, 0.9, 1.0, 0.0):
        tab.evaluate(f"scrollTo(0, document.documentElement.scrollHeight * {share})")
        tab.wait_for_function(SETTLED, arg=round(share * 100_000), timeout=8000)
        indices = [int(tile.get_attribute("data-index")) for tile in tab.query_selector_all(".tile")]
        assert 8 <= len(indices) < 80
        assert indices == sorted(indices)
        assert abs(indices[len(indices) // 2] - share * 100_000) < 2000
    tab.get_by_label("Path contains").fill("image_0999")
    sync_api.expect(tab.locator("[data-total]")).to_have_text("100 images")
