"""Fit the networks of the second stage: `python -m dedup_assets_tests.benchmarks.fit_screen PHOTOS... --pictures TAR`.

Pairs that are one picture: the edits not kept aside, planted in the tuning half of the photos and in every 150th of
the small pictures. Pairs that are not: what the vectors offer among the small pictures, and among the tuning half
of `--lookalikes`. Same data, same weights.
"""

import argparse
import tempfile
from collections.abc import Sequence
from concurrent.futures import Executor, ProcessPoolExecutor
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from dedup_assets.core.calibration.edits import EDITS
from dedup_assets.core.detection.cosines import Indices, pair_distances
from dedup_assets.core.detection.evidence import EVIDENCE, evidence
from dedup_assets.core.detection.glancing import glance
from dedup_assets.core.detection.outlines import outline
from dedup_assets_tests.benchmarks.detection import Detector, images_in, kept_aside, planted
from dedup_assets_tests.benchmarks.fit_descriptor import pictures
from dedup_assets_tests.benchmarks.network import Layers, fit_network

Seen = NDArray[np.float32]

_PORTION = 10  # photos whose edits are on disk at a time
_LIMIT = 10_000  # small pictures used, from the first on
_FIRST, _EVERY = 7, 150  # of them have edits planted
_OFFERED = 0.13  # vector distance up to which pairs are used
_SURELY_ONE = 0.95  # agreement from which two different small pictures are taken for duplicates, and left out


def of_edits(photos: Sequence[Path], pool: Executor) -> Seen:
    """(n, EVIDENCE + 1 + GLANCE): what is seen of the photos and their edits where the vectors offer the pair."""
    starts = range(0, len(photos), _PORTION)
    portions = [photos[start : start + _PORTION] for start in starts]
    return np.concatenate(list(pool.map(_of_portion, portions, starts)))


def _of_portion(photos: Sequence[Path], seed: int) -> Seen:
    edits = [edit for edit in EDITS if not edit.kept_aside]
    with tempfile.TemporaryDirectory() as folder:
        detector = Detector(planted(photos, edits, Path(folder), seed)[0])
        edited = np.arange(len(photos), len(detector.paths))
        source = edited % len(photos)
        offered = pair_distances(detector.vectors, source, edited, detector.embedder.calibration)[0] <= _OFFERED
        return _seen(detector, source[offered], edited[offered])


def of_different(photos: Sequence[Path]) -> Seen:
    """The same of all pairs that the vectors offer among different pictures, but for likely duplicates."""
    detector = Detector(photos)
    seen = _seen(detector, *detector.offered(_OFFERED))
    return seen[seen[:, EVIDENCE] < _SURELY_ONE]


def _seen(detector: Detector, first: Indices, second: Indices) -> Seen:
    agreed = np.array(list(detector.aligned(first, second)), np.float32)
    glanced = glance(outline(detector.sketches), first, second)
    return np.concatenate([evidence(detector.sketches, first, second), agreed[None], glanced]).T


def _fit(same: Sequence[Seen], different: Sequence[Seen], columns: slice, **how: float) -> Layers:
    seen = np.concatenate([*same, *different])[:, columns]
    return fit_network(seen, np.arange(len(seen)) < sum(map(len, same)), **how)


def save(path: Path, **networks: Layers) -> None:
    """Write the networks as `Screen` reads them."""
    arrays = {}
    for name, layers in networks.items():
        for number, (weight, bias) in enumerate(layers):
            arrays[f"{name}_weight{number}"], arrays[f"{name}_bias{number}"] = weight, bias
    np.savez_compressed(path, **arrays)


def main() -> None:
    """Plant, look, fit, save."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photos", nargs="+", type=Path, metavar="PHOTOS")
    parser.add_argument("--pictures", type=Path, required=True, metavar="IMAGES_OR_TAR", help="many small ones")
    parser.add_argument("--lookalikes", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    chosen = parser.parse_args()
    photos = [path for path in images_in(chosen.photos) if not kept_aside(path)]
    with tempfile.TemporaryDirectory() as folder:
        small = []
        for number, (_, picture) in enumerate(zip(range(_LIMIT), pictures([chosen.pictures]), strict=False)):
            small.append(Path(folder, f"{number:05}.png"))
            Image.fromarray(picture).save(small[-1])
        with ProcessPoolExecutor() as pool:
            unlike = pool.submit(of_different, small)
            same = [of_edits(photos, pool), of_edits(small[_FIRST::_EVERY], pool)]
            different = [unlike.result()]
    alike = of_different([path for path in images_in([chosen.lookalikes]) if not kept_aside(path)])
    save(
        chosen.out,
        glance=_fit(same, different, slice(EVIDENCE + 1, None), noise=0.3),
        looks=_fit(same, different, slice(EVIDENCE)),
        verdict=_fit(same, [*different, alike], slice(EVIDENCE + 1)),
    )


if __name__ == "__main__":
    main()
