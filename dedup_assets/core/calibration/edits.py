"""Planted edits: what people and programs do to a picture without making another of it, in families.

An edit takes an upright RGB picture and a random generator, and returns the edited picture. What is random (where a
crop lies, what a sticker shows) comes from the generator alone, so a seed repeats an edit exactly.
"""

import io
from dataclasses import dataclass, field
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageEnhance, ImageFilter, ImageOps

from dedup_assets.core.calibration import drawn
from dedup_assets.core.calibration.drawn import Apply, Picture


@dataclass(frozen=True, slots=True)
class Edit:
    """One edit: its name and family, what it does, and how its result is saved.

    `kept_aside` edits were written after the detector was settled, so figures on them are the honest ones; of all
    others some figure was seen while it was tuned.
    """

    name: str
    family: str
    apply: Apply
    kept_aside: bool = False
    format: str = "JPEG"
    save: dict[str, Any] = field(default_factory=lambda: {"quality": 90})


def plant(edit: Edit, picture: Picture, seed: int) -> bytes:
    """The edited picture as the bytes of an image file in `edit.format`."""
    generator = np.random.default_rng([seed, *edit.name.encode()])
    file = io.BytesIO()
    edit.apply(picture.convert("RGB"), generator).save(file, edit.format, **edit.save)
    return file.getvalue()


def _unchanged(picture: Picture, _: np.random.Generator) -> Picture:
    return picture


def _mirror(picture: Picture, _: np.random.Generator) -> Picture:
    return ImageOps.mirror(picture)


def _crop(kept: float, place: tuple[float, float] | None = None) -> Apply:
    """Keep `kept` of both sides, at `place` (0..1 of the room there is), or anywhere."""

    def apply(picture: Picture, generator: np.random.Generator) -> Picture:
        width, height = max(1, round(picture.width * kept)), max(1, round(picture.height * kept))
        x, y = place or generator.uniform(0, 1, 2)
        left, top = round((picture.width - width) * x), round((picture.height - height) * y)
        return picture.crop((left, top, left + width, top + height))

    return apply


def _cut(left: float = 0, top: float = 0, right: float = 0, bottom: float = 0) -> Apply:
    def apply(picture: Picture, _: np.random.Generator) -> Picture:
        width, height = picture.size
        low = round(left * width), round(top * height)
        return picture.crop((*low, round(width - right * width), round(height - bottom * height)))

    return apply


def _mirror_and_crop(picture: Picture, generator: np.random.Generator) -> Picture:
    return _crop(0.9)(ImageOps.mirror(picture), generator)


def _warp(matrix: NDArray[np.float64], picture: Picture, border: int = cv2.BORDER_CONSTANT) -> Picture:
    warped = cv2.warpPerspective(np.asarray(picture), matrix, picture.size, flags=cv2.INTER_LINEAR, borderMode=border)
    return Image.fromarray(warped)


def _turned(turns: int, mirrored: bool = False, then: Apply = _unchanged) -> Apply:
    """By quarters, anticlockwise."""

    def apply(picture: Picture, generator: np.random.Generator) -> Picture:
        pixels = np.rot90(np.asarray(picture), turns)
        return then(Image.fromarray(np.ascontiguousarray(pixels[:, ::-1] if mirrored else pixels)), generator)

    return apply


def _shift(share: float, border: int) -> Apply:
    def apply(picture: Picture, generator: np.random.Generator) -> Picture:
        x, y = generator.choice([-share, share], 2)
        matrix = np.array([[1, 0, round(x * picture.width)], [0, 1, round(y * picture.height)], [0, 0, 1.0]])
        return _warp(matrix, picture, border)

    return apply


def _rotate(degrees: float, fill: bool) -> Apply:
    """Turn about the centre; `fill` shows black corners, otherwise they are cropped away."""

    def apply(picture: Picture, generator: np.random.Generator) -> Picture:
        angle = degrees * float(generator.choice([-1, 1]))
        width, height = picture.size
        sine, cosine = abs(np.sin(np.deg2rad(angle))), np.cos(np.deg2rad(angle))
        scale = 1.0 if fill else cosine + sine * max(width / height, height / width)
        turn = np.eye(3)
        turn[:2] = cv2.getRotationMatrix2D((width / 2, height / 2), angle, scale)
        return _warp(turn, picture)

    return apply


