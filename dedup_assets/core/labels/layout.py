"""Where each image of an export goes: by split, under a short name of its own, as a link or a copy."""

import errno
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

from dedup_assets.core.errors import ChangedFileError, LabelError
from dedup_assets.core.labels.model import Annotation
from dedup_assets.core.placing import Scanned, place_one
from dedup_assets.core.sources.base import Readable

_CONTAINERS = ("images", "JPEGImages", "data")


@dataclass(frozen=True, slots=True)
class Placed:
    """One image of an export. `name`: its path below the folder for images; `size`: (width, height) as displayed."""

    image_id: str
    name: str
    split: str | None
    size: tuple[int, int] | None
    annotation: Annotation


def short_names(image_ids: Sequence[str], splits: Sequence[str | None], unsplit: str = "") -> list[str]:
    """SPLIT/REST for each image (`unsplit` for one without), all different.

    REST is the path below folders that all images share and are only containers, without a folder that repeats the
    split; the whole path where that would make two names alike.
    """
    shared = _shared_containers(image_ids)
    rests = [_rest(image_id[len(shared) :], split) for image_id, split in zip(image_ids, splits, strict=True)]
    names = [_join(split or unsplit, rest) for rest, split in zip(rests, splits, strict=True)]
    if len({name.lower() for name in names}) < len(names):
        names = [_join(split or unsplit, image_id) for image_id, split in zip(image_ids, splits, strict=True)]
    return names


def flat_names(image_ids: Sequence[str]) -> list[str]:
    """A file name for each image, its stem different from all others; folders go into it only where they must."""
    names = [image_id.rpartition("/")[2] for image_id in image_ids]
    if distinct_stems(names) == names:
        return names
    return distinct_stems([image_id.replace("/", "_") for image_id in image_ids])


def distinct_stems(names: Sequence[str]) -> list[str]:
    """The names with a number put into those whose path without suffix another one has already."""
    found, seen = [], set()
    for name in names:
        suffix = PurePosixPath(name).suffix
        stem = name.removesuffix(suffix)
        number, unique = 1, stem
        while unique.lower() in seen:
            number += 1
            unique = f"{stem}_{number}"
        seen.add(unique.lower())
        found.append(unique + suffix)
    return found


def renamed(placed: Iterable[Placed], names: Iterable[str]) -> list[Placed]:
    """The same images under other names."""
    return [replace(image, name=name) for image, name in zip(placed, names, strict=True)]


def export_one(how: str, source: Readable, image: Scanned, target: Path) -> None:
    """Put an image in its place as a symlink, a hardlink or a copy; LabelError says what stood in the way."""
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        place_one(how, Path(os.path.realpath(source)) if isinstance(source, Path) else source, image, target)
    except ChangedFileError as error:
        raise LabelError(
            f"'{source}' is no longer the picture that was scanned, since the file was changed; run again, and export "
            "what that run writes"
        ) from error
    except FileNotFoundError as error:
        raise LabelError(
            f"'{source}' is gone; run again and export what that run writes, or bring the file back"
        ) from error
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise LabelError(f"the disk of '{target.parent}' is full; free some space, then export again") from error
        others = "'symlink' or 'hardlink'" if how == "copy" else "'copy'"
        what = f"cannot make a {how} of '{source}' ({error.strerror})"
        raise LabelError(f"{what}; choose the placement {others}") from error


def _shared_containers(image_ids: Sequence[str]) -> str:
    """The leading folders that all images share, as long as each is only a container such as images/."""
    shared = ""
    while image_ids:
        head = image_ids[0][len(shared) :].partition("/")[0] + "/"
        if head[:-1] not in _CONTAINERS or not all(image_id.startswith(shared + head) for image_id in image_ids):
            break
        shared += head
    return shared


def _rest(path: str, split: str | None) -> str:
    if split is None:
        return path
    parts = path.split("/")
    for place, folder in enumerate(parts[:-1]):
        if folder.lower().rstrip("0123456789") == split.lower():
            return "/".join(parts[:place] + parts[place + 1 :])
    return path


def _join(folder: str, rest: str) -> str:
    return f"{folder}/{rest}" if folder else rest
