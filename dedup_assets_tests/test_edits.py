import io

import numpy as np
import pytest
from PIL import Image
from skimage import data

from dedup_assets.core.calibration.edits import EDITS, TURNS, plant


@pytest.fixture(scope="module")
def photo():
    picture = Image.fromarray(data.chelsea())
    picture.thumbnail((160, 160))
    return picture


@pytest.mark.parametrize("edit", [*EDITS, *TURNS], ids=lambda edit: edit.name)
def test_an_edit_gives_an_image_file_of_its_format(photo, edit):
    with Image.open(io.BytesIO(plant(edit, photo, seed=0))) as edited:
        edited.load()
        assert edited.format == edit.format


@pytest.mark.parametrize("edit", [*EDITS, *TURNS], ids=lambda edit: edit.name)
def test_the_same_seed_repeats_an_edit(photo, edit):
    assert plant(edit, photo, seed=4) == plant(edit, photo, seed=4)


@pytest.mark.parametrize("edit", [*EDITS, *TURNS], ids=lambda edit: edit.name)
def test_the_smallest_picture_can_be_edited(edit):
    assert plant(edit, Image.new("RGB", (8, 8), "red"), seed=0)


def test_another_seed_places_a_sticker_elsewhere(photo):
    sticker = next(edit for edit in EDITS if edit.name == "sticker, face, 6 %")
    assert plant(sticker, photo, seed=1) != plant(sticker, photo, seed=2)


def test_the_picture_given_is_left_as_it_was(photo):
    before = np.array(photo)
    for edit in EDITS:
        plant(edit, photo, seed=0)
    np.testing.assert_array_equal(before, np.array(photo))


def test_there_are_forty_edits_or_more_in_families_with_some_kept_aside_in_each():
    assert len(EDITS) >= 40
    assert len({edit.name for edit in EDITS}) == len(EDITS)
    families = {edit.family for edit in EDITS}
    assert families == {"geometry", "colour", "compression", "overlay", "sticker", "framing", "blur and noise"}
    for family in families:
        assert {edit.kept_aside for edit in EDITS if edit.family == family} == {True, False}