def _mirror_and_turn(picture: Picture, generator: np.random.Generator) -> Picture:
    return _rotate(2, True)(ImageOps.mirror(picture), generator)


def _perspective(share: float) -> Apply:
    def apply(picture: Picture, generator: np.random.Generator) -> Picture:
        corners = np.array([[0, 0], [1, 0], [1, 1], [0, 1]], np.float32)
        moved = corners + generator.uniform(0, share, (4, 2)) * np.where(corners > 0, -1, 1)
        scale = np.array(picture.size)
        matrix = cv2.getPerspectiveTransform((moved * scale).astype(np.float32), (corners * scale).astype(np.float32))
        return _warp(np.asarray(matrix, np.float64), picture)

    return apply


def _elastic(share: float) -> Apply:
    def apply(picture: Picture, generator: np.random.Generator) -> Picture:
        width, height = picture.size
        coarse = generator.uniform(-share, share, (2, 5, 5)).astype(np.float32)
        x, y = (cv2.resize(part, picture.size, interpolation=cv2.INTER_CUBIC) for part in coarse)
        rows, columns = np.mgrid[:height, :width].astype(np.float32)
        warped = cv2.remap(
            np.asarray(picture), columns + x * width, rows + y * height, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT
        )
        return Image.fromarray(warped)

    return apply


def _shear(picture: Picture, generator: np.random.Generator) -> Picture:
    slope = 0.05 * float(generator.choice([-1, 1]))
    matrix = np.array([[1, slope, -slope * picture.height / 2], [0, 1, 0], [0, 0, 1.0]])
    return _warp(matrix, picture, cv2.BORDER_REFLECT)


def _barrel(picture: Picture, _: np.random.Generator) -> Picture:
    rows, columns = np.mgrid[-1 : 1 : picture.height * 1j, -1 : 1 : picture.width * 1j]
    bend = 0.94 + 0.04 * (rows**2 + columns**2)
    x, y = (columns * bend + 1) * (picture.width - 1) / 2, (rows * bend + 1) * (picture.height - 1) / 2
    return Image.fromarray(cv2.remap(np.asarray(picture), x.astype(np.float32), y.astype(np.float32), cv2.INTER_LINEAR))


def _resize(factor: float, stretch: float = 1.0) -> Apply:
    def apply(picture: Picture, _: np.random.Generator) -> Picture:
        size = max(1, round(picture.width * factor * stretch)), max(1, round(picture.height * factor))
        return picture.resize(size, Image.Resampling.LANCZOS)

    return apply


def _enhance(enhancer: type, factor: float) -> Apply:
    def apply(picture: Picture, _: np.random.Generator) -> Picture:
        enhanced: Picture = enhancer(picture).enhance(factor)
        return enhanced

    return apply


def _gamma(exponent: float) -> Apply:
    table = [round(255 * (level / 255) ** exponent) for level in range(256)] * 3
    return lambda picture, _: picture.point(table)


def _channels(*gains: float) -> Apply:
    table = [min(255, round(level * gain)) for gain in gains for level in range(256)]
    return lambda picture, _: picture.point(table)


def _grey(picture: Picture, _: np.random.Generator) -> Picture:
    return ImageOps.grayscale(picture).convert("RGB")


def _sepia(picture: Picture, _: np.random.Generator) -> Picture:
    return ImageOps.colorize(ImageOps.grayscale(picture), "#20120a", "#fff0d0", "#a07850")


def _duotone(picture: Picture, _: np.random.Generator) -> Picture:
    return ImageOps.colorize(ImageOps.grayscale(picture), "#10204a", "#ffd9a0")


