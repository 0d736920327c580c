"""Labels of duplicates side by side: each removed image with its keeper, their boxes, and where they differ."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from dedup_assets.core.labels.conflicts import ADDED, NOT_COMPARABLE
from dedup_assets.core.labels.importing import label_set
from dedup_assets.core.labels.model import Annotation, Label
from dedup_assets.core.storage import schema
from dedup_assets.core.storage.store import Store

SAME = "same"


@dataclass(frozen=True, slots=True)
class ShownBox:
    """A box to draw. `difference`: how it differs from the other image's, SAME where it does not."""

    category: str
    x: float
    y: float
    width: float
    height: float
    difference: str


@dataclass(frozen=True, slots=True)
class Compared:
    """A removed image and its keeper. `sentences` tell each difference."""

    image_id: str
    keeper_id: str
    boxes: tuple[ShownBox, ...]
    keeper_boxes: tuple[ShownBox, ...]
    sentences: tuple[str, ...]
    comparable: bool


def differences(store: Store, kind: str = "") -> list[Compared]:
    """Every pair whose labels differ (in that way), by keeper and image; those that cannot be compared last."""
    conflicts = store.read(schema.LABEL_CONFLICTS)
    annotations = label_set(store).by_image
    found = []
    for (keeper, image), rows in conflicts.groupby(["keeper_id", "image_id"], sort=True):
        if kind and kind not in set(rows["difference"]):
            continue
        mine, theirs = _labels(annotations, str(image)), _labels(annotations, str(keeper))
        marks: dict[tuple[str, int], str] = {}
        sentences = []
        for row in rows.astype(object).where(rows.notna(), None).to_dict("records"):
            removed, kept = _at(mine, row["removed_place"]), _at(theirs, row["keeper_place"])
            for side, place in (("removed", row["removed_place"]), ("keeper", row["keeper_place"])):
                if place is not None:
                    marks[side, int(place)] = str(row["difference"])
            sentences.append(_sentence(row, removed, kept))
        found.append(
            Compared(
                str(image),
                str(keeper),
                _boxes(mine, "removed", marks),
                _boxes(theirs, "keeper", marks),
                tuple(sentences),
                NOT_COMPARABLE not in set(rows["difference"]),
            )
        )
    return sorted(found, key=lambda pair: not pair.comparable)


def kinds(store: Store) -> dict[str, int]:
    """How many differences there are of each kind."""
    counts = store.read(schema.LABEL_CONFLICTS)["difference"].value_counts().sort_index()
    return {str(kind): int(count) for kind, count in counts.items()}


def _labels(annotations: dict[str, Annotation], image_id: str) -> tuple[Label, ...]:
    return annotations[image_id].labels if image_id in annotations else ()


def _at(labels: tuple[Label, ...], place: object) -> str:
    if place is None or int(str(place)) >= len(labels):
        return "a box added from another copy"
    return labels[int(str(place))].category


def _boxes(labels: tuple[Label, ...], side: str, marks: dict[tuple[str, int], str]) -> tuple[ShownBox, ...]:
    return tuple(
        ShownBox(label.category, box.x, box.y, box.width, box.height, marks.get((side, place), SAME))
        for place, label in enumerate(labels)
        if (box := label.box)
    )


def _sentence(row: Mapping[Any, Any], removed: str, kept: str) -> str:
    word, added = row["difference"], row["outcome"] == ADDED
    overlap = f"{row['overlap']:.0%}" if isinstance(row["overlap"], float) else ""
    said = {
        "moved": f"{kept}: the boxes overlap by {overlap}; that of the image that stays counts",
        "category": f"{kept} on the image that stays, {removed} on the removed one",
        "details": f"{kept}: the boxes are the same, what else is said of them is not",
        "only_removed": f"{removed} is on the removed image alone; {'it was added' if added else 'it is left out'}",
        "only_keeper": f"{kept} is on the image that stays alone",
        "class": f"the removed image is called {removed}; {'that was added' if added else 'that is left out'}",
        NOT_COMPARABLE: f"not compared: {row['note']}",
    }
    return said[str(word)]
