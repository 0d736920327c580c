"""Fit the weights of the default embedder: `python -m dedup_assets_tests.benchmarks.fit_descriptor DATA... --out FILE`.

Fisher's linear discriminant on the thumbnail features: within = two edits of one picture, between = pictures. The
pictures should be many, distinct, and not those the result is judged on. Same data, same weights.
"""

import argparse
import io
import tarfile
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from dedup_assets.core.detection.descriptor import FEATURES, features, save_weights
from dedup_assets.core.images import SKETCH_SIZE, read_picture, squash

Picture = NDArray[np.float32]
Random = np.random.Generator

_WORK = 64  # side of the pictures that are edited, in pixels


def pictures(sources: list[Path]) -> Iterator[NDArray[np.uint8]]:
    """(64, 64, 3) uint8 RGB of every image in the folders, tar files and files given, in order of name."""
    for source in sources:
        if source.suffix == ".tar":
            with tarfile.open(source) as archive:
                for member in sorted(archive.getmembers(), key=lambda member: member.name):
                    if member.isfile() and (file := archive.extractfile(member)):
                        with Image.open(io.BytesIO(file.read())) as image:
                            yield squash(image, _WORK)
        else:
            files = sorted(path for path in source.rglob("*") if path.is_file()) if source.is_dir() else [source]
            for path in files:
                yield read_picture(path, _WORK)


def edit(picture: NDArray[np.uint8], strength: float, random: Random) -> NDArray[np.uint8]:
    """A randomly edited version, (SKETCH_SIZE, SKETCH_SIZE, 3) uint8; `strength` 0..1 scales how much is done."""
    edited = _move(picture.astype(np.float32), strength, random)
    for step, chance in ((_colour, 0.6), (_light, 0.3), (_soften, 0.5), (_cover, 0.4)):
        if random.random() < chance * (0.4 + 0.6 * strength):
            edited = step(edited, strength, random)
    small = cv2.resize(edited, (SKETCH_SIZE, SKETCH_SIZE), interpolation=cv2.INTER_AREA)
    small += random.normal(0, 1 + 8 * strength * random.random() ** 3, small.shape)
    return np.clip(np.rint(small), 0, 255).astype(np.uint8)


def _move(picture: Picture, strength: float, random: Random) -> Picture:
    """Crop, shift, turn, stretch, skew and frame by one perspective warp."""
    size = _WORK
    corners = np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]], np.float64)
    scale = 1 + strength * random.uniform(-0.1, 0.1)
    moved = corners * scale * (1 + strength * random.uniform(-0.04, 0.04, 2))
    moved += strength * random.uniform(-0.09, 0.09, 2) * (random.random() < 0.7)
    if random.random() < 0.35:
        angle = strength * np.deg2rad(random.uniform(-6, 6))
        moved = moved @ np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    if random.random() < 0.25:
        moved += strength * random.uniform(-0.09, 0.09, (4, 2))
    matrix = cv2.getPerspectiveTransform(*(np.float32((side + 1) * size / 2) for side in (corners, moved)))
    border = (cv2.BORDER_CONSTANT, cv2.BORDER_REPLICATE, cv2.BORDER_REFLECT)[random.choice(3, p=(0.4, 0.2, 0.4))]
    value = random.choice((0.0, 255.0, random.uniform(0, 255)))
    return cv2.warpPerspective(picture, matrix, (size, size), borderMode=border, borderValue=(value,) * 3)


def _colour(picture: Picture, strength: float, random: Random) -> Picture:
    grey = picture @ np.float32([0.299, 0.587, 0.114])
    kind = random.random()
    if kind < 0.25:
        return np.repeat(grey[..., None], 3, axis=2)
    if kind < 0.35:
        dark, light = random.uniform(0, 60, 3), random.uniform(160, 255, 3)
        return np.float32(dark) + grey[..., None] / 255 * np.float32(light - dark)
    if kind < 0.5:
        hsv = cv2.cvtColor(picture / 255, cv2.COLOR_RGB2HSV)
        hsv[..., 0] = (hsv[..., 0] + strength * random.uniform(-60, 60)) % 360
        return cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB) * 255
    gains = np.exp(strength * random.normal(0, 0.12, 3)).astype(np.float32)
    saturation = np.exp(strength * random.uniform(-0.8, 0.7))
    return np.clip((grey[..., None] + (picture - grey[..., None]) * np.float32(saturation)) * gains, 0, 255)


