"""One image file: reading it, what it is, and the small picture everything cheap is computed from."""

import hashlib
import io
import os
import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from dedup_assets.core.errors import SourceError, UnreachableFileError
from dedup_assets.core.jpeg import PlainJpeg, decode_jpeg, read_plain_jpeg
from dedup_assets.core.sources.base import Readable, opened

SKETCH_SIZE = 48
DEEP = "16 bits a channel"  # in the info of a whole picture: whether the file holds more than is seen
MAX_PIXELS = 178_956_970  # where Pillow itself starts to suspect a decompression bomb

_ORIENTATION = 0x0112
_TURNS = {  # what makes an image upright that EXIF says is so
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_SCALED_SIZE = 64  # JPEG is decoded at the smallest scale of 1, 1/2, 1/4, 1/8 with both sides at least this long
_DEEP_GREYS = ("I;16B", "I;16L", "I;16N")
_IN_MEMORY_BYTES = 64 << 20
_LARGE_PIXELS = 30_000_000
_one_large_at_a_time = threading.Lock()
_heif_lock = threading.Lock()
_heif_ready = False

Pixels = NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class ImageFacts:
    """What reading a file once told.

    `status` is `ok`, or why it cannot be used: `empty`, `unreadable`, `denied`, `vanished`, `too_large`, `unreachable`.
    `width` and `height` are in pixels as displayed (EXIF orientation applied). `frames` counts the pictures of an
    animation. `scaled` tells that the file was decoded at a smaller scale: then `pixel_hash` is None, and
    `hash_pixels` gives it.
    """

    status: str
    error: str | None = None
    file_hash: str | None = None
    pixel_hash: str | None = None
    width: int | None = None
    height: int | None = None
    format: str | None = None
    mode: str | None = None
    frames: int = 1
    scaled: bool = False
    sketch: Pixels | None = field(default=None, repr=False, compare=False)


def read_image(file: Readable, max_pixels: int = MAX_PIXELS) -> ImageFacts:
    """Read a file once: its hash, its facts and its sketch. A file that cannot be used is an answer, not an error.

    The sketch is the whole picture as a viewer shows it, squashed to (SKETCH_SIZE, SKETCH_SIZE, 3) uint8 RGB. Raises
    SourceError alone: when the place of the images does not answer.
    """
    file_hash: str | None = None
    try:
        source, file_hash, size = _open_and_hash(file)
        if size == 0:
            return ImageFacts("empty", "the file has no bytes", file_hash)
        with source:
            return _facts(source, file, file_hash, max_pixels)
    except UnreachableFileError as error:
        return ImageFacts("unreachable", str(error))
    except SourceError:
        raise
    except PermissionError as error:
        return ImageFacts("denied", error.strerror or _first_line(error))
    except FileNotFoundError:
        return ImageFacts("vanished", "the file was gone when it was read")
    except Image.DecompressionBombError:
        return ImageFacts("too_large", f"more than {max_pixels:,} pixels", file_hash)
    except UnidentifiedImageError:
        return ImageFacts("unreadable", "not in an image format that can be read", file_hash)
    except Exception as error:  # decoders raise nearly anything on broken files
        return ImageFacts("unreadable", _first_line(error), file_hash)


def orientation_of(file: Readable) -> int:
    """How EXIF says the file is turned or mirrored, 1 to 8; 1 is as stored."""
    with Image.open(opened(file)) as image:
        return int(image.getexif().get(_ORIENTATION, 1))


def read_picture(file: Readable, size: int) -> Pixels:
    """The whole picture as a viewer shows it, squashed to (size, size, 3) uint8 RGB. Raises what the decoder raises."""
    with open_scaled(file, size) as image:
        return squash(upright(image), size)


def open_scaled(file: Readable, size: int) -> Image.Image:
    """The opened file, set to decode no larger than it takes to make both sides at least `size` pixels."""
    image = _open(file)
    _scale_on_decode(image, max(size, _SCALED_SIZE))
    return image


def read_full(file: Readable) -> Image.Image:
    """The first frame at full size, upright, palettes expanded: what identity and full-size comparison look at."""
    with _open(file) as image:
        deep = is_deep(image)
        image.load()
        whole = expand(upright(image))
        whole.info[DEEP] = deep
        return whole


def hash_pixels(file: Readable) -> str:
    """SHA-256 over mode, displayed size, number of frames and every frame's pixels. Raises what the decoder raises."""
    with _open(file) as image:
        if is_deep(image):
            return _hash_deep(io.BytesIO(file.read_bytes()), image)
        return _hash_decoded(image, upright(image))


def is_deep(image: Image.Image) -> bool:
    """Whether the file has 16 bits a channel where Pillow keeps 8; known until the image is loaded."""
    return image.mode in ("RGB", "RGBA", "LA") and any(";16" in str(tile[3]) for tile in getattr(image, "tile", ()))


def upright(image: Image.Image) -> Image.Image:
    """The image turned as its EXIF orientation says; broken EXIF counts as none."""
    image.load()
    return _turned(image, _orientation(image))


def expand(image: Image.Image) -> Image.Image:
    """Palettes and colours declared transparent replaced by what they stand for; every other mode is kept."""
    clear = "transparency" in image.info
    if image.mode in ("P", "PA"):
        return image.convert("RGBA" if image.mode == "PA" or clear else "RGB")
    if clear and image.mode in ("1", "L", "RGB"):
        return image.convert("RGBA" if image.mode == "RGB" else "LA")
    if image.mode in _DEEP_GREYS:  # byte order is the file's affair
        return Image.fromarray(np.asarray(image).astype("<u2"))
    return image.convert("L") if image.mode == "1" else image


def as_rgb(image: Image.Image) -> Image.Image:
    """8-bit RGB as a viewer shows it: transparency over white, deep greys scaled down."""
    image = expand(image)
    if image.mode.startswith("I") or image.mode == "F":
        image = Image.fromarray(_to_8_bit(np.asarray(image, dtype=np.float64), image.mode))
    if "A" in image.mode or "a" in image.mode or "transparency" in image.info:
        image = image.convert("RGBA")
        white = Image.new("RGBA", image.size, "white")
        return Image.alpha_composite(white, image).convert("RGB")
    return image if image.mode == "RGB" else image.convert("RGB")


def squash(image: Image.Image, size: int) -> Pixels:
    """(size, size, 3) uint8 RGB of the whole image, its aspect given up."""
    smaller = image.width >= size and image.height >= size
    rgb = as_rgb(image)
    return np.asarray(rgb.resize((size, size), Image.Resampling.BOX if smaller else Image.Resampling.BILINEAR))


def _facts(source: IO[bytes], file: Readable, file_hash: str, max_pixels: int) -> ImageFacts:
    if isinstance(source, io.BytesIO):
        plain = read_plain_jpeg(source.getvalue(), _SCALED_SIZE, max_pixels)
        if plain:
            return _plain_facts(plain, file_hash)
    _allow_heif(file)
    _allow_pixels(max_pixels)
    with Image.open(source) as image:
        image.decodermaxblock = _IN_MEMORY_BYTES  # in one go: it is in memory already, and in pieces costs more
        width, height = image.size
        if width * height > max_pixels:
            error = f"{width}x{height} is more than {max_pixels:,} pixels"
            return ImageFacts("too_large", error, file_hash, None, width, height, image.format)
        known: dict[str, Any] = {"file_hash": file_hash, "format": image.format, "mode": image.mode}
        scaled = _scale_on_decode(image, _SCALED_SIZE)
        if not scaled and width * height > _LARGE_PIXELS:
            with _one_large_at_a_time:
                return _decoded_facts(image, source, known, (width, height), scaled)
        return _decoded_facts(image, source, known, (width, height), scaled)


def _plain_facts(plain: PlainJpeg, file_hash: str) -> ImageFacts:
    picture = Image.fromarray(plain.pixels)
    return ImageFacts(
        "ok",
        file_hash=file_hash,
        pixel_hash=None if plain.scaled else _hash_decoded(picture, picture, plain.pixels),
        width=plain.width,
        height=plain.height,
        format="JPEG",
        mode=plain.mode,
        scaled=plain.scaled,
        sketch=squash(picture, SKETCH_SIZE),
    )


def _decoded_facts(
    image: Image.Image, source: IO[bytes], known: dict[str, Any], stored_size: tuple[int, int], scaled: bool
) -> ImageFacts:
    deep = is_deep(image)
    pixels = decode_jpeg(image, source.getvalue(), scaled) if isinstance(source, io.BytesIO) else None
    if pixels is None:
        image.load()
    orientation = _orientation(image)
    picture = _turned(image if pixels is None else Image.fromarray(pixels), orientation)
    content = pixels if orientation not in _TURNS else None
    width, height = picture.size
    if scaled:
        width, height = stored_size[::-1] if orientation >= 5 else stored_size
    sketch = squash(picture, SKETCH_SIZE)
    pixel_hash = None if scaled else _hash_deep(source, image) if deep else _hash_decoded(image, picture, content)
    facts: dict[str, Any] = {"width": width, "height": height, "frames": _frames(image), "scaled": scaled}
    return ImageFacts("ok", pixel_hash=pixel_hash, sketch=sketch, **facts, **known)


def _hash_decoded(image: Image.Image, first: Image.Image, pixels: Pixels | None = None) -> str:
    """`first`: the first frame, upright. `pixels`: its own, if at hand."""
    frames = _frames(image)
    digest = hashlib.sha256()
    for frame in range(frames):
        if frame:
            image.seek(frame)
        picture = expand(upright(image) if frame else first)
        digest.update(f"{picture.mode} {picture.width}x{picture.height} {frames}\n".encode())
        digest.update(picture.tobytes() if frame or pixels is None else pixels.data)
    return digest.hexdigest()


def _hash_deep(source: IO[bytes], image: Image.Image) -> str:
    """The same for 16 bits a channel; equal only where the orientation is noted in the same way."""
    import cv2

    source.seek(0)
    data = source.read()
    pixels = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    if pixels is None or pixels.dtype != np.uint16 or _frames(image) > 1:  # then identical to the same bytes alone
        return hashlib.sha256(data).hexdigest()
    digest = hashlib.sha256(f"16 bits {pixels.shape} {_orientation(image)}\n".encode())
    digest.update(pixels.astype("<u2").tobytes())
    return digest.hexdigest()


def _frames(image: Image.Image) -> int:
    return 1 if image.format == "MPO" else int(getattr(image, "n_frames", 1))  # an MPO's others are previews


def _turned(stored: Image.Image, orientation: int) -> Image.Image:
    return stored.transpose(_TURNS[orientation]) if orientation in _TURNS else stored


def _orientation(image: Image.Image) -> int:
    try:
        return int(image.getexif().get(_ORIENTATION, 1))
    except Exception:  # EXIF is often broken, and says nothing then
        return 1


def _scale_on_decode(image: Image.Image, size: int) -> bool:
    """Ask the JPEG decoder for a smaller picture; whether it will give one."""
    full_size = image.size
    image.draft(None, (size, size))
    return image.size != full_size


def _to_8_bit(values: NDArray[np.float64], mode: str) -> Pixels:
    finite = values[np.isfinite(values)]
    low, high = (float(finite.min()), float(finite.max())) if finite.size else (0.0, 0.0)
    values = np.nan_to_num(values, nan=low, posinf=high, neginf=low)
    if mode == "F" and low >= 0 and high <= 1:
        values = values * 255
    elif mode.startswith("I;16") or (mode == "I" and low >= 0 and 255 < high <= 65535):
        values = values / 257
    elif high > low and (low < 0 or high > 255):
        values = (values - low) * (255 / (high - low))
    return np.rint(np.clip(values, 0, 255)).astype(np.uint8)


def _open(file: Readable) -> Image.Image:
    _allow_heif(file)
    return Image.open(opened(file))


def _open_and_hash(file: Readable) -> tuple[IO[bytes], str, int]:
    if isinstance(file, Path):
        with file.open("rb", buffering=0) as raw:
            size = os.fstat(raw.fileno()).st_size
            if size > _IN_MEMORY_BYTES:
                return _hash_in_blocks(file.open("rb"), size)
            data = raw.read()
    else:
        data = file.read_bytes()
    return io.BytesIO(data), hashlib.sha256(data).hexdigest(), len(data)


def _hash_in_blocks(source: IO[bytes], size: int) -> tuple[IO[bytes], str, int]:
    digest = hashlib.sha256()
    while block := source.read(1 << 20):
        digest.update(block)
    source.seek(0)
    return source, digest.hexdigest(), size


def _allow_heif(file: Readable) -> None:
    global _heif_ready
    if not _heif_ready and file.suffix.lower() in (".heic", ".heif", ".hif"):
        with _heif_lock:
            import pillow_heif

            pillow_heif.register_heif_opener()
            _heif_ready = True


def _allow_pixels(max_pixels: int) -> None:
    if Image.MAX_IMAGE_PIXELS is not None and max_pixels > Image.MAX_IMAGE_PIXELS:
        Image.MAX_IMAGE_PIXELS = max_pixels


def _first_line(error: Exception) -> str:
    text = str(error).strip() or type(error).__name__
    return text.splitlines()[0][:300]