def _hue(degrees: float) -> Apply:
    def apply(picture: Picture, _: np.random.Generator) -> Picture:
        hsv = np.array(picture.convert("HSV"))
        hsv[..., 0] += np.uint8(round(degrees * 256 / 360))
        return Image.fromarray(hsv, "HSV").convert("RGB")

    return apply


def _vignette(picture: Picture, _: np.random.Generator) -> Picture:
    rows, columns = np.linspace(-1, 1, picture.height)[:, None], np.linspace(-1, 1, picture.width)[None]
    light = 1 - 0.35 * (rows**2 + columns**2)
    return Image.fromarray((np.asarray(picture) * light[..., None]).astype(np.uint8))


def _haze(picture: Picture, _: np.random.Generator) -> Picture:
    return Image.blend(picture, Image.new("RGB", picture.size, (205, 210, 215)), 0.4)


def _blur(share: float) -> Apply:
    """Gaussian blur, sigma as a share of the mean of both sides."""
    return lambda picture, _: picture.filter(ImageFilter.GaussianBlur(share * sum(picture.size) / 2))


def _motion(picture: Picture, _: np.random.Generator) -> Picture:
    length = max(3, round(0.025 * picture.width))
    return Image.fromarray(cv2.blur(np.asarray(picture), (length, 1)))


def _noise(sigma: float) -> Apply:
    def apply(picture: Picture, generator: np.random.Generator) -> Picture:
        noisy = np.asarray(picture) + generator.normal(0, sigma, (picture.height, picture.width, 3))
        return Image.fromarray(np.clip(noisy, 0, 255).astype(np.uint8))

    return apply


def _salt(picture: Picture, generator: np.random.Generator) -> Picture:
    pixels = np.array(picture)
    hit = generator.random(pixels.shape[:2])
    pixels[hit < 0.01], pixels[hit > 0.99] = 0, 255
    return Image.fromarray(pixels)


