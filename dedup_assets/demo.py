"""A small folder of photographs with planted duplicates, to try the chain on and to check it against."""

import importlib.util
import io
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFilter, ImageFont, ImageOps

from dedup_assets.core.errors import DedupError

ORIGINAL = "original"
IDENTICAL_KINDS = ("copy", "same_pixels", "turned")
ALTERED_KINDS = ("reencoded", "resized", "shifted", "blurred", "cropped", "mirrored", "exposed", "captioned")
BROKEN_KINDS = ("truncated", "not_an_image", "empty")

_ABOUT_FILE = "ABOUT.txt"
_LONG_SIDE = 480
_QUALITY = 95
_FIRST_MODIFIED_SECONDS = 1_672_567_200  # 1 January 2023; each file is an hour younger than the one before
_ORIENTATION = 0x0112

Change = Callable[[bytes], bytes]


@dataclass(frozen=True, slots=True)
class Planted:
    """What one file is: ORIGINAL, or one of the kinds above, and the image_id it was made from (None: of nothing)."""

    kind: str
    source: str | None = None


@dataclass(frozen=True, slots=True)
class DemoTruth:
    """What was planted in `folder`: every file's image_id, in order, and what it is."""

    folder: Path
    images: Mapping[str, Planted]

    def of_kind(self, *kinds: str) -> tuple[str, ...]:
        """The image_ids of these kinds."""
        return tuple(image_id for image_id, planted in self.images.items() if planted.kind in kinds)


def make_demo_images(folder: Path) -> DemoTruth:
    """Write about 50 pictures under `folder` and tell what they are; the same bytes and times every time.

    Files that are already right are left alone. Raises DedupError when scikit-image, whose photographs these are, is
    not installed, and when the folder holds anything that was not made here.
    """
    contents = _contents(_photographs())
    truth = DemoTruth(folder, {image_id: planted for image_id, (planted, _) in contents.items()})
    try:
        _refuse_foreign(folder, {*contents, _ABOUT_FILE})
        for number, (name, data) in enumerate([(_ABOUT_FILE, _about()), *((i, c[1]) for i, c in contents.items())]):
            _write(folder / name, data, _FIRST_MODIFIED_SECONDS + 3600 * number)
    except OSError as error:
        raise DedupError(f"the demo pictures cannot be written to '{folder}' ({error.strerror})") from error
    return truth


def _contents(photographs: Path) -> dict[str, tuple[Planted, bytes]]:
    """Every file by image_id, sorted."""
    made = {i: (Planted(ORIGINAL), _original(photographs / file, box)) for i, (file, box) in _ORIGINALS.items()}
    for image_id, (kind, source, change) in _VERSIONS.items():
        made[image_id] = (Planted(kind, source), change(made[source][1]))
    made["scans/notes.jpg"] = (Planted("not_an_image"), b"Remember to sort the holiday pictures.\n")
    made["camera_roll/interrupted.jpg"] = (Planted("empty"), b"")
    return dict(sorted(made.items()))


def _original(photograph: Path, box: tuple[int, int, int, int] | None) -> bytes:
    try:
        with Image.open(photograph) as image:
            part = image.crop(box) if box else image.copy()
    except OSError as error:
        raise DedupError(
            f"the photograph '{photograph}' cannot be read ({error}); reinstall scikit-image: "
            'pip install --force-reinstall "dedup-assets[demo]"'
        ) from error
    picture = part if part.mode in ("L", "RGB") else part.convert("L")
    scale = _LONG_SIDE / max(picture.size)
    return _jpeg(
        picture.resize((round(picture.width * scale), round(picture.height * scale)), Image.Resampling.LANCZOS)
    )


def _decode(data: bytes) -> Image.Image:
    image = Image.open(io.BytesIO(data))
    image.load()
    return image


def _jpeg(image: Image.Image, quality: int = _QUALITY) -> bytes:
    return _encode(image, "JPEG", quality=quality)


def _encode(image: Image.Image, file_format: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, file_format, **options)
    return buffer.getvalue()


def _edited(edit: Callable[[Image.Image], Image.Image], quality: int = _QUALITY) -> Change:
    return lambda data: _jpeg(edit(_decode(data)), quality)


def _lossless(file_format: str, **options: object) -> Change:
    """The decoded pixels in another format."""
    return lambda data: _encode(_decode(data), file_format, **options)


def _turned(file_format: str, turn: Image.Transpose, orientation: int) -> Change:
    """Stored on its side, without loss, with the EXIF orientation that shows it upright."""
    exif = Image.Exif()
    exif[_ORIENTATION] = orientation
    return lambda data: _encode(_decode(data).transpose(turn), file_format, exif=exif)


def _copied(data: bytes) -> bytes:
    return data


