"""What sketches alone say of candidate pairs, and how far they may move what alignment says."""

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageEnhance, ImageOps
from skimage import data

from dedup_assets.core.detection.evidence import EVIDENCE, evidence
from dedup_assets.core.detection.judging import RULED_OUT_DISTANCE, Judge, distances_of
from dedup_assets.core.detection.outlines import outline
from dedup_assets.core.detection.screening import Screen
from dedup_assets.core.images import SKETCH_SIZE, squash


@pytest.fixture(scope="module")
def photos():
    return [Image.fromarray(picture) for picture in (data.astronaut(), data.coffee(), data.chelsea(), data.rocket())]


@pytest.fixture(scope="module")
def seen(photos):
    """All pairs of the photos, then each with its mirror image."""
    sketches = np.stack([squash(photo, SKETCH_SIZE) for photo in [*photos, *map(ImageOps.mirror, photos)]])
    first, second = np.array([(a, b) for a in range(4) for b in range(a)] + [(a, a + 4) for a in range(4)]).T
    return evidence(sketches, first, second)


def edits(photo):
    width, height = photo.size
    covered = photo.copy()
    ImageDraw.Draw(covered).ellipse((width / 3, height / 3, width / 2, height / 2), "yellow")
    return {
        "mirror": ImageOps.mirror(photo),
        "crop": photo.crop((width // 8, height // 10, width, height)),
        "grey": ImageOps.grayscale(photo).convert("RGB"),
        "dark": ImageEnhance.Brightness(photo).enhance(0.5),
        "sticker": covered,
        "turned": photo.rotate(4),
    }


@pytest.mark.parametrize("edit", ["mirror", "crop", "grey", "dark", "sticker", "turned"])
def test_an_edited_photo_is_worth_aligning(photos, edit):
    for photo in photos:
        sketches = np.stack([squash(photo, SKETCH_SIZE), squash(edits(photo)[edit], SKETCH_SIZE)])
        assert Screen().worth_aligning(evidence(sketches, np.array([0]), np.array([1]))).all()


def test_most_different_photos_are_ruled_out_and_never_aligned(photos):
    sketches = np.stack([squash(photo, SKETCH_SIZE) for photo in photos])
    first, second = np.array([(a, b) for a in range(4) for b in range(a)]).T
    asked = []

    def align(pairs):
        asked.extend(pairs)
        return [0.3] * len(pairs)

    agreed = Judge().agreements(sketches, [(400, 300)] * 4, first, second, align)
    assert len(asked) <= 3
    assert np.flatnonzero(np.isnan(agreed)).tolist() == [pair for pair in range(6) if pair not in asked]
    distance = distances_of(agreed)
    assert (distance[np.isnan(agreed)] == RULED_OUT_DISTANCE).all()
    assert (distance > 0.1).all()


def test_evidence_is_symmetric_and_the_same_in_every_batch(photos):
    pictures = [photo.rotate(turn) for photo in photos for turn in range(0, 30, 6)]
    sketches = np.stack([squash(picture, SKETCH_SIZE) for picture in pictures])
    first, second = np.array([(a, b) for a in range(len(pictures)) for b in range(len(pictures))]).T
    together = evidence(sketches, first, second)
    assert together.shape == (EVIDENCE, len(first))
    np.testing.assert_array_equal(together, evidence(sketches, second, first))
    for rows in ([0], [1, 7, 250], range(100, 390)):
        np.testing.assert_array_equal(together[:, rows], evidence(sketches, first[rows], second[rows]))
    crops = outline(sketches).light
    np.testing.assert_array_equal(together, evidence(sketches, first, second, crops))


def test_no_pairs_give_no_evidence():
    none = np.empty(0, np.int64)
    assert evidence(np.zeros((2, SKETCH_SIZE, SKETCH_SIZE, 3), np.uint8), none, none).shape == (EVIDENCE, 0)


def test_pictures_without_structure_are_left_to_alignment_and_colour():
    sketches = np.stack([np.full((SKETCH_SIZE, SKETCH_SIZE, 3), level, np.uint8) for level in (0, 0, 200)])
    seen = evidence(sketches, np.array([0, 0]), np.array([1, 2]))
    screen = Screen()
    assert screen.worth_aligning(seen).all()
    assert screen.verdict(seen, np.array([0.99, 0.1])).tolist() == [0.99, 0.1]


def test_sketches_move_agreement_only_a_little(seen):
    for agreement in np.linspace(0, 1, 21):
        moved = Screen().verdict(seen, np.full(seen.shape[1], agreement))
        assert (moved >= agreement - 0.1001).all()
        assert (moved <= agreement + 0.1501).all()
        assert ((moved >= 0) & (moved <= 1)).all()


def test_pictures_smaller_than_a_sketch_keep_their_agreement(photos):
    sketches = np.stack([squash(photo, SKETCH_SIZE) for photo in (photos[0], ImageOps.mirror(photos[0]))])
    pair = np.array([0]), np.array([1])
    assert Judge().agreements(sketches, [(32, 32), (400, 400)], *pair, lambda _: [0.8]).tolist() == [0.8]
    assert Judge().agreements(sketches, [(400, 400)] * 2, *pair, lambda _: [0.8])[0] > 0.85