def _pixelate(side: int) -> Apply:
    def apply(picture: Picture, _: np.random.Generator) -> Picture:
        small = (max(1, picture.width // side), max(1, picture.height // side))
        return picture.resize(small, Image.Resampling.BOX).resize(picture.size, Image.Resampling.NEAREST)

    return apply


def _grain(picture: Picture, generator: np.random.Generator) -> Picture:
    grain = cv2.GaussianBlur(generator.normal(0, 1, (picture.height, picture.width)), (0, 0), 1.0)
    grainy = np.asarray(picture) + (grain * (14 / max(grain.std(), 1e-9)))[..., None]
    return Image.fromarray(np.clip(grainy, 0, 255).astype(np.uint8))


def _median(picture: Picture, _: np.random.Generator) -> Picture:
    return picture.filter(ImageFilter.MedianFilter(5))


def _sharpen(picture: Picture, _: np.random.Generator) -> Picture:
    return picture.filter(ImageFilter.UnsharpMask(3, 200, 2))


EDITS: tuple[Edit, ...] = (
    Edit("mirror", "geometry", _mirror),
    Edit("crop 90 %, centre", "geometry", _crop(0.9, (0.5, 0.5))),
    Edit("crop 80 %, centre", "geometry", _crop(0.8, (0.5, 0.5))),
    Edit("crop 85 %, anywhere", "geometry", _crop(0.85)),
    Edit("crop 80 %, corner", "geometry", _crop(0.8, (1, 0))),
    Edit("cut 15 % at the left", "geometry", _cut(left=0.15)),
    Edit("cut 12 % above and below", "geometry", _cut(top=0.12, bottom=0.12)),
    Edit("mirror and crop 90 %", "geometry", _mirror_and_crop),
    Edit("shift 5 %, black", "geometry", _shift(0.05, cv2.BORDER_CONSTANT)),
    Edit("shift 8 %, edge repeated", "geometry", _shift(0.08, cv2.BORDER_REPLICATE)),
    Edit("rotate 3 degrees, black corners", "geometry", _rotate(3, True)),
    Edit("rotate 5 degrees, cropped", "geometry", _rotate(5, False)),
    Edit("perspective 6 %", "geometry", _perspective(0.06)),
    Edit("perspective 10 %", "geometry", _perspective(0.1)),
    Edit("elastic 2 %", "geometry", _elastic(0.02)),
    Edit("stretch 1.3", "geometry", _resize(1, 1.3)),
    Edit("shear 5 %", "geometry", _shear),
    Edit("barrel", "geometry", _barrel),
    Edit("greyscale", "colour", _grey),
    Edit("sepia", "colour", _sepia),
    Edit("brightness +30 %", "colour", _enhance(ImageEnhance.Brightness, 1.3)),
    Edit("brightness -40 %", "colour", _enhance(ImageEnhance.Brightness, 0.6)),
    Edit("contrast +50 %", "colour", _enhance(ImageEnhance.Contrast, 1.5)),
    Edit("contrast -50 %", "colour", _enhance(ImageEnhance.Contrast, 0.5)),
    Edit("saturation +100 %", "colour", _enhance(ImageEnhance.Color, 2.0)),
    Edit("gamma 0.6", "colour", _gamma(0.6)),
    Edit("gamma 1.8", "colour", _gamma(1.8)),
    Edit("warm", "colour", _channels(1.15, 1.0, 0.8)),
    Edit("cold", "colour", _channels(0.8, 0.95, 1.2)),
    Edit("hue 25 degrees", "colour", _hue(25)),
    Edit("hue 60 degrees", "colour", _hue(60)),
    Edit("equalise", "colour", lambda picture, _: ImageOps.equalize(picture)),
    Edit("auto-contrast", "colour", lambda picture, _: ImageOps.autocontrast(picture, 2)),
    Edit("posterise 8 levels", "colour", lambda picture, _: ImageOps.posterize(picture, 3)),
    Edit("vignette", "colour", _vignette),
    Edit("haze", "colour", _haze),
    Edit("duotone", "colour", _duotone),
    Edit("JPEG q 10", "compression", _unchanged, False, "JPEG", {"quality": 10}),
    Edit("JPEG q 30", "compression", _unchanged, False, "JPEG", {"quality": 30}),
    Edit("WebP q 15", "compression", _unchanged, False, "WEBP", {"quality": 15}),
    Edit("GIF, 256 colours", "compression", _unchanged, False, "GIF", {}),
    Edit("half size", "compression", _resize(0.5)),
    Edit("quarter size", "compression", _resize(0.25)),
    Edit("twice the size", "compression", _resize(2)),
    Edit("watermark", "overlay", drawn.watermark),
    Edit("meme text", "overlay", drawn.meme),
    Edit("time stamp", "overlay", drawn.timestamp),
    Edit("caption inside", "overlay", drawn.caption_inside),
    Edit("scribble", "overlay", drawn.scribble),
    Edit("play button", "overlay", drawn.play_button),
    Edit("text column", "overlay", drawn.text_column),
    Edit("banner", "overlay", drawn.banner),
    Edit("sticker, face, 6 %", "sticker", drawn.sticker(0.06, "face")),
    Edit("sticker, box, 6 %", "sticker", drawn.sticker(0.06, "box")),
    Edit("sticker, photo, 10 %", "sticker", drawn.sticker(0.1, "photo")),
    Edit("sticker, face, 12 %", "sticker", drawn.sticker(0.12, "face")),
    Edit("confetti", "sticker", drawn.confetti),
    Edit("sticker, photo, 7 %", "sticker", drawn.sticker(0.07, "photo")),
    Edit("border 5 %, black", "framing", drawn.border(0.05, 0.05, 0.05, 0.05, "black")),
    Edit("border 12 %, white", "framing", drawn.border(0.12, 0.12, 0.12, 0.12, "white")),
    Edit("letterbox", "framing", drawn.border(0, 0.16, 0, 0.16, "black")),
    Edit("pillarbox", "framing", drawn.border(0.16, 0, 0.16, 0, "black")),
    Edit("instant photo", "framing", drawn.border(0.06, 0.06, 0.06, 0.22, "#f4f1e8")),
    Edit("blurred bars", "framing", drawn.blurred_bars),
    Edit("printed page", "framing", drawn.page),
    Edit("caption below", "framing", drawn.caption_below),
    Edit("screenshot, window", "framing", drawn.screenshot),
    Edit("screenshot, phone", "framing", drawn.phone),
    Edit("blur 0.5 %", "blur and noise", _blur(0.005)),
    Edit("blur 1 %", "blur and noise", _blur(0.01)),
    Edit("motion blur", "blur and noise", _motion),
    Edit("noise 15", "blur and noise", _noise(15)),
    Edit("noise 30", "blur and noise", _noise(30)),
    Edit("salt and pepper 2 %", "blur and noise", _salt),
    Edit("sharpen", "blur and noise", _sharpen),
    Edit("pixelate 8", "blur and noise", _pixelate(8)),
    Edit("pixelate 5", "blur and noise", _pixelate(5)),
    Edit("grain", "blur and noise", _grain),
    Edit("median", "blur and noise", _median),
    Edit("crop 87 %, anywhere", "geometry", _crop(0.87), True),
    Edit("cut 10 % at the right and below", "geometry", _cut(right=0.1, bottom=0.1), True),
    Edit("rotate 4 degrees, black corners", "geometry", _rotate(4, True), True),
    Edit("mirror and turn 2 degrees", "geometry", _mirror_and_turn, True),
    Edit("green tint", "colour", _channels(0.85, 1.1, 0.85), True),
    Edit("gamma 0.45", "colour", _gamma(0.45), True),
    Edit("saturation -60 %", "colour", _enhance(ImageEnhance.Color, 0.4), True),
    Edit("JPEG q 18", "compression", _unchanged, True, "JPEG", {"quality": 18}),
    Edit("WebP q 40", "compression", _unchanged, True, "WEBP", {"quality": 40}),
    Edit("a third of the size", "compression", _resize(0.33), True),
    Edit("subtitle", "overlay", drawn.subtitle, True),
    Edit("logo", "overlay", drawn.logo, True),
    Edit("sticker, face, 9 %", "sticker", drawn.sticker(0.09, "face"), True),
    Edit("sticker, box, 9 %", "sticker", drawn.sticker(0.09, "box"), True),
    Edit("border 8 %, red", "framing", drawn.border(0.08, 0.08, 0.08, 0.08, "#c02030"), True),
    Edit("caption above", "framing", drawn.caption_above, True),
    Edit("wide letterbox", "framing", drawn.border(0, 0.2, 0, 0.2, "black"), True),
    Edit("blur 0.8 %", "blur and noise", _blur(0.008), True),
    Edit("noise 22", "blur and noise", _noise(22), True),
)

# What `thumbnail-turned` finds besides.
TURNS: tuple[Edit, ...] = (
    Edit("quarter turn", "turn", _turned(1), True),
    Edit("three quarter turns", "turn", _turned(3), True),
    Edit("upside down", "turn", _turned(2), True),
    Edit("top and bottom swapped", "turn", _turned(2, mirrored=True), True),
    Edit("quarter turn, mirrored", "turn", _turned(1, mirrored=True), True),
    Edit("three quarter turns, mirrored", "turn", _turned(3, mirrored=True), True),
    Edit("quarter turn, JPEG q 30", "turn", _turned(1), True, "JPEG", {"quality": 30}),
    Edit("quarter turn, half size", "turn", _turned(3, then=_resize(0.5)), True),
    Edit("quarter turn, brightness -40 %", "turn", _turned(1, then=_enhance(ImageEnhance.Brightness, 0.6)), True),
    Edit("quarter turn, crop 90 %", "turn", _turned(1, then=_crop(0.9)), True),
    Edit("quarter turn, border 5 %", "turn", _turned(3, then=drawn.border(0.05, 0.05, 0.05, 0.05, "black")), True),
    Edit("quarter turn, watermark", "turn", _turned(3, then=drawn.watermark), True),
    Edit("upside down, crop 90 %", "turn", _turned(2, then=_crop(0.9)), True),
)
