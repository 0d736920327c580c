"""Images put into the folder of a dataset, as links or copies, each held against what the scan read."""

import errno
import hashlib
import os
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import pandas as pd

from dedup_assets.core.errors import ChangedFileError, DedupError
from dedup_assets.core.sources.base import FoundFile, Readable, Source

UNKNOWN_TIME = -1


class Scanned(NamedTuple):
    """One image as it was scanned. `modified_ns`: nanoseconds since 1970, UNKNOWN_TIME where that was not kept."""

    image_id: str
    file_hash: str
    size_bytes: int
    modified_ns: int = UNKNOWN_TIME
    etag: str | None = None


def scanned(manifest: pd.DataFrame) -> list[Scanned]:
    """The images of a manifest, in order, with `modified_ns` and `etag` where the frame has them."""
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
            place_one(placement, find(image.image_id), image, folder / image.image_id)
        except FileNotFoundError as error:
            raise _gone(image.image_id) from error
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


def check_unchanged(source: Source, images: Sequence[Scanned]) -> None:
    """Raise DedupError naming the first image that is gone, or that shows other bytes than those that were scanned.

    Only those are read that the listing of `source` tells to have another size, time or etag.
    """
    listed = {file.image_id: file for file in source.listing().files}
    for image in images:
        found = listed.get(image.image_id)
        if found is None:
            raise _gone(image.image_id)
        if not _untouched(found, image):
            scanned_bytes(source.file(image.image_id), image)


def scanned_bytes(source: Readable, image: Scanned) -> bytes:
    """The bytes of an image, which are those that were scanned. Raises DedupError where they cannot be had."""
    try:
        return _same_bytes(source, image)
    except FileNotFoundError as error:
        raise _gone(image.image_id) from error
    except OSError as error:
        raise DedupError(
            f"'{image.image_id}' cannot be read to write the dataset ({error.strerror or error}); run again so that "
            "the images are read anew"
        ) from error


def _same_bytes(source: Readable, image: Scanned) -> bytes:
    data = source.read_bytes()
    if hashlib.sha256(data).hexdigest() != image.file_hash:
        raise _changed(image.image_id)
    return data


def holds(path: Path, image: Scanned) -> bool:
    """Whether the file has the very bytes that were scanned. Raises OSError where it cannot be read."""
    if path.stat().st_size != image.size_bytes:
        return False
    return hashlib.sha256(path.read_bytes()).hexdigest() == image.file_hash


def place_one(placement: str, source: Readable, image: Scanned, target: Path) -> None:
    """Make `target` a link or copy of a file. Raises OSError, and ChangedFileError where it has not the bytes scanned.

    A link to a file of the size and time of the scan is taken for one to those bytes.
    """
    if not isinstance(source, Path):
        target.write_bytes(_same_bytes(source, image))
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


def _untouched(found: FoundFile, image: Scanned) -> bool:
    same_size_and_time = (found.size_bytes, found.modified_ns) == (image.size_bytes, image.modified_ns)
    return same_size_and_time and found.etag == image.etag


def _gone(image_id: str) -> DedupError:
    return DedupError(f"'{image_id}' was gone when the dataset was written; run again so that the folder is read anew")


def _changed(image_id: str) -> ChangedFileError:
    return ChangedFileError(
        f"'{image_id}' changed after it was scanned; run again from raw_images, so that the images are read anew"
    )
