"""Copies turned by quarters or upside down, which the embedder `thumbnail-turned` finds."""

import numpy as np
import pytest
from PIL import Image, ImageOps
from skimage import data

from dedup_assets.core.detection.contents import Content, Sketches, ends_of
from dedup_assets.core.detection.cosines import pair_distances, pair_turns, quantise
from dedup_assets.core.detection.descriptor import ThumbnailEmbedder
from dedup_assets.core.images import SKETCH_SIZE, read_picture
from dedup_assets.core.storage import schema
from dedup_assets.core.storage.arrays import ArrayShelf
from dedup_assets_tests.chain import chain_in, removed
from dedup_assets_tests.pictures import photo, put

TURNED = [(1, False), (2, False), (3, False), (1, True), (2, True), (3, True)]


def turned(picture, turns, mirrored):
    """By quarters, anticlockwise, then mirrored."""
    picture = picture.rotate(90 * turns, expand=True)
    return ImageOps.mirror(picture) if mirrored else picture


@pytest.fixture(scope="module")
def scene():
    return ImageOps.contain(Image.fromarray(data.coffee()), (240, 240))


@pytest.fixture(scope="module")
def sketches():
    return np.random.default_rng(3).integers(0, 256, (5, SKETCH_SIZE, SKETCH_SIZE, 3), dtype=np.uint8)


@pytest.fixture(scope="module")
def embedder():
    return ThumbnailEmbedder(turned=True)


def put_turned(chain, scene, which=TURNED):
    put(scene, chain.images / "as_it_is.png")
    for turns, mirrored in which:
        put(turned(scene, turns, mirrored), chain.images / f"turned_{turns}_{mirrored}.png")
    for seed in range(4):
        put(photo(seed, (120, 90)), chain.images / f"other_{seed}.png")


def near(chain):
    """The pairs within the near-duplicate threshold."""
    pairs = chain.store.read(schema.PAIRS)
    return {(row.image_a, row.image_b) for row in pairs[pairs["distance"] <= 0.05].itertuples()}


def test_the_views_besides_are_the_frame_turned_the_others_as_ever(embedder, sketches):
    plain, vectors = ThumbnailEmbedder().embed(sketches), embedder.embed(sketches)
    shown = {
        (turns, mirrored): embedder.embed(
            np.stack([np.asarray(turned(Image.fromarray(one), turns, mirrored)) for one in sketches])
        )[:, 0]
        for turns, mirrored in TURNED
    }
    besides = np.flatnonzero(embedder.turns)
    assert len(besides) == 5
    for view in besides:
        same = [place for place, other in shown.items() if np.sum(other * vectors[:, view], axis=1).min() > 0.99]
        assert [turns for turns, _ in same] == [embedder.turns[view]]
    np.testing.assert_array_equal(np.delete(vectors, besides, axis=1), plain)


@pytest.mark.parametrize(("turns", "mirrored"), TURNED)
def test_a_pair_is_turned_to_where_it_looks_alike_from_either_end(embedder, sketches, turns, mirrored):
    other = np.asarray(turned(Image.fromarray(sketches[0]), turns, mirrored))
    vectors = quantise(embedder.embed(np.stack([sketches[0], other])))
    for ends in ((0, 1), (1, 0)):
        first, second = (np.array([row]) for row in ends)
        by = pair_turns(vectors, embedder.turns, first, second)
        one, two = (np.rot90([sketches[0], other][row], int(turn[0])) for row, turn in zip(ends, by, strict=True))
        assert np.array_equal(one, two) or np.array_equal(one, two[:, ::-1])
        assert pair_distances(vectors, first, second, embedder.calibration)[0] < 0.001


def test_a_pair_that_fits_as_it_is_is_not_turned(embedder, scene, sketches):
    half_turned = np.concatenate([sketches[:1, :24], np.rot90(sketches[:1, :24], 2, axes=(1, 2))], axis=1)
    vectors = quantise(embedder.embed(np.concatenate([half_turned, half_turned])))
    turns = pair_turns(vectors, embedder.turns, np.array([0]), np.array([1]))
    assert [turn.tolist() for turn in turns] == [[0], [0]]


def test_an_embedder_that_turns_nothing_asks_for_no_turns(sketches):
    embedder = ThumbnailEmbedder()
    vectors = quantise(embedder.embed(sketches))
    assert not np.any(pair_turns(vectors, embedder.turns, np.array([0, 1]), np.array([2, 3])))


def test_one_content_seen_in_two_ways_is_two_ends_with_sketches_of_their_own(tmp_path, sketches):
    shelf = ArrayShelf(tmp_path / "sketches", (SKETCH_SIZE, SKETCH_SIZE, 3), "uint8")
    contents = [
        Content(f"{row:064x}", put(Image.fromarray(one), tmp_path / f"{row}.png"), (48, 48), 1)
        for row, one in enumerate(sketches)
    ]
    turns = np.array([0, 3, 0]), np.array([2, 0, 0])
    ends = ends_of(
        lambda rows: [contents[row] for row in rows.tolist()], np.array([0, 0, 0]), np.array([1, 2, 1]), turns
    )
    assert [(one.content_id[-1], one.turns) for one in ends.contents] == [
        ("0", 0),
        ("0", 3),
        ("1", 0),
        ("1", 2),
        ("2", 0),
    ]
    assert (ends.first.tolist(), ends.second.tolist()) == ([0, 1, 0], [3, 4, 2])
    assert len({one.key for one in ends.contents}) == 5
    for stored in (False, True):
        if stored:
            shelf.add([one.content_id for one in contents], np.stack([read_picture(c.file, 48) for c in contents]))
        read = Sketches(shelf if stored else None, 1).read(ends.contents)
        np.testing.assert_array_equal(read[1], np.rot90(sketches[0], 3))
        np.testing.assert_array_equal(read[3], np.rot90(sketches[1], 2))
        np.testing.assert_array_equal(read[4], sketches[2])


def test_turned_copies_are_near_duplicates_and_none_goes_without_a_person(tmp_path, scene):
    chain = chain_in(tmp_path, embedder="thumbnail-turned")
    put_turned(chain, scene)
    chain.run()
    names = sorted(["as_it_is.png", *(f"turned_{turns}_{mirrored}.png" for turns, mirrored in TURNED)])
    assert near(chain) == {(a, b) for a in names for b in names if a < b}
    assert removed(chain) == set()


def test_the_default_embedder_leaves_turned_copies_apart(tmp_path, scene):
    chain = chain_in(tmp_path)
    put_turned(chain, scene)
    chain.run()
    assert ("as_it_is.png", "turned_1_False.png") not in near(chain)


def test_turned_copies_that_come_later_give_what_they_would_have_given_at_once(tmp_path, scene):
    later = chain_in(tmp_path / "later", tmp_path / "images", embedder="thumbnail-turned")
    put_turned(later, scene, TURNED[:2])
    later.run()
    put_turned(later, scene)
    later.run()
    at_once = chain_in(tmp_path / "at_once", tmp_path / "images", embedder="thumbnail-turned")
    at_once.run()
    assert later.results() == at_once.results()


def test_changing_to_it_and_back_finds_what_each_finds(tmp_path, scene):
    chain = chain_in(tmp_path)
    put_turned(chain, scene)
    found = []
    for embedder in ("thumbnail", "thumbnail-turned", "thumbnail"):
        chain.settings["embedder"] = embedder
        chain.run()
        found.append(near(chain))
    assert found[0] == found[2] < found[1]
