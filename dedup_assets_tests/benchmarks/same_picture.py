"""At distance 0.0001: copies in another encoding are the same picture, the slightest edits are not."""

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from PIL import Image, ImageDraw, ImageEnhance, ImageFilter

from dedup_assets.core.detection import fullsize
from dedup_assets.core.detection.cosines import pair_distances, quantise
from dedup_assets.core.detection.descriptor import ThumbnailEmbedder
from dedup_assets.core.images import expand, read_image, squash, upright

SAME = 1e-4
_EXIF_ORIENTATION = 0x0112


def judge(photos: Sequence[Path]) -> list[str]:
    """Markdown lines: the share of photos for which copy or edit and photo are the same at full size."""
    embedder = ThumbnailEmbedder()
    verdicts: dict[str, list[bool]] = {}
    tiny: dict[str, float] = {}
    for photo in photos:
        facts = read_image(photo)
        with Image.open(photo) as image:
            picture = expand(upright(image)).convert("RGB")
        for name, encoded in (*_copies(picture).items(), *_edits(picture).items()):
            other = expand(upright(Image.open(io.BytesIO(encoded))))
            sketches = np.stack([facts.sketch, squash(other, 48)])
            vectors = quantise(embedder.embed(sketches))
            view = pair_distances(vectors, np.array([0]), np.array([1]), embedder.calibration)[0][0]
            result = fullsize.compare_full(picture, other)
            same = result.distance is not None and result.distance <= SAME and view <= fullsize.TINY_DISTANCE
            verdicts.setdefault(name, []).append(same)
            tiny[name] = max(tiny.get(name, 0.0), float(view))
    lines = ["| | same at 0.0001 | largest vector distance |", "|---|---|---|"]
    lines += [f"| {name} | {np.mean(same):.3f} | {tiny[name]:.4f} |" for name, same in verdicts.items()]
    return [*lines, ""]


def _encoded(picture: Image.Image, kind: str, **options: Any) -> bytes:
    file = io.BytesIO()
    picture.save(file, kind, **options)
    return file.getvalue()


def _copies(picture: Image.Image) -> dict[str, bytes]:
    turned = Image.Exif()
    turned[_EXIF_ORIENTATION] = 6
    return {
        "PNG": _encoded(picture, "PNG"),
        "PNG, turned by EXIF": _encoded(picture.transpose(Image.Transpose.ROTATE_90), "PNG", exif=turned),
        "BMP": _encoded(picture, "BMP"),
        "WebP, lossless": _encoded(picture, "WEBP", lossless=True),
        "JPEG q 90": _encoded(picture, "JPEG", quality=90),
        "JPEG q 90, full colour": _encoded(picture, "JPEG", quality=90, subsampling=0),
        "JPEG q 95": _encoded(picture, "JPEG", quality=95),
        "WebP q 90": _encoded(picture, "WEBP", quality=90),
    }


def _edits(picture: Image.Image) -> dict[str, bytes]:
    width = max(2, round(0.03 * picture.width))
    retouched = picture.copy()
    corner = picture.width // 2, picture.height // 2
    ImageDraw.Draw(retouched).rectangle((*corner, corner[0] + width, corner[1] + width), (120, 120, 120))
    noise = np.random.default_rng(1).normal(0, 8, (picture.height, picture.width, 3))
    edited = {
        "blur, sigma 2": picture.filter(ImageFilter.GaussianBlur(2)),
        "blur, sigma 1": picture.filter(ImageFilter.GaussianBlur(1)),
        "brightness +20 %": ImageEnhance.Brightness(picture).enhance(1.2),
        "brightness -20 %": ImageEnhance.Brightness(picture).enhance(0.8),
        "brightness +5 %": ImageEnhance.Brightness(picture).enhance(1.05),
        "contrast +20 %": ImageEnhance.Contrast(picture).enhance(1.2),
        "shift 2 %": _shifted(picture, max(1, round(0.02 * picture.width))),
        "shift 1 pixel": _shifted(picture, 1),
        "retouch, 3 % of the width": retouched,
        "noise, sigma 8": Image.fromarray(np.clip(np.asarray(picture) + noise, 0, 255).astype(np.uint8)),
    }
    return {name: _encoded(image, "JPEG", quality=95) for name, image in edited.items()}


def _shifted(picture: Image.Image, pixels: int) -> Image.Image:
    matrix = np.array([[1, 0, pixels], [0, 1, 0]], np.float64)
    return Image.fromarray(cv2.warpAffine(np.asarray(picture), matrix, picture.size, borderMode=cv2.BORDER_REPLICATE))
