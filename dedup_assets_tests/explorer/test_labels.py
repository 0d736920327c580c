"""The page of labels in a real browser: tall and wide pictures whole, their boxes where they belong."""

import re
import shutil

import pytest

from dedup_assets_tests.chain import chain_in
from dedup_assets_tests.explorer.support import Page, scene
from dedup_assets_tests.labels.support import voc_object, voc_xml, write
from dedup_assets_tests.pictures import put

sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")

SIZES = {"tall": (200, 800), "wide": (800, 200)}

# Where the first box of a side is drawn and where it belongs: its corners on the picture as it is fitted in.
CORNERS = """([drawn, [x, y, width, height]]) => {
    const img = drawn.querySelector("img");
    const frame = drawn.getBoundingClientRect();
    const scale = Math.min(frame.width / img.naturalWidth, frame.height / img.naturalHeight);
    const left = frame.left + (frame.width - img.naturalWidth * scale) / 2;
    const top = frame.top + (frame.height - img.naturalHeight * scale) / 2;
    const box = drawn.querySelector(".own rect").getBoundingClientRect();
    return [
        [box.left, box.top, box.right, box.bottom],
        [left + x * scale, top + y * scale, left + (x + width) * scale, top + (y + height) * scale],
    ];
}"""


def labelled_chain(folder):
    """Two pictures and a copy of each, whose boxes differ, through the chain."""
    chain = chain_in(folder)
    for seed, (name, (width, height)) in enumerate(SIZES.items()):
        first = put(scene(seed, (width, height)), chain.images / "images" / f"{name}.png")
        shutil.copy(first, first.with_name(f"{name}_copy.png"))
        for image, shift in ((name, 0), (f"{name}_copy", 20)):
            corners = (width // 2 + shift, height // 2 + shift, width - 10, height - 10)
            text = voc_xml(f"{image}.png", voc_object("cat", corners), (width, height))
            write(chain.images / "annotations" / f"{image}.xml", text)
    chain.run()
    return chain


@pytest.fixture(scope="module")
def labelled(tmp_path_factory):
    """The store of labelled pictures."""
    return labelled_chain(tmp_path_factory.mktemp("labelled")).store


@pytest.fixture
def store(labelled):
    return labelled


@pytest.fixture
def labels(tab):
    """The page; the test fails when the browser refused something on it."""
    said = []
    tab.on("console", lambda message: said.append(message.text) if message.type == "error" else None)
    tab.goto("/labels")
    for image in tab.locator(".drawn img").all():
        image.scroll_into_view_if_needed()
        tab.wait_for_function("image => image.complete && image.naturalWidth > 0", arg=image.element_handle())
    yield tab
    assert said == []


@pytest.mark.parametrize("width", [390, 1280])
def test_a_box_lies_where_it_belongs_on_a_picture_shown_whole(labels, width):
    labels.set_viewport_size({"width": width, "height": 800})
    for name, (wide, high) in SIZES.items():
        figure = labels.locator("figure", has=labels.get_by_role("link", name=f"images/{name}.png"))
        drawn = figure.locator(".drawn").element_handle()
        corners = [wide // 2, high // 2, wide - 10 - wide // 2, high - 10 - high // 2]
        found, expected = labels.evaluate(CORNERS, [drawn, corners])
        assert found == pytest.approx(expected, abs=2)
        frame = drawn.bounding_box()
        assert found[3] <= frame["y"] + frame["height"]


def test_a_picture_is_no_taller_than_the_window_allows(labels):
    assert all(drawn.bounding_box()["height"] <= 520 for drawn in labels.locator(".drawn").all())


def test_each_box_bears_its_class_in_letters_of_one_size(labels):
    names = labels.locator(".drawn .own text")
    assert names.all_text_contents() == ["cat"] * 4
    sizes = names.evaluate_all("all => all.map(e => parseFloat(getComputedStyle(e).fontSize) * e.getScreenCTM().a)")
    assert sizes == pytest.approx([12] * 4, abs=0.1)


def test_an_image_that_broke_since_has_no_picture_on_any_page(tmp_path):
    chain = labelled_chain(tmp_path)
    for name in ("tall", "tall_copy"):
        (chain.images / "images" / f"{name}.png").write_bytes(b"broken by now")
    chain.scan()  # and the run stops
    page = Page(chain.store)
    for path in ("/labels", "/audit", "/leakage"):
        answer = page.get(path)
        assert answer.status_code == 200
        assert not re.search(r'/thumb/\d+/(?![0-9a-f]{64}")', answer.text)
    assert "cannot be shown any more" in page.get("/labels").text
    assert page.get("/audit").text.count("data-restore=") == 1