def _light(picture: Picture, strength: float, random: Random) -> Picture:
    kind = random.random()
    if kind < 0.3:
        return 255 * (np.clip(picture, 0, 255) / 255) ** np.float32(np.exp(strength * random.uniform(-0.7, 0.7)))
    if kind < 0.5:
        grey = np.clip(picture @ np.float32([0.299, 0.587, 0.114]), 0, 255).astype(np.uint8)
        return np.clip(picture * (cv2.equalizeHist(grey) / np.maximum(grey, 8.0))[..., None], 0, 255).astype(np.float32)
    if kind < 0.65:
        line = np.linspace(-1, 1, _WORK, dtype=np.float32)
        shade = 1 - strength * random.uniform(0.1, 0.45) * (line[:, None] ** 2 + line[None] ** 2)
        return picture * shade[..., None].astype(np.float32)
    contrast = np.exp(strength * random.uniform(-0.7, 0.6))
    level = 128 + strength * random.uniform(-60, 60)
    return np.clip((picture - 128) * np.float32(contrast) + np.float32(level), 0, 255)


def _soften(picture: Picture, strength: float, random: Random) -> Picture:
    if random.random() < 0.2:
        blurred = cv2.GaussianBlur(picture, (0, 0), 1.0)
        return np.clip(picture + (picture - blurred) * np.float32(strength * random.uniform(0.3, 1.5)), 0, 255)
    return cv2.GaussianBlur(picture, (0, 0), 0.3 + strength * random.uniform(0.0, 1.8))


def _cover(picture: Picture, strength: float, random: Random) -> Picture:
    """Stickers, bars and text: rectangles and ellipses of a colour, more or less opaque."""
    covered = picture.copy()
    for _ in range(random.integers(1, 4)):
        layer = covered.copy()
        colour = tuple(random.choice((0.0, 255.0, *random.uniform(0, 255, 2)), 3).tolist())
        share = strength * random.uniform(0.1, 0.38)
        if random.random() < 0.4:
            thick, start = max(1, round(share * _WORK / 2)), random.choice((0, 1))
            rows = slice(0, thick) if start else slice(_WORK - thick, _WORK)
            if random.random() < 0.7:
                layer[rows] = colour
            else:
                layer[:, rows] = colour
        else:
            x, y = random.uniform(0.05, 0.95, 2) * _WORK
            half = share * _WORK / 2 * np.exp(random.uniform(-0.5, 0.5, 2))
            if random.random() < 0.5:
                axes = (max(1, round(half[0])), max(1, round(half[1])))
                cv2.ellipse(layer, (round(x), round(y)), axes, 0, 0, 360, colour, -1)
            else:
                low, high = (round(x - half[0]), round(y - half[1])), (round(x + half[0]), round(y + half[1]))
                cv2.rectangle(layer, low, high, colour, -1)
        opacity = 1.0 if random.random() < 0.6 else random.uniform(0.3, 1)
        covered += (layer - covered) * np.float32(opacity)
    return covered


def fit(
    first: NDArray[np.float64], second: NDArray[np.float64], dimension: int, ridge: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Mean (f,) and projection (f, dimension) from features (n, f) of two edits of the same n pictures.

    Dimensions are whitened by the within scatter, ordered by how far pictures stand apart in them, and damped where
    that is little more than the edits do.
    """
    mean = (first.mean(axis=0) + second.mean(axis=0)) / 2
    difference = first - second
    within = difference.T @ difference / (2 * len(first))
    within += ridge * np.trace(within) / len(within) * np.eye(len(within))
    centred = np.concatenate([first, second]) - mean
    total = centred.T @ centred / len(centred)
    whiten = np.linalg.inv(np.linalg.cholesky(within))
    values, vectors = np.linalg.eigh(whiten @ total @ whiten.T)
    values, vectors = values[::-1][:dimension], vectors[:, ::-1][:, :dimension]
    signal = np.maximum(values - 1, 0)
    scale = np.sqrt(signal / (signal + 1) / values)
    return mean, whiten.T @ vectors * scale


def main() -> None:
    """Read, edit, fit, save."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("sources", nargs="+", type=Path, metavar="IMAGES_OR_TAR")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--limit", type=int, default=10_000, help="pictures used, from the first on")
    parser.add_argument("--rounds", type=int, default=3, help="pairs of edits of each picture")
    parser.add_argument("--dimension", type=int, default=64)
    parser.add_argument("--ridge", type=float, default=0.02)
    chosen = parser.parse_args()
    random = np.random.default_rng(3)
    used = [picture for _, picture in zip(range(chosen.limit), pictures(chosen.sources), strict=False)]
    first, second = (np.empty((len(used) * chosen.rounds, FEATURES)) for _ in range(2))
    for turn in range(chosen.rounds):
        rows = slice(turn * len(used), (turn + 1) * len(used))
        first[rows] = features(np.stack([edit(picture, 0.3, random) for picture in used]))
        second[rows] = features(np.stack([edit(picture, 1.0, random) for picture in used]))
    mean, projection = fit(first, second, chosen.dimension, chosen.ridge)
    save_weights(chosen.out, mean, projection)


if __name__ == "__main__":
    main()
