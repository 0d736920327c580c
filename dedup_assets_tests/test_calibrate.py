"""Calibrating on a user's own images: what is counted, what is suggested, and what is left behind."""

import json
import tempfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from dedup_assets.cli import cli
from dedup_assets.core.calibration.calibrate import LEAST_PHOTOS, PHOTOS, calibrate
from dedup_assets.core.calibration.edits import EDITS
from dedup_assets.core.calibration.picture import check_picture_path, draw_calibration
from dedup_assets.core.calibration.suggestion import FALSE_SHARE, suggest
from dedup_assets.core.detection.base import Calibration
from dedup_assets.core.detection.embedders import load_embedder
from dedup_assets.core.errors import DedupError, NoImagesError
from dedup_assets.core.run import Run
from dedup_assets.core.sources import source_of
from dedup_assets.demo import make_demo_images
from dedup_assets_tests.pictures import photo, put, put_photos
from dedup_assets_tests.test_cli import call

FEW = [edit for edit in EDITS if edit.name in ("JPEG q 30", "mirror", "half size", "confetti")]


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    folder = tmp_path_factory.mktemp("calibrate") / "images"
    make_demo_images(folder)
    return folder


@pytest.fixture(scope="module")
def report(images):
    return calibrate(images, load_embedder(), photos=18, edits=FEW)


@pytest.fixture(scope="module")
def vectors_alone(images):
    return calibrate(images, load_embedder(), photos=18, edits=FEW, second_stage=False)


def test_edits_that_change_little_are_all_found(report):
    recall = {edit.name: edit.recall for edit in report.by_edit}
    assert recall["JPEG q 30"] == recall["half size"] == 1
    assert report.recall == pytest.approx(np.mean(list(recall.values())))


def test_the_weakest_edit_comes_first(report):
    assert [edit.recall for edit in report.by_edit] == sorted(edit.recall for edit in report.by_edit)
    assert {edit.family for edit in report.by_edit} == {family.name for family in report.by_family}


@pytest.mark.parametrize("asked", ["report", "vectors_alone"])
def test_the_curve_rises_to_everything_and_holds_the_figures_at_the_threshold(asked, request):
    report = request.getfixturevalue(asked)
    assert [point.recall for point in report.curve] == sorted(point.recall for point in report.curve)
    assert (report.curve[-1].recall, report.curve[-1].false_share) == (1, 1)
    (at,) = [point for point in report.curve if point.distance == 0.05]
    assert at.recall == pytest.approx(report.recall)
    assert at.false_pairs == len(report.false_pairs) == round(at.false_share * report.pairs)
    assert 0.0001 in [point.distance for point in report.curve]


def test_copies_of_a_picture_count_once(tmp_path):
    put_photos(tmp_path / "images", range(5))
    put(photo(1), tmp_path / "images" / "copy.bmp")
    report = calibrate(tmp_path / "images", load_embedder(), edits=FEW)
    assert (report.photos, report.pairs, report.skipped) == (5, 10, 1)


def test_real_duplicates_in_the_folder_are_listed_as_confirmed_and_left_out_of_the_suggestion(vectors_alone):
    first = vectors_alone.false_pairs[0]
    assert first.confirmed
    assert first.distance < 0.001
    assert vectors_alone.suggestion.threshold > 0.01


def test_false_pairs_come_nearest_first(vectors_alone):
    distances = [pair.distance for pair in vectors_alone.false_pairs]
    assert distances == sorted(distances)
    assert all(distance <= 0.05 for distance in distances)


def test_a_second_calibration_says_the_same_with_any_number_of_threads(tmp_path):
    put_photos(tmp_path, range(5))
    first = calibrate(tmp_path, load_embedder(), edits=FEW, workers=1)
    assert calibrate(tmp_path, load_embedder(), edits=FEW, workers=3) == first


def test_the_suggested_map_leaves_the_small_distances_and_moves_one_false_pair_in_a_thousand_to_005(vectors_alone):
    suggested = vectors_alone.suggestion
    cosine = 2 * (1 - np.array([0.0001, suggested.u])) ** 2 - 1
    assert suggested.calibration.distance(cosine) == pytest.approx([0.0001, 0.05])
    assert list(suggested.calibration.knots_u) == sorted(set(suggested.calibration.knots_u))


def test_the_rule_finds_the_distance_of_a_tail_that_is_known_and_rather_too_near():
    generator = np.random.default_rng(0)
    different = generator.random(200_000) ** (1 / 8)  # the share within u is u to the eighth
    true = FALSE_SHARE ** (1 / 8)
    assert 0.8 * true < suggest(different, different, Calibration()).u < true


