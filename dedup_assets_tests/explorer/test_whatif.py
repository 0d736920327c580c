"""What if, with thresholds that make no sense: what is run is what is on the screen."""

import re

import pytest

sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")

DUPLICATE, NEAR = "Duplicate, removed by itself", "Near duplicate, put before a person"


def type_in(tab, label, text):
    tab.get_by_label(label).fill(text)
    tab.get_by_label(label).press("Enter")


def run_button(tab):
    return tab.get_by_role("button", name="Run with these thresholds")


@pytest.fixture
def foreseen(tab):
    """What if with a threshold that would remove five more."""
    tab.goto("/whatif")
    type_in(tab, DUPLICATE, "0.02")
    tab.get_by_text("+5 against now").wait_for()
    sync_api.expect(run_button(tab)).to_be_enabled()
    return tab


@pytest.mark.parametrize(
    ("label", "text", "said"),
    [
        (DUPLICATE, "-1", "from 0 to 1"),
        (DUPLICATE, "abc", "from 0 to 1"),
        (NEAR, "", "from 0 to 1"),
        (NEAR, "1.5", "from 0 to 1"),
        (NEAR, "0.01", "larger than the duplicate threshold"),
    ],
)
def test_thresholds_that_make_no_sense_are_told_and_cannot_be_run(foreseen, label, text, said):
    type_in(foreseen, label, text)
    field = foreseen.get_by_label(label)
    sync_api.expect(field).to_have_attribute("aria-invalid", "true")
    sync_api.expect(field).to_have_accessible_description(re.compile(said))
    sync_api.expect(run_button(foreseen)).to_be_disabled()
    sync_api.expect(foreseen.locator("[data-outcome]")).to_be_empty()
    sync_api.expect(foreseen.locator("[data-list=leave]")).to_be_empty()
    assert "?" not in foreseen.url


def test_a_threshold_put_right_is_foreseen_and_can_be_run_again(foreseen):
    type_in(foreseen, DUPLICATE, "-1")
    type_in(foreseen, DUPLICATE, "0,02")
    foreseen.get_by_text("+5 against now").wait_for()
    sync_api.expect(foreseen.get_by_label(DUPLICATE)).to_have_attribute("aria-invalid", "false")
    sync_api.expect(foreseen.locator("[data-fault=duplicate]")).to_be_empty()
    sync_api.expect(run_button(foreseen)).to_be_enabled()


def test_half_a_threshold_cannot_be_run(foreseen):
    foreseen.get_by_label(DUPLICATE).press("Backspace")
    assert run_button(foreseen).is_disabled()


def test_what_is_run_is_what_the_fields_say(foreseen):
    asked = []
    foreseen.route("**/api/run", lambda route: (asked.append(route.request.post_data_json), route.abort()))
    type_in(foreseen, DUPLICATE, "abc")
    type_in(foreseen, DUPLICATE, "0.01")
    type_in(foreseen, NEAR, "0.04")
    sync_api.expect(run_button(foreseen)).to_be_enabled()
    run_button(foreseen).click()
    foreseen.wait_for_timeout(100)
    assert asked[0] == {"duplicate": 0.01, "near": 0.04}


def test_an_address_that_makes_no_sense_shows_what_is_wrong(tab):
    tab.goto("/whatif?duplicate=abc")
    sync_api.expect(tab.get_by_label(DUPLICATE)).to_have_attribute("aria-invalid", "true")
    assert tab.get_by_label(DUPLICATE).input_value() == "abc"
