"""Whole runs on few and on many small JPEGs: each against a bare decode loop, and how the cost grows.

    python -m dedup_assets_tests.benchmarks.growth TEXTURES_TAR [--counts 10000 100000] [--keep FOLDER] [--times 1]

TEXTURES_TAR holds small pictures. Turned by quarters, as they are and as negatives, with a little noise of their own
they give eight different pictures each; rolled by half their width or height, which leaves half of what they show next
to itself, 24 more. No near band joins them. `--keep` makes the images in that folder and leaves them there for the next
time.
"""

import argparse
import io
import json
import tarfile
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image

from dedup_assets_tests.benchmarks.whole_run import measure

_SIDE = 64
_WAYS = 32  # four turns of two lights of four rolls


def make_images(tar: Path, folder: Path, count: int) -> None:
    """Images number 0 to `count`, a thousand in a folder; those that are there are left as they are."""
    with tarfile.open(tar) as pictures:
        members = sorted((member for member in pictures if member.isfile()), key=lambda member: member.name)
        if count > _WAYS * len(members):
            raise SystemExit(f"--counts {count}: '{tar}' gives {_WAYS * len(members)} pictures at most; name fewer")
        for place, member in enumerate(members):
            numbers = [number for number in range(place, count, len(members)) if not _target(folder, number).exists()]
            if numbers:
                file = pictures.extractfile(member)
                assert file is not None
                with Image.open(io.BytesIO(file.read())) as picture:
                    pixels = np.asarray(picture.convert("RGB").resize((_SIDE, _SIDE)), np.float64)
                for number in numbers:
                    _save(pixels, number, number // len(members), _target(folder, number))


def _target(folder: Path, number: int) -> Path:
    return folder / f"{number // 1000:03d}" / f"{number:06d}.jpg"


def _save(pixels: np.ndarray, number: int, way: int, target: Path) -> None:
    roll = (_SIDE // 2 * (way // 8 % 2), _SIDE // 2 * (way // 16))
    changed = np.rot90(np.roll(pixels, roll, axis=(0, 1)), way % 4)
    if way // 4 % 2:
        changed = 255 - changed
    noisy = changed + np.random.default_rng(number).normal(0, 1, changed.shape)
    target.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.clip(noisy, 0, 255).astype(np.uint8)).save(target, quality=90)


def main() -> None:
    """Measure and print one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("tar", type=Path)
    parser.add_argument("--counts", type=int, nargs="+", default=[10_000, 100_000])
    parser.add_argument("--keep", type=Path)
    parser.add_argument("--times", type=int, default=1)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as work:
        figures = []
        for count in arguments.counts:
            images = (arguments.keep or Path(work)) / str(count)
            make_images(arguments.tar, images, count)
            figures.append(measure(images.absolute(), "none", arguments.times))
    spent = [figure["first_run_s"] - figure["fixed_s"] for figure in figures]
    result = {"runs": figures, "growth_beyond_fixed": [later / spent[0] for later in spent[1:]]}
    rounded = json.loads(json.dumps(result), parse_float=lambda text: round(float(text), 3))
    print(json.dumps(rounded, indent=2))  # noqa: T201


if __name__ == "__main__":
    main()