def test_no_pair_that_was_measured_is_within_the_suggestion():
    different = np.append(np.random.default_rng(0).random(1000) ** (1 / 8), 0.02)
    assert suggest(different, different, Calibration()).u <= 0.02


def test_a_threshold_is_suggested_in_the_embedders_own_distance():
    different = np.random.default_rng(0).random(1000) ** (1 / 8)
    halved = Calibration((0.0, 0.5, 1.0), (0.0, 0.25, 1.0))
    suggested = suggest(different, different, halved)
    assert suggested.threshold == pytest.approx(suggested.u / 2)


def test_too_few_images_get_no_suggestion(tmp_path):
    put_photos(tmp_path, range(5))
    assert calibrate(tmp_path, load_embedder(), edits=FEW[:1]).suggestion is None


def test_unreadable_images_are_passed_over(tmp_path):
    put_photos(tmp_path, range(4))
    (tmp_path / "broken.jpg").write_text("no picture")
    put(photo(9, size=(30, 2)), tmp_path / "thin.png")
    report = calibrate(tmp_path, load_embedder(), edits=FEW[:1])
    assert (report.photos, report.skipped) == (4, 2)


def test_fewer_than_four_images_are_one_sentence(tmp_path):
    put_photos(tmp_path, range(3))
    with pytest.raises(DedupError, match=r"only 3 of the 3 images under .* at least 4"):
        calibrate(tmp_path, load_embedder())
    with pytest.raises(NoImagesError, match="does not exist"):
        calibrate(tmp_path / "nowhere", load_embedder())


def test_nothing_is_left_in_the_temporary_folder_and_progress_reaches_its_end(tmp_path, monkeypatch):
    put_photos(tmp_path / "images", range(9))
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    told = []
    run = Run(progress=lambda what, done, total: told.append((done, total)))
    calibrate(tmp_path / "images", load_embedder(), edits=FEW[:1], run=run)
    assert told == [(8, 9), (9, 9)]
    assert not list((tmp_path / "temporary").iterdir())


@pytest.mark.parametrize("asked", ["report", "vectors_alone"])
def test_the_picture_shows_both_curves(asked, request, tmp_path):
    draw_calibration(request.getfixturevalue(asked), tmp_path / "new" / "curve.png")
    with Image.open(tmp_path / "new" / "curve.png") as picture:
        colours = {colour for _, colour in picture.getcolors(1 << 20)}
        assert picture.format == "PNG"
    assert {(0x1F, 0x5F, 0xA8), (0xB8, 0x32, 0x2A)} <= colours


def test_the_picture_never_lands_among_the_images_or_on_another_kind_of_file(tmp_path):
    with pytest.raises(DedupError, match="would lie among the images"):
        check_picture_path(tmp_path / "images" / "a.png", source_of(tmp_path / "images"))
    with pytest.raises(DedupError, match=r"ends in \.png"):
        check_picture_path(Path("holiday.jpg"), source_of(tmp_path / "images"))


def test_the_command_prints_the_tables_and_where_the_picture_is(tmp_path, monkeypatch):
    put_photos(tmp_path / "images", range(4), suffix=".jpg")
    picture = tmp_path / "curve.png"
    code, out, _ = call("calibrate", tmp_path / "images", "--picture", picture, "--no-second-stage")
    assert code == 0
    for words in ("vectors alone", "all edits", "blur and noise", "weakest edits", "of 6", str(picture)):
        assert words in out
    assert picture.is_file()


def test_the_command_tells_scripts_the_same_in_json(tmp_path):
    put_photos(tmp_path / "images", range(4))
    options = ("--picture", tmp_path / "c.png", "--json", "--photos", 4, "--no-second-stage")
    code, out, _ = call("calibrate", tmp_path / "images", *options)
    told = json.loads(out)
    assert code == 0
    assert (told["photos"], told["edits"], told["pairs"]) == (4, len(EDITS), 6)


def test_the_command_answers_a_wrong_folder_in_one_line(tmp_path):
    code, _, err = call("calibrate", tmp_path / "nowhere", "--picture", tmp_path / "c.png")
    assert code == 1
    assert err.startswith("error: the image folder")


def test_the_command_and_the_function_plant_in_equally_many_images_by_default():
    defaults = {option.name: (option.default, option.type) for option in cli.commands["calibrate"].params}
    assert defaults["photos"][0] == PHOTOS
    assert defaults["photos"][1].min == LEAST_PHOTOS
