"""Pictures for tests: made from a seed, and either the very same or clearly different."""

from pathlib import Path

import numpy as np
from PIL import Image

ORIENTATION = 0x0112


def photo(seed, size=(64, 48)):
    """A soft, colourful RGB picture; another seed gives a clearly different one."""
    coarse = np.random.default_rng(seed).integers(0, 256, (6, 8, 3), dtype=np.uint8)
    return Image.fromarray(coarse).resize(size, Image.Resampling.BICUBIC)


def grain(seed, size=(64, 48)):
    """Noise in every pixel, so that no lossy or scaled decode of it is flat."""
    width, height = size
    return Image.fromarray(np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8))


def put(image, path, **options):
    """Save the picture, its folders made; the path."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    image.save(path, **options)
    return path


def put_photos(folder, seeds, suffix=".png"):
    """One photo for each seed, named by it; their paths."""
    return [put(photo(seed), folder / f"{seed:03d}{suffix}") for seed in seeds]


def exif(orientation=1, text=""):
    """EXIF data with an orientation, and words that change the file but no pixel."""
    data = Image.Exif()
    data[ORIENTATION] = orientation
    if text:
        data[0x010E] = text
    return data
