"""Who stays of a group, and why: images ranked by an order of terms, each with the sentence that tells it decided.

Protection comes before all terms: reference folders first, then the protected splits in the order given.
"""

import posixpath
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from dedup_assets.core.errors import ProtectedError, SettingsError

SPLIT_NAMES = ("train", "training", "val", "valid", "validation", "dev", "test", "testing")


@dataclass(frozen=True, slots=True)
class KeeperPolicy:
    """The order of terms, first decides first; `image_id` always ends it. `split_priority`: best split first.

    `protect`: splits that lose an image only to a split before them in this list. `reference`: folders, relative to
    the image folder, that never lose one.
    """

    order: tuple[str, ...] = ("annotated", "split", "resolution", "bytes", "first_seen", "image_id")
    split_priority: tuple[str, ...] = ()
    protect: tuple[str, ...] = ()
    reference: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        unknown = [term for term in self.order if term not in TERMS]
        if unknown:
            raise SettingsError(f"keeper_order has '{unknown[0]}'; it may hold {', '.join(TERMS)}")
        if "image_id" not in self.order:
            object.__setattr__(self, "order", (*self.order, "image_id"))
        object.__setattr__(self, "reference", tuple(_inside(folder) for folder in self.reference))


def _inside(folder: str) -> str:
    """The folder as image ids begin with it."""
    plain = posixpath.normpath(folder)
    if plain in (".", "..") or plain.startswith(("/", "../")):
        raise SettingsError(f"reference has '{folder}'; name a folder inside the image folder, as 'gold/2024'")
    return plain


def split_of(image_id: str) -> str | None:
    """The first folder of the path that is named like a split, in lower case."""
    folders = image_id.lower().split("/")[:-1]
    return next((folder for folder in folders if folder in SPLIT_NAMES), None)


REFERENCE = 0  # the level of images that are never removed; protected splits follow from 1 on
_UNPROTECTED = 1 << 30


def protection(images: pd.DataFrame, policy: KeeperPolicy) -> NDArray[np.int64]:
    """(n,) how strongly each image is protected: REFERENCE, the place of its split from 1, or a large number."""
    levels = {split.lower(): place for place, split in enumerate(policy.protect, 1)}
    splits = images["split"].to_numpy(dtype=object)
    level = np.array([levels.get(str(split).lower(), _UNPROTECTED) for split in splits], np.int64)
    for folder in policy.reference:
        level[images["image_id"].str.startswith(f"{folder}/").to_numpy(bool)] = REFERENCE
    return level


def protected_levels(images: pd.DataFrame, policy: KeeperPolicy) -> dict[str, int]:
    """image_id -> level, of the protected images."""
    if not policy.protect and not policy.reference:
        return {}
    level = protection(images, policy)
    ids = images["image_id"].to_numpy(dtype=object)
    return {str(ids[row]): int(level[row]) for row in np.flatnonzero(level < _UNPROTECTED).tolist()}


def check_protection(images: pd.DataFrame, policy: KeeperPolicy) -> None:
    """Raise where it cannot be given: SettingsError for a folder or split that no image is in, ProtectedError where two
    images in reference folders are identical, one of which would have to go."""
    if not len(images):
        return
    splits = sorted(set(images["split"].dropna().str.lower()))
    for split in policy.protect:
        if split.lower() not in splits:
            there = f"the splits here are {', '.join(splits)}" if splits else "no image here is in any split"
            raise SettingsError(f"protect names the split '{split}', and no image is in it; {there}")
    for folder in policy.reference:
        if not images["image_id"].str.startswith(f"{folder}/").any():
            raise SettingsError(
                f"reference names the folder '{folder}', and no readable image lies in it; name it as it is called "
                "inside the image folder, or leave it out"
            )
    if policy.reference:
        _check_reference(images, policy)


def _check_reference(images: pd.DataFrame, policy: KeeperPolicy) -> None:
    inside = images[protection(images, policy) == REFERENCE].sort_values("image_id")
    twice = inside[inside.duplicated("content_id", keep=False)]
    if len(twice):
        first, second = twice.loc[twice["content_id"] == twice["content_id"].iloc[0], "image_id"].iloc[:2]
        raise ProtectedError(
            f"'{first}' and '{second}' are identical and both in a reference folder, where nothing is ever removed "
            f"({len(twice):,} such images); take all but one out of it, or leave the folder out of reference"
        )


def may_go(levels: Mapping[str, int], image_id: str, keeper_id: str | None) -> bool:
    """Whether an image may be removed in favour of the other: unprotected ones may, others for a stronger one only."""
    level = levels.get(image_id, _UNPROTECTED)
    if level == _UNPROTECTED:
        return True
    return keeper_id is not None and levels.get(keeper_id, _UNPROTECTED) < level


