"""Labels of duplicates, compared: where those of a removed image differ from those of the image that stays for it.

Boxes are compared only where both are in the frame of one picture: identical pixels, or the same picture saved again at
the same size (compared in full, in place), and in both cases turned the same way by EXIF. A mirrored, cropped, resized
or otherwise aligned copy shows the same things elsewhere, so its boxes are never matched nor merged.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import pandas as pd

from dedup_assets.core.detection.comparing import SAME_DISTANCE
from dedup_assets.core.labels.model import Annotation, Box, Label
from dedup_assets.core.scoring.collection import Removal, keeper_chain
from dedup_assets.core.storage import schema

MOVED, CATEGORY, DETAILS, CLASS = "moved", "category", "details", "class"
ONLY_REMOVED, ONLY_KEEPER, NOT_COMPARABLE = "only_removed", "only_keeper", "not_comparable"
KEPT, DROPPED, ADDED = "kept", "dropped", "added"
UNION = "union"
_SAME_PIXELS = 0.01  # boxes that differ by less are one box written with other digits


@dataclass(frozen=True, slots=True)
class Conflict:
    """One difference. Places count the labels of an image from 0; those of the keeper go on into what was added."""

    image_id: str
    keeper_id: str
    difference: str
    keeper_place: int | None = None
    removed_place: int | None = None
    overlap: float | None = None
    outcome: str = DROPPED
    note: str | None = None


@dataclass(frozen=True, slots=True)
class Frame:
    """What tells whether boxes on two images are in one frame: content, file, displayed size."""

    content_id: str
    file_hash: str
    size: tuple[int, int]


@dataclass(frozen=True, slots=True)
class Comparison:
    """How labels of duplicates are compared. `orientation_of` reads an image's EXIF orientation.

    `union`: whether labels that only a removed image has are added; `overlap`: from which boxes are the same object.
    """

    frames: Mapping[str, Frame]
    annotations: Mapping[str, Annotation]
    orientation_of: Callable[[str], int]
    union: bool
    overlap: float

    def conflicts(self, removals: Mapping[str, Removal]) -> list[Conflict]:
        """Every difference between a removed image's labels and those of the image that stays, by keeper and image."""
        by_keeper: dict[str, list[str]] = {}
        for image_id in removals:
            if self._annotation(image_id) is None:
                continue
            keeper = keeper_chain(removals, image_id)[-1].keeper_id
            if keeper is not None and keeper not in removals:
                by_keeper.setdefault(keeper, []).append(image_id)
        found = []
        for keeper in sorted(by_keeper):
            labels = list(self.annotations[keeper].labels if keeper in self.annotations else ())
            for image_id in sorted(by_keeper[keeper]):
                obstacle = self._obstacle(keeper_chain(removals, image_id))
                found += self._between(image_id, keeper, labels, obstacle)
        return found

    def _annotation(self, image_id: str) -> Annotation | None:
        found = self.annotations.get(image_id)
        return found if found is not None and found.annotated else None

    def _between(self, image_id: str, keeper: str, labels: list[Label], obstacle: str | None) -> list[Conflict]:
        """The differences of one removed image; `labels` of the keeper grow by what is added."""
        removed = self.annotations[image_id].labels
        add = ADDED if self.union else DROPPED
        theirs = next((place for place, label in enumerate(labels) if label.box is None), None)
        classes = {label.category for label in labels if label.box is None}
        found = [
            Conflict(image_id, keeper, CLASS, theirs, place, None, add)
            for place, label in enumerate(removed)
            if label.box is None and label.category not in classes
        ]
        if not obstacle:
            found += self._between_boxes(image_id, keeper, labels, removed)
        elif any(label.box for label in removed):
            found.append(Conflict(image_id, keeper, NOT_COMPARABLE, note=obstacle))
        labels += [removed[c.removed_place] for c in found if c.outcome == ADDED and c.removed_place is not None]
        return found

    def _between_boxes(
        self, image_id: str, keeper: str, labels: Sequence[Label], removed: Sequence[Label]
    ) -> list[Conflict]:
        kept = {place: label for place, label in enumerate(labels) if label.box is not None}
        boxes = {place: label for place, label in enumerate(removed) if label.box is not None}
        pairs = _matched(kept, boxes, self.overlap)
        alone = sorted(boxes.keys() - {place for _, place, _ in pairs})
        left = sorted(kept.keys() - {theirs for theirs, _, _ in pairs})
        add = ADDED if self.union else DROPPED
        return [
            *(
                Conflict(image_id, keeper, difference, theirs, place, overlap)
                for theirs, place, overlap in pairs
                if (difference := _difference(kept[theirs], boxes[place]))
            ),
            *(Conflict(image_id, keeper, ONLY_REMOVED, None, place, None, add) for place in alone),
            *(Conflict(image_id, keeper, ONLY_KEEPER, theirs, None, None, KEPT) for theirs in left),
        ]

    def _obstacle(self, chain: Sequence[Removal]) -> str | None:
        """Why boxes on the first image of a chain of removals cannot be compared with those on the last keeper."""
        for removal in chain:
            if removal.keeper_id is None:
                return "the picture was discarded"
            obstacle = self._between_frames(removal.image_id, removal.keeper_id, removal.distance)
            if obstacle:
                return obstacle
        return None

    def _between_frames(self, image_id: str, keeper_id: str, distance: float | None) -> str | None:
        one, other = self.frames[image_id], self.frames[keeper_id]
        for name, frame in ((image_id, one), (keeper_id, other)):
            stated = self.annotations[name].size if name in self.annotations else None
            if stated and stated != frame.size:
                return f"'{name}' is {_pixels(frame.size)}, its annotation says {_pixels(stated)}"
        if one.file_hash == other.file_hash:
            return None
        in_place = distance is not None and distance <= SAME_DISTANCE  # compared in full, pixel on pixel, at one size
        if one.content_id != other.content_id and not in_place:
            return "the two show one picture in different ways, so a box on one is not in the same place on the other"
        if one.size != other.size or self.orientation_of(image_id) != self.orientation_of(keeper_id):
            return "the two files are turned differently (EXIF orientation)"
        return None


