"""What the checks about labels and splits say: the images, and what to do about them where they stop the run."""

from dataclasses import replace

import dagster as dg
import pytest

from dedup_assets.label_checks import build_label_checks
from dedup_assets_tests.chain import chain_in
from dedup_assets_tests.explorer.support import altered, scene
from dedup_assets_tests.labels.test_conflicts import pair_of
from dedup_assets_tests.pictures import put


def results(project):
    """What the checks say, by name."""
    checks = build_label_checks(project, lambda name: dg.AssetKey([name]), None)
    return {check.check_key.name: check() for check in checks}


@pytest.mark.parametrize("policy", ["conflict", "keeper"])
def test_labels_that_differ_are_told_by_images_and_what_to_do_where_that_stops_the_run(tmp_path, policy):
    chain = chain_in(tmp_path, labels="keeper")
    pair_of(chain.images)
    chain.run()
    result = results(replace(chain.project, labels=policy))["labels_of_duplicates_agree"]
    assert not result.passed
    assert "first 'images/copy.png' and 'images/a.png' (" in result.description
    assert ("set labels to 'keeper' or 'union'" in result.description) == (policy == "conflict")
    assert "images/copy.png" in result.metadata["differences"].value


@pytest.mark.parametrize("policy", ["block", "warn"])
def test_a_picture_in_two_splits_is_told_by_images_and_what_to_do(tmp_path, policy):
    chain = chain_in(tmp_path)
    put(scene(2), chain.images / "train" / "b.png")
    put(altered(2), chain.images / "test" / "b.png")
    chain.run()
    result = results(replace(chain.project, leakage=policy))["no_picture_in_two_splits"]
    assert not result.passed
    assert "first 'test/b.png' and 'train/b.png'; decide which of them leave" in result.description
    assert ("set leakage to 'warn'" in result.description) == (policy == "block")
    assert "| test/b.png | train/b.png | test | train |" in result.metadata["left"].value
