"""Looking through the images: filters, order, the histogram of uniqueness, and what a row is called."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from dedup_assets.core.errors import SettingsError
from dedup_assets.core.exploring.snapshot import Gallery, Mask, Rows, Snapshot

DUPLICATE, NEAR, UNIQUE, UNREADABLE = "duplicate", "near", "unique", "unreadable"
LABELS = (DUPLICATE, NEAR, UNIQUE, UNREADABLE)
SORTS = ("uniqueness", "path", "size")
HISTOGRAM_BARS = 64
HISTOGRAM_EDGES = np.linspace(0.0, 1.0, HISTOGRAM_BARS + 1) ** 3  # the decisions are near zero, so are the bars


@dataclass(frozen=True, slots=True)
class View:
    """What to show, and in which order. Everything empty shows all.

    `text`: found in the path, any case. `tags`, `without`: in all of these collections, in none of those. `folder`: in
    it or below it. `low`, `high`: inclusive bounds on uniqueness; files without a score are shown only by the whole
    range. `together`: near duplicates stand next to their partners, groups ordered by their lowest score.
    """

    text: str = ""
    label: str = ""
    tags: tuple[str, ...] = ()
    without: tuple[str, ...] = ()
    split: str = ""
    folder: str = ""
    low: float = 0.0
    high: float = 1.0
    sort: str = "uniqueness"
    descending: bool = False
    together: bool = True

    def __post_init__(self) -> None:
        if self.sort not in SORTS:
            raise SettingsError(f"sort is '{self.sort}'; it may be {', '.join(SORTS)}")
        if self.label and self.label not in LABELS:
            raise SettingsError(f"label is '{self.label}'; it may be {', '.join(LABELS)}")


@dataclass(frozen=True, slots=True)
class Shown:
    """`rows`: what the view selects, in order. `histogram`: (HISTOGRAM_BARS,) images by uniqueness, range aside."""

    rows: Rows
    histogram: NDArray[np.int64]


def show(snapshot: Snapshot, view: View) -> Shown:
    """The images of a view."""
    gallery = snapshot.gallery
    mask = _filter(snapshot, view)
    scores = gallery.uniqueness
    histogram = histogram_of(scores[mask])
    if view.low > 0.0 or view.high < 1.0:
        mask &= (scores >= view.low) & (scores <= view.high)
    order = _order(gallery, view.sort, view.descending, view.together)
    return Shown(order[mask[order]], histogram)


def histogram_of(scores: NDArray[np.float64]) -> NDArray[np.int64]:
    """(HISTOGRAM_BARS,) how many scores lie in each bar; its upper edge is inside, NaN in none."""
    found = scores[~np.isnan(scores)]
    place = np.clip(np.searchsorted(HISTOGRAM_EDGES, found) - 1, 0, HISTOGRAM_BARS - 1)
    return np.bincount(place, minlength=HISTOGRAM_BARS)


def label_of(gallery: Gallery, row: int) -> str:
    """One of LABELS."""
    if not gallery.readable[row]:
        return UNREADABLE
    return DUPLICATE if gallery.duplicate[row] else NEAR if gallery.near[row] else UNIQUE


def facets(snapshot: Snapshot) -> dict[str, list[tuple[str, int]]]:
    """What can be filtered by, with counts: `label`, `tag`, `split`, and `folder` (every level, by name)."""
    gallery = snapshot.gallery
    labels = {
        DUPLICATE: int(gallery.duplicate.sum()),
        NEAR: int(gallery.near.sum()),
        UNIQUE: int((gallery.readable & ~gallery.duplicate & ~gallery.near).sum()),
        UNREADABLE: int((~gallery.readable).sum()),
    }
    splits, folders = _places(gallery)
    tags = [(tag, len(rows)) for tag, rows in sorted(snapshot.tags.items())]
    return {"label": list(labels.items()), "tag": tags, "split": list(splits), "folder": list(folders)}


def similar(gallery: Gallery, row: int) -> list[tuple[int, float]]:
    """Identical images at distance 0, then the stored near pairs of this picture, nearest first: (row, distance).

    A pair is stored by one of several identical images; it is given for each of them.
    """
    if not gallery.readable[row]:
        return []
    copies = np.flatnonzero(gallery.content == gallery.content[row])
    found = {int(copy): 0.0 for copy in copies if copy != row}
    inside = np.isin(gallery.first, copies) | np.isin(gallery.second, copies)
    for a, b, distance in zip(
        gallery.first[inside].tolist(), gallery.second[inside].tolist(), gallery.distance[inside].tolist(), strict=True
    ):
        other = b if gallery.content[a] == gallery.content[row] else a
        for copy in np.flatnonzero(gallery.content == gallery.content[other]).tolist():
            found.setdefault(copy, distance)
    return sorted(found.items(), key=lambda item: (item[1], item[0]))


def _filter(snapshot: Snapshot, view: View) -> Mask:
    gallery = snapshot.gallery
    mask = np.ones(len(gallery), bool)
    if view.label:
        mask &= _labelled(gallery, view.label)
    for tag in view.tags:
        mask &= _tagged(snapshot, tag)
    for tag in view.without:
        mask &= ~_tagged(snapshot, tag)
    if view.split:
        mask &= np.asarray(gallery.images["split"] == view.split)
    if view.folder:
        below = view.folder + "/"
        mask &= np.array([image_id.startswith(below) for image_id in gallery.ids.tolist()], bool)
    if view.text:
        wanted = view.text.lower()
        mask &= np.array([wanted in path for path in gallery.lowered], bool)
    return mask


def _labelled(gallery: Gallery, label: str) -> Mask:
    if label == UNREADABLE:
        return ~gallery.readable
    if label == UNIQUE:
        return gallery.readable & ~gallery.duplicate & ~gallery.near
    return gallery.duplicate if label == DUPLICATE else gallery.near


def _tagged(snapshot: Snapshot, tag: str) -> Mask:
    mask = np.zeros(len(snapshot.gallery), bool)
    mask[snapshot.tags.get(tag, np.empty(0, np.int64))] = True
    return mask


@lru_cache(maxsize=8)
def _order(gallery: Gallery, sort: str, descending: bool, together: bool) -> Rows:
    """All rows in the order asked for; ties by path, files without a score last."""
    rows = np.arange(len(gallery))
    if sort == "path":
        return rows[::-1] if descending else rows
    sign = -1.0 if descending else 1.0
    if sort == "size":
        return np.lexsort((rows, sign * gallery.images["size_bytes"].to_numpy(np.float64)))
    scores = sign * gallery.uniqueness
    if not together:
        return np.lexsort((rows, scores))
    lowest = scores.copy()
    near = np.flatnonzero(gallery.near)
    least = np.full(len(gallery), np.inf)
    np.minimum.at(least, gallery.group[near], scores[near])
    lowest[near] = least[gallery.group[near]]
    return np.lexsort((rows, scores, gallery.group, lowest))


@lru_cache(maxsize=2)
def _places(gallery: Gallery) -> tuple[Sequence[tuple[str, int]], Sequence[tuple[str, int]]]:
    splits = gallery.images["split"].dropna().value_counts().sort_index()
    counts: dict[str, int] = {}
    folders, sizes = np.unique(gallery.folder.astype(str), return_counts=True)
    for folder, size in zip(folders.tolist(), sizes.tolist(), strict=True):
        while folder:
            counts[folder] = counts.get(folder, 0) + size
            folder = folder.rpartition("/")[0]
    return [(str(name), int(count)) for name, count in splits.items()], sorted(counts.items())