def _truncated(data: bytes) -> bytes:
    return data[: len(data) * 3 // 5]


def _shifted(image: Image.Image) -> Image.Image:
    """Moved by 3 % to the right and 2 % down; the edge is repeated where nothing was."""
    right, down = image.width * 3 // 100, image.height * 2 // 100
    pixels = np.asarray(image)
    padded = np.pad(pixels, ((down, 0), (right, 0), (0, 0))[: pixels.ndim], mode="edge")
    return Image.fromarray(padded[: image.height, : image.width])


def _cropped(image: Image.Image) -> Image.Image:
    """The middle 80 % of both sides."""
    across, down = image.width // 10, image.height // 10
    return image.crop((across, down, image.width - across, image.height - down))


def _captioned(image: Image.Image) -> Image.Image:
    """With a line of text on a dark bar over its lowest tenth."""
    captioned = image.convert("RGB")
    draw, top = ImageDraw.Draw(captioned), image.height - image.height // 10
    draw.rectangle((0, top, image.width, image.height), fill=(20, 20, 20))
    draw.text((image.width // 40, top + 4), "a day to remember", fill="white", font=ImageFont.load_default(size=22))
    return captioned


def _resized(image: Image.Image) -> Image.Image:
    return image.resize((image.width * 3 // 5, image.height * 3 // 5), Image.Resampling.LANCZOS)


def _blurred(image: Image.Image) -> Image.Image:
    return image.filter(ImageFilter.GaussianBlur(2))


def _brightness(factor: float) -> Callable[[Image.Image], Image.Image]:
    return lambda image: image.point(lambda value: min(255, round(value * factor)))


def _photographs() -> Path:
    """The folder of pictures inside scikit-image, found without importing it."""
    spec = importlib.util.find_spec("skimage")
    if spec is None or spec.origin is None:
        raise DedupError(
            "the demo pictures are photographs that come with scikit-image, which is not installed; "
            'pip install "dedup-assets[demo]"'
        )
    return Path(spec.origin).parent / "data"


def _refuse_foreign(folder: Path, expected: set[str]) -> None:
    paths = [path.relative_to(folder) for path in folder.rglob("*") if not path.is_dir()]
    found = sorted(path.as_posix() for path in paths if not path.name.startswith("."))  # file browsers leave those
    foreign = [name for name in found if name not in expected]
    if found and _ABOUT_FILE not in found:
        foreign = found
    if foreign or (folder.exists() and not folder.is_dir()):
        what = f"holds '{foreign[0]}'" if foreign else "is a file"
        raise DedupError(f"'{folder}' {what}, which the demo did not make; give an empty or a new folder")


def _write(path: Path, data: bytes, modified_seconds: int) -> None:
    if not path.is_file() or path.read_bytes() != data:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    if path.stat().st_mtime_ns != modified_seconds * 10**9:
        os.utime(path, (modified_seconds, modified_seconds))


def _about() -> bytes:
    files = "\n".join(f"{file}: {words}" for file, words in _SOURCES.items())
    return f"Pictures made by `dedup-assets demo`, from photographs that come with scikit-image:\n\n{files}\n".encode()


_SOURCES = {
    "astronaut.png": "Eileen Collins, NASA; public domain",
    "brick.png": "CC0Textures, Bricks25; CC0",
    "camera.png": "Lav Varshney; CC0",
    "chelsea.png": "Stefan van der Walt; CC0",
    "clock_motion.png": "Stefan van der Walt; public domain",
    "coffee.png": "Rachel Michetti, Pikolo Espresso Bar; CC0",
    "grass.png": "linolafett, Grass 01; CC0",
    "gravel.png": "CC0Textures, Gravel04; CC0",
    "horse.png": "Andreas Preuss (marauder); CC0",
    "hubble_deep_field.jpg": "NASA, HubbleSite 2012-37; public domain",
    "retina.jpg": "Mikael Häggström, fundus photograph of a normal left eye; CC0",
    "rocket.jpg": "SpaceX, launch of DSCOVR; public domain",
}

_ORIGINALS: dict[str, tuple[str, tuple[int, int, int, int] | None]] = {
    "camera_roll/astronaut.jpg": ("astronaut.png", (60, 0, 355, 300)),
    "camera_roll/shuttle.jpg": ("astronaut.png", (355, 0, 512, 300)),
    "camera_roll/helmet.jpg": ("astronaut.png", (262, 350, 512, 512)),
    "camera_roll/badge.jpg": ("astronaut.png", (120, 350, 225, 455)),
    "camera_roll/photographer.jpg": ("camera.png", (0, 40, 330, 360)),
    "camera_roll/skyline.jpg": ("camera.png", (332, 110, 512, 230)),
    "camera_roll/tripod.jpg": ("camera.png", (250, 362, 512, 512)),
    "camera_roll/cat.jpg": ("chelsea.png", None),
    "camera_roll/coffee.jpg": ("coffee.png", None),
    "camera_roll/rocket.jpg": ("rocket.jpg", None),
    "downloads/deep_field_1.jpg": ("hubble_deep_field.jpg", (0, 0, 500, 436)),
    "downloads/deep_field_2.jpg": ("hubble_deep_field.jpg", (500, 0, 1000, 436)),
    "downloads/deep_field_3.jpg": ("hubble_deep_field.jpg", (0, 436, 500, 872)),
    "downloads/deep_field_4.jpg": ("hubble_deep_field.jpg", (500, 436, 1000, 872)),
    "downloads/clock.jpg": ("clock_motion.png", None),
    "downloads/horse.jpg": ("horse.png", None),
    "scans/eye.jpg": ("retina.jpg", None),
    "scans/bricks_left.jpg": ("brick.png", (0, 0, 256, 512)),
    "scans/bricks_right.jpg": ("brick.png", (256, 0, 512, 512)),
    "scans/grass_left.jpg": ("grass.png", (0, 0, 256, 512)),
    "scans/grass_right.jpg": ("grass.png", (256, 0, 512, 512)),
    "scans/gravel_left.jpg": ("gravel.png", (0, 0, 256, 512)),
    "scans/gravel_right.jpg": ("gravel.png", (256, 0, 512, 512)),
}

_VERSIONS: dict[str, tuple[str, str, Change]] = {
    "downloads/cat.jpg": ("copy", "camera_roll/cat.jpg", _copied),
    "downloads/cat (1).jpg": ("copy", "camera_roll/cat.jpg", _copied),
    "scans/kitty.jpg": ("copy", "camera_roll/cat.jpg", _copied),
    "downloads/coffee.jpg": ("copy", "camera_roll/coffee.jpg", _copied),
    "downloads/skyline.jpg": ("copy", "camera_roll/skyline.jpg", _copied),
    "scans/eye (1).jpg": ("copy", "scans/eye.jpg", _copied),
    "downloads/astronaut.png": ("same_pixels", "camera_roll/astronaut.jpg", _lossless("PNG")),
    "downloads/badge.webp": ("same_pixels", "camera_roll/badge.jpg", _lossless("WEBP", lossless=True)),
    "scans/tripod.tif": ("same_pixels", "camera_roll/tripod.jpg", _lossless("TIFF")),
    "scans/photographer.png": ("turned", "camera_roll/photographer.jpg", _turned("PNG", Image.Transpose.ROTATE_90, 6)),
    "scans/shuttle.tif": ("turned", "camera_roll/shuttle.jpg", _turned("TIFF", Image.Transpose.ROTATE_270, 8)),
    "downloads/coffee_saved_again.jpg": ("reencoded", "camera_roll/coffee.jpg", _edited(Image.Image.copy, 90)),
    "downloads/helmet_saved_again.jpg": ("reencoded", "camera_roll/helmet.jpg", _edited(Image.Image.copy, 90)),
    "downloads/rocket_small.jpg": ("resized", "camera_roll/rocket.jpg", _edited(_resized)),
    "downloads/deep_field_1_small.jpg": ("resized", "downloads/deep_field_1.jpg", _edited(_resized)),
    "camera_roll/astronaut_again.jpg": ("shifted", "camera_roll/astronaut.jpg", _edited(_shifted)),
    "downloads/horse_again.jpg": ("shifted", "downloads/horse.jpg", _edited(_shifted)),
    "camera_roll/cat_out_of_focus.jpg": ("blurred", "camera_roll/cat.jpg", _edited(_blurred)),
    "camera_roll/skyline_out_of_focus.jpg": ("blurred", "camera_roll/skyline.jpg", _edited(_blurred)),
    "downloads/photographer_closer.jpg": ("cropped", "camera_roll/photographer.jpg", _edited(_cropped)),
    "downloads/coffee_closer.jpg": ("cropped", "camera_roll/coffee.jpg", _edited(_cropped)),
    "downloads/shuttle_mirrored.jpg": ("mirrored", "camera_roll/shuttle.jpg", _edited(ImageOps.mirror)),
    "downloads/astronaut_bright.jpg": ("exposed", "camera_roll/astronaut.jpg", _edited(_brightness(1.25))),
    "scans/eye_dark.jpg": ("exposed", "scans/eye.jpg", _edited(_brightness(0.8))),
    "downloads/badge_captioned.jpg": ("captioned", "camera_roll/badge.jpg", _edited(_captioned)),
    "downloads/horse_incomplete.jpg": ("truncated", "downloads/horse.jpg", _truncated),
}