def rank(images: pd.DataFrame, policy: KeeperPolicy) -> NDArray[np.int64]:
    """(n,) the place of each image in the keeper order, 0 = stays before all others; no two are alike.

    `images` has the columns of the images table.
    """
    keys = [term.key(images, policy) for term in _terms(policy)]
    order = np.lexsort(keys[::-1])
    places = np.empty(len(images), np.int64)
    places[order] = np.arange(len(images))
    return places


def why_kept(
    images: pd.DataFrame, keepers: NDArray[np.int64], others: NDArray[np.int64], policy: KeeperPolicy
) -> list[str]:
    """For each pair of rows, in plain words: the first term of the order on which the keeper is ahead."""
    terms = _terms(policy)
    keys = [term.key(images, policy) for term in terms]
    columns = {name: images[name].to_numpy(dtype=object) for name in images.columns}
    reasons = []
    for keeper, other in zip(keepers.tolist(), others.tolist(), strict=True):
        decided = next(term for term, key in zip(terms, keys, strict=True) if key[keeper] != key[other])
        reasons.append(decided.words(columns, keeper, other))
    return reasons


Columns = Mapping[str, NDArray[Any]]


@dataclass(frozen=True, slots=True)
class _Term:
    """`key`: a sortable column, smaller stays. `words`: why the first row stayed and not the second."""

    key: Callable[[pd.DataFrame, KeeperPolicy], NDArray[Any]]
    words: Callable[[Columns, int, int], str]


def _terms(policy: KeeperPolicy) -> list[_Term]:
    protected = [_Term(protection, _protection_words(policy))] if policy.protect or policy.reference else []
    return [*protected, *(TERMS[name] for name in policy.order)]


def _annotated_key(images: pd.DataFrame, _: KeeperPolicy) -> NDArray[Any]:
    return np.asarray(images["label_count"].fillna(0).to_numpy(np.int64) == 0)


def _annotated_words(columns: Columns, keeper: int, other: int) -> str:
    count = int(columns["label_count"][keeper])
    other_is = "without any" if pd.isna(columns["label_count"][other]) else "annotated as empty"
    return f"it carries {count:,} label{'s' if count > 1 else ''}, the other is {other_is}"


def _protection_words(policy: KeeperPolicy) -> Callable[[Columns, int, int], str]:
    def words(columns: Columns, keeper: int, other: int) -> str:
        image_id = str(columns["image_id"][keeper])
        folder = next((folder for folder in policy.reference if image_id.startswith(f"{folder}/")), None)
        place = f"reference folder {folder}" if folder else f"split {columns['split'][keeper]}"
        return f"it is protected ({place})"

    return words


def _split_key(images: pd.DataFrame, policy: KeeperPolicy) -> NDArray[Any]:
    places = {name: place for place, name in enumerate(policy.split_priority)}
    return np.array([places.get(split, len(places)) for split in images["split"]], np.int64)


def _text_key(images: pd.DataFrame, _: KeeperPolicy) -> NDArray[Any]:
    ids = images["image_id"].to_numpy(dtype=object)
    places = np.empty(len(ids), np.int64)
    places[np.argsort(ids, kind="stable")] = np.arange(len(ids))
    return places


def _pixels(columns: Columns, row: int) -> str:
    return f"{columns['width'][row]}x{columns['height'][row]}"


def _split_words(columns: Columns, keeper: int, other: int) -> str:
    behind = columns["split"][other]
    return f"its split '{columns['split'][keeper]}' comes before '{behind if isinstance(behind, str) else 'none'}'"


def _bytes_words(columns: Columns, keeper: int, other: int) -> str:
    return f"larger file ({columns['size_bytes'][keeper]:,} against {columns['size_bytes'][other]:,} bytes)"


TERMS: dict[str, _Term] = {
    "annotated": _Term(_annotated_key, _annotated_words),
    "split": _Term(_split_key, _split_words),
    "resolution": _Term(
        lambda images, _: -(images["width"].to_numpy(np.int64) * images["height"].to_numpy(np.int64)),
        lambda columns, k, o: f"larger picture ({_pixels(columns, k)} against {_pixels(columns, o)})",
    ),
    "bytes": _Term(lambda images, _: -images["size_bytes"].to_numpy(np.int64), _bytes_words),
    "first_seen": _Term(
        lambda images, _: images["first_seen_at"].to_numpy("datetime64[us]").astype(np.int64),
        lambda columns, k, o: "seen in an earlier scan",
    ),
    "image_id": _Term(_text_key, lambda columns, k, o: "first by name"),
}
