"""What installed peers say about the same files. Each is left out where it is not installed."""

import time
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

HASH_LIMIT = 10  # bits of 64, imagededup's default

Indices = NDArray[np.int64]
Verdict = tuple[NDArray[np.bool_], int, float]


def judge(paths: Sequence[Path], source: Indices, edited: Indices, pairs: Indices) -> dict[str, Verdict]:
    """By peer: whether it finds each edited file near its source, false pairs among `pairs`, and CPU seconds."""
    verdicts: dict[str, Verdict] = {}
    for name, needs, hashes in (
        (f"imagehash phash <= {HASH_LIMIT}", "imagehash", _imagehash("phash")),
        (f"imagehash dhash <= {HASH_LIMIT}", "imagehash", _imagehash("dhash")),
        (f"imagededup PHash <= {HASH_LIMIT}", "imagededup", _imagededup),
    ):
        if find_spec(needs):
            started = time.process_time()
            bits = np.stack([hashes(path) for path in paths])
            seconds = time.process_time() - started
            false = (_bits_apart(bits, pairs[:, 0], pairs[:, 1]) <= HASH_LIMIT).sum()
            verdicts[name] = (_bits_apart(bits, source, edited) <= HASH_LIMIT, int(false), seconds)
    if find_spec("cleanvision"):
        verdicts["cleanvision"] = _cleanvision(paths, source, edited, pairs)
    return verdicts


def _bits_apart(bits: NDArray[np.bool_], first: Indices, second: Indices) -> Indices:
    return np.asarray((bits[first] != bits[second]).sum(axis=1), np.int64)


def _imagehash(kind: str) -> Callable[[Path], NDArray[np.bool_]]:
    def hashes(path: Path) -> NDArray[np.bool_]:
        import imagehash

        with Image.open(path) as image:
            return np.asarray(getattr(imagehash, kind)(ImageOps.exif_transpose(image)).hash.ravel(), bool)

    return hashes


_hasher: list[object] = []


def _imagededup(path: Path) -> NDArray[np.bool_]:
    from imagededup.methods import PHash

    if not _hasher:
        _hasher.append(PHash(verbose=False))
    hexadecimal = _hasher[0].encode_image(image_file=str(path))
    return np.array([bit == "1" for bit in f"{int(hexadecimal, 16):064b}"])


def _cleanvision(paths: Sequence[Path], source: Indices, edited: Indices, pairs: Indices) -> Verdict:
    """Its near and exact duplicate sets, at its defaults, over one folder of everything."""
    from cleanvision import Imagelab

    started = time.process_time()
    lab = Imagelab(filepaths=[str(path) for path in paths])
    lab.find_issues({"near_duplicates": {}, "exact_duplicates": {}}, n_jobs=1, verbose=False)
    seconds = time.process_time() - started
    sets_of: dict[str, set[int]] = {}
    for kind in ("near_duplicates", "exact_duplicates"):
        for number, members in enumerate(lab.info[kind]["sets"]):
            for member in members:
                sets_of.setdefault(str(member), set()).add(2 * number + (kind == "exact_duplicates"))

    def together(a: int, b: int) -> bool:
        return bool(sets_of.get(str(paths[a]), set()) & sets_of.get(str(paths[b]), set()))

    found = np.array([together(a, b) for a, b in zip(source, edited, strict=True)])
    return found, sum(together(a, b) for a, b in pairs), seconds
