import subprocess
import sys

import numpy as np
import pytest
from PIL import Image, ImageOps
from skimage import data

from dedup_assets.core.calibration.edits import EDITS, plant
from dedup_assets.core.detection.cosines import pair_distances, quantise
from dedup_assets.core.detection.descriptor import FEATURES, ThumbnailEmbedder, features, save_weights
from dedup_assets.core.images import SKETCH_SIZE, squash


@pytest.fixture(scope="module")
def embedder():
    return ThumbnailEmbedder()


@pytest.fixture(scope="module")
def photos():
    pictures = (data.astronaut(), data.coffee(), data.chelsea())
    return [ImageOps.contain(Image.fromarray(picture), (300, 300)) for picture in pictures]


@pytest.fixture(scope="module")
def noise():
    return np.random.default_rng(5).integers(0, 256, (70, SKETCH_SIZE, SKETCH_SIZE, 3), dtype=np.uint8)


def distance(embedder, first, second):
    """The view distance of two pictures, as the search sees it."""
    vectors = quantise(embedder.embed(np.stack([squash(first, SKETCH_SIZE), squash(second, SKETCH_SIZE)])))
    return float(pair_distances(vectors, np.array([0]), np.array([1]), embedder.calibration)[0][0])


def flat(*colours):
    return np.stack([np.full((SKETCH_SIZE, SKETCH_SIZE, 3), colour, np.uint8) for colour in colours])


def test_vectors_are_unit_float32_of_the_stated_shape(embedder, noise):
    vectors = embedder.embed(noise)
    assert vectors.shape == (70, embedder.views, embedder.dimension)
    assert vectors.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=2), 1, atol=1e-5)


def test_a_pictures_vectors_do_not_depend_on_the_batch_it_came_in(embedder, noise):
    together = embedder.embed(noise)
    for size in (1, 7, 33):
        apart = np.concatenate([embedder.embed(noise[at : at + size]) for at in range(0, len(noise), size)])
        np.testing.assert_array_equal(together, apart)


def test_no_pictures_give_no_vectors(embedder):
    empty = np.empty((0, SKETCH_SIZE, SKETCH_SIZE, 3), np.uint8)
    assert embedder.embed(empty).shape == (0, embedder.views, embedder.dimension)


def test_flat_pictures_of_different_colours_are_no_candidates(embedder):
    black_white_grey_red = flat(0, 255, 128, (255, 0, 0))
    vectors = quantise(embedder.embed(black_white_grey_red))
    first, second = np.triu_indices(4, 1)
    assert np.isfinite(vectors).all()
    assert pair_distances(vectors, first, second, embedder.calibration)[0].min() > embedder.candidate_distance


def test_flat_pictures_of_one_colour_have_distance_zero(embedder):
    vectors = quantise(embedder.embed(flat(77, 77)))
    assert pair_distances(vectors, np.array([0]), np.array([1]), embedder.calibration)[0][0] == 0


def test_different_photos_are_no_candidates(embedder, photos):
    for first, second in ((0, 1), (0, 2), (1, 2)):
        assert distance(embedder, photos[first], photos[second]) > embedder.candidate_distance


@pytest.mark.parametrize("edit", [edit for edit in EDITS if not edit.kept_aside], ids=lambda edit: edit.name)
def test_an_edited_photo_is_a_candidate(embedder, photos, edit, tmp_path):
    path = tmp_path / "edited"
    path.write_bytes(plant(edit, photos[1], seed=1))
    with Image.open(path) as edited:
        assert distance(embedder, photos[1], edited) <= embedder.candidate_distance


def test_a_letterboxed_picture_is_as_near_as_its_frame_is_plain(embedder, photos):
    boxed = ImageOps.expand(photos[0], (0, 90, 0, 90), "black")
    assert distance(embedder, photos[0], boxed) < 0.05


def test_candidates_reach_beyond_the_near_duplicate_threshold(embedder):
    assert embedder.candidate_distance > 0.05


def test_the_version_follows_the_weights(embedder, tmp_path):
    generator = np.random.default_rng(1)
    save_weights(tmp_path / "other.npz", np.zeros(FEATURES), generator.normal(size=(FEATURES, 8)))
    other = ThumbnailEmbedder(tmp_path / "other.npz")
    assert other.version != embedder.version
    assert other.version == ThumbnailEmbedder(tmp_path / "other.npz").version


def test_features_are_integers(noise):
    found = features(noise)
    assert found.shape == (70, FEATURES)
    np.testing.assert_array_equal(found, np.rint(found))


def test_importing_the_default_embedder_imports_no_torch():
    module = "dedup_assets.core.detection.descriptor"
    code = f"import sys, {module} as d; d.ThumbnailEmbedder(); sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