def conflict_rows(conflicts: Sequence[Conflict]) -> pd.DataFrame:
    """Rows of the table label_conflicts."""
    if not conflicts:
        return schema.LABEL_CONFLICTS.empty()
    rows = [{name: getattr(conflict, name) for name in schema.LABEL_CONFLICTS.names} for conflict in conflicts]
    frame = pd.DataFrame(rows, columns=schema.LABEL_CONFLICTS.names)
    for column in ("keeper_place", "removed_place"):
        frame[column] = frame[column].astype("Int32")
    return frame


def differences(rows: pd.DataFrame) -> pd.DataFrame:
    """Those of the rows of conflicts that are differences, not labels that cannot be compared."""
    return rows[rows["difference"] != NOT_COMPARABLE]


def told(found: pd.DataFrame) -> str:
    """Some differences in words, by the first two images."""
    pairs, first = len(found[["image_id", "keeper_id"]].drop_duplicates()), found.iloc[0]
    return (
        f"the labels of {pairs:,} removed image{'s' if pairs > 1 else ''} differ from those of the image that stays, "
        f"first '{first['image_id']}' and '{first['keeper_id']}'"
    )


CURE = "correct the annotations, or set labels to 'keeper' or 'union'"


def frames_of_images(images: pd.DataFrame) -> dict[str, Frame]:
    """The frames of the readable images."""
    readable = images[images["status"] == "ok"]
    columns = ["image_id", "content_id", "file_hash", "width", "height"]
    return {
        str(image_id): Frame(str(content), str(file_hash), (int(width), int(height)))
        for image_id, content, file_hash, width, height in readable[columns].itertuples(index=False, name=None)
    }


def with_added(annotations: Mapping[str, Annotation], conflicts: pd.DataFrame) -> dict[str, Annotation]:
    """The annotations with the labels that `conflicts` says were added to a keeper."""
    found = dict(annotations)
    added = conflicts[conflicts["outcome"] == ADDED]
    for image_id, keeper_id, place in added[["image_id", "keeper_id", "removed_place"]].itertuples(
        index=False, name=None
    ):
        theirs = annotations[image_id]
        label = theirs.labels[int(place)]
        mine = found.get(keeper_id, Annotation(keeper_id, (), theirs.source, annotated=False))
        found[keeper_id] = replace(mine, labels=(*mine.labels, label), annotated=True)
    return found


def _matched(kept: Mapping[int, Label], removed: Mapping[int, Label], least: float) -> list[tuple[int, int, float]]:
    """(place, place, overlap) of boxes that are the same object, one to one: those of one class first, by overlap."""
    candidates = []
    for theirs, label in kept.items():
        for place, other in removed.items():
            overlap = _box(label).overlap(_box(other))
            if overlap >= max(least, 1e-9) or _same(_box(label), _box(other)):
                candidates.append((label.category != other.category, -overlap, theirs, place))
    pairs: list[tuple[int, int, float]] = []
    taken: set[tuple[str, int]] = set()
    for _, overlap, theirs, place in sorted(candidates):
        if not {("kept", theirs), ("removed", place)} & taken:
            taken |= {("kept", theirs), ("removed", place)}
            pairs.append((theirs, place, -overlap))
    return sorted(pairs)


def _difference(kept: Label, removed: Label) -> str | None:
    if kept.category != removed.category:
        return CATEGORY
    if not _same(_box(kept), _box(removed)):
        return MOVED
    return DETAILS if _details(kept) != _details(removed) else None


def _box(label: Label) -> Box:
    if label.box is None:
        raise TypeError("only labels with boxes are matched")
    return label.box


def _same(one: Box, other: Box) -> bool:
    sides = ("x", "y", "width", "height")
    return all(abs(getattr(one, side) - getattr(other, side)) <= _SAME_PIXELS for side in sides)


def _details(label: Label) -> object:
    """What a label says beyond class and box, comparable between two; None where it says nothing more."""
    if not label.extras:
        return None
    return {name: _steady(said) for name, said in label.payload.items()}


def _steady(said: Any) -> object:  # noqa: ANN401 - what a format keeps of a label
    if isinstance(said, str):
        return re.sub(r"\s+", "", said)
    if isinstance(said, dict):
        return {key: value for key, value in said.items() if key not in ("id", "bbox", "area")}
    return said


def _pixels(size: tuple[int, int]) -> str:
    return f"{size[0]}x{size[1]}"
