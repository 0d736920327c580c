"""Images put into the folder of a dataset, as links or copies, each held against what the scan read."""

import errno
import hashlib
import os
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import pandas as pd

from dedup_assets.core.errors import DedupError
from dedup_assets.core.sources.base import Readable

UNKNOWN_TIME = -1


class Scanned(NamedTuple):
    """One image as it was scanned. `modified_ns`: nanoseconds since 1970, UNKNOWN_TIME where that was not kept."""

    image_id: str
    file_hash: str
    size_bytes: int
    modified_ns: int = UNKNOWN_TIME


def scanned(manifest: pd.DataFrame) -> list[Scanned]:
    """The images of a manifest, in order, with `modified_ns` where the frame has it."""
    columns = [name for name in Scanned._fields if name in manifest]
    return [Scanned(*row) for row in manifest[columns].itertuples(index=False, name=None)]


def place_images(
    placement: str,
    find: Callable[[str], Readable],
    images: Sequence[Scanned],
    folder: Path,
    progress: Callable[[str, int, int], None],
) -> None:
    """Make `folder` and put each image in it, under its path; `find` leads from an id to its file.

    A copy has the bytes that were scanned. A link leads to a file of the size and time that it had then, or of the same
    bytes. Raises DedupError naming the first image of which that cannot be.
    """
    if placement == "none":
        return
    folder.mkdir()
    for inner in sorted({os.path.dirname(image.image_id) for image in images}):  # noqa: PTH120 - of ids, a hundred thousand
        (folder / inner).mkdir(parents=True, exist_ok=True)
    for done, image in enumerate(images):
        try:
            _place_one(placement, find(image.image_id), image, folder / image.image_id)
        except FileNotFoundError as error:
            raise DedupError(
                f"'{image.image_id}' was gone when the dataset was written; run again so that the folder is read anew"
            ) from error
        except OSError as error:
            if error.errno in (errno.ENOSPC, errno.EDQUOT):
                raise
            others = "'none'" if placement == "copy" else "'copy' or 'none'"
            raise DedupError(
                f"cannot make a {placement} of '{image.image_id}' in '{folder.parent.parent}' ({error.strerror}); "
                f"mend that, or choose the placement {others}"
            ) from error
        if done % 1000 == 999 or done + 1 == len(images):
            progress("placing images", done + 1, len(images))


def check_bytes(image_id: str, data: bytes, file_hash: str) -> None:
    """Raise DedupError unless the bytes are those that were scanned."""
    if hashlib.sha256(data).hexdigest() != file_hash:
        raise _changed(image_id)


def holds(path: Path, image: Scanned) -> bool:
    """Whether the file has the very bytes that were scanned. Raises OSError where it cannot be read."""
    if path.stat().st_size != image.size_bytes:
        return False
    return hashlib.sha256(path.read_bytes()).hexdigest() == image.file_hash


def _place_one(placement: str, source: Readable, image: Scanned, target: Path) -> None:
    if not isinstance(source, Path):
        data = source.read_bytes()
        check_bytes(image.image_id, data, image.file_hash)
        target.write_bytes(data)
    elif placement == "copy":
        shutil.copy2(source, target)
        if not holds(target, image):
            raise _changed(image.image_id)
    else:
        if placement == "symlink":
            os.symlink(source, target)  # noqa: PTH211 - half the time of Path.symlink_to
        else:
            os.link(os.path.realpath(source), target)
        stat = os.stat(target)  # noqa: PTH116 - as above
        untouched = stat.st_size == image.size_bytes and stat.st_mtime_ns == image.modified_ns
        if not untouched and not holds(target, image):
            raise _changed(image.image_id)


def _changed(image_id: str) -> DedupError:
    return DedupError(
        f"'{image_id}' changed after it was scanned; run again from raw_images, so that the images are read anew"
    )
