"""Who stays of a group, and why: images ranked by an order of terms, each with the sentence that tells it decided."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from dedup_assets.core.errors import SettingsError

SPLIT_NAMES = ("train", "training", "val", "valid", "validation", "dev", "test", "testing")


@dataclass(frozen=True, slots=True)
class KeeperPolicy:
    """The order of terms, first decides first; `image_id` always ends it. `split_priority`: best split first."""

    order: tuple[str, ...] = ("split", "resolution", "bytes", "first_seen", "image_id")
    split_priority: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        unknown = [term for term in self.order if term not in TERMS]
        if unknown:
            raise SettingsError(f"keeper_order has '{unknown[0]}'; it may hold {', '.join(TERMS)}")
        if "image_id" not in self.order:
            object.__setattr__(self, "order", (*self.order, "image_id"))


def split_of(image_id: str) -> str | None:
    """The first folder of the path that is named like a split, in lower case."""
    folders = image_id.lower().split("/")[:-1]
    return next((folder for folder in folders if folder in SPLIT_NAMES), None)


def rank(images: pd.DataFrame, policy: KeeperPolicy) -> NDArray[np.int64]:
    """(n,) the place of each image in the keeper order, 0 = stays before all others; no two are alike.

    `images` has the columns of the images table.
    """
    keys = [TERMS[term].key(images, policy) for term in policy.order]
    order = np.lexsort(keys[::-1])
    places = np.empty(len(images), np.int64)
    places[order] = np.arange(len(images))
    return places


def why_kept(
    images: pd.DataFrame, keepers: NDArray[np.int64], others: NDArray[np.int64], policy: KeeperPolicy
) -> list[str]:
    """For each pair of rows, in plain words: the first term of the order on which the keeper is ahead."""
    keys = [TERMS[name].key(images, policy) for name in policy.order]
    columns = {name: images[name].to_numpy(dtype=object) for name in images.columns}
    reasons = []
    for keeper, other in zip(keepers.tolist(), others.tolist(), strict=True):
        decided = next(name for name, key in zip(policy.order, keys, strict=True) if key[keeper] != key[other])
        reasons.append(TERMS[decided].words(columns, keeper, other))
    return reasons


Columns = Mapping[str, NDArray[Any]]


@dataclass(frozen=True, slots=True)
class _Term:
    """`key`: a sortable column, smaller stays. `words`: why the first row stayed and not the second."""

    key: Callable[[pd.DataFrame, KeeperPolicy], NDArray[Any]]
    words: Callable[[Columns, int, int], str]


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
