"""How well near duplicates are found: `python -m dedup_assets_tests.benchmarks.detection IMAGES... [--lookalikes DIR]`.

Plants every edit of `dedup_assets.core.calibration.edits` in photos, which a fixed hash of their names splits into a
tuning and a kept-aside half, and prints Markdown: recall by edit and family at distance 0.05, false pairs among the
photos, the same for the peers that are installed, what holds near zero, and human-labelled and look-alike sets where
given. Pairs named in a `pairs*.csv` beside the photos are known to be natural duplicates and count as neither.
"""

import argparse
import csv
import hashlib
import tempfile
import time
from collections.abc import Iterable, Iterator, Sequence
from importlib.metadata import version
from itertools import combinations
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from dedup_assets.core.calibration.edits import EDITS, Edit, plant
from dedup_assets.core.detection import agreement, fullsize
from dedup_assets.core.detection.cosines import Indices, pair_distances, quantise
from dedup_assets.core.detection.descriptor import ThumbnailEmbedder
from dedup_assets.core.detection.judging import Judge, distances_of
from dedup_assets.core.detection.neighbours import join
from dedup_assets.core.detection.outlines import outline
from dedup_assets.core.detection.search import Reach
from dedup_assets.core.images import read_full, read_image
from dedup_assets_tests.benchmarks import peers, same_picture

NEAR = 0.05
SIDE = 400  # pixels; photos are no longer than this on their longer side before they are edited
_SUFFIXES = {".jpg", ".jpeg", ".png", ".webp", ".bmp"}
_ANSWERS_KEPT = 0.0002


class Detector:
    """Both stages over a fixed list of files: the distance of any two of them."""

    def __init__(self, paths: Sequence[Path]) -> None:
        self.paths = list(paths)
        self.embedder = ThumbnailEmbedder()
        facts = [read_image(path) for path in self.paths]
        self.sizes = [(int(fact.width or 0), int(fact.height or 0)) for fact in facts]
        self.sketches = np.stack([np.asarray(fact.sketch) for fact in facts])
        self.vectors = quantise(self.embedder.embed(self.sketches))
        self._prepared: dict[int, agreement.Prepared] = {}
        self._judge: Judge | None = None
        self._outlines = outline(self.sketches)

    def offered(self, limit: float) -> tuple[Indices, Indices]:
        """Every pair whose vectors are within `limit`."""
        found = join(self.vectors, Reach(self.embedder.calibration, limit))
        return found.first, found.second

    def distances(self, first: Indices, second: Indices) -> NDArray[np.float64]:
        """(p,) the final distance of each pair, as the pipeline decides it."""
        view, found = pair_distances(self.vectors, first, second, self.embedder.calibration)
        offered = np.flatnonzero(view <= self.embedder.candidate_distance)
        for start in range(0, len(offered), 4096):
            rows = offered[start : start + 4096]
            found[rows] = self._judged(first[rows], second[rows])
        for row in offered[view[offered] <= fullsize.TINY_DISTANCE].tolist():
            a, b = int(first[row]), int(second[row])
            if self.sizes[a] == self.sizes[b]:
                result = fullsize.compare_full(read_full(self.paths[a]), read_full(self.paths[b]))
                if result.distance is not None and result.distance <= 1e-4:
                    found[row] = result.distance
        return found

    def candidates(self) -> tuple[Indices, Indices, NDArray[np.float64]]:
        """Every pair the first stage offers, and its final distance."""
        first, second = self.offered(self.embedder.candidate_distance)
        return first, second, self.distances(first, second)

    def aligned(self, first: Indices, second: Indices) -> Iterator[float]:
        """The agreement of each pair when aligned, whatever the sketches say."""
        for a, b in zip(first.tolist(), second.tolist(), strict=True):
            yield agreement.compare(self._picture(a), self._picture(b))

    def _judged(self, first: Indices, second: Indices) -> NDArray[np.float64]:
        self._judge = self._judge or Judge()
        left = np.flatnonzero(self._judge.worth_a_look(self._outlines, first, second))
        agreed = np.full(len(first), np.nan)
        agreed[left] = self._judge.agreements(
            self.sketches,
            self.sizes,
            first[left],
            second[left],
            lambda asked: self.aligned(first[left[asked]], second[left[asked]]),
        )
        return np.maximum(_ANSWERS_KEPT, distances_of(agreed))

    def _picture(self, place: int) -> agreement.Prepared:
        if place not in self._prepared:
            self._prepared[place] = agreement.prepare(self.paths[place])
        return self._prepared[place]


def kept_aside(path: Path) -> bool:
    """Whether a photo belongs to the half that nothing was tuned on."""
    return hashlib.sha256(path.name.encode()).digest()[-1] % 2 == 1


def images_in(folders: Iterable[Path]) -> list[Path]:
    """Every image file in the folders, by path."""
    return sorted(path for folder in folders for path in folder.rglob("*") if path.suffix.lower() in _SUFFIXES)


def known_pairs(folders: Iterable[Path]) -> dict[frozenset[Path], int]:
    """The pairs that any pairs*.csv in or just above the folders names, with their label."""
    known: dict[frozenset[Path], int] = {}
    for folder in folders:
        for table in [*folder.glob("*pairs*.csv"), *folder.parent.glob("*pairs*.csv")]:
            with table.open(newline="") as file:
                for row in csv.DictReader(file):
                    pair = frozenset((table.parent / row["path_a"], table.parent / row["path_b"]))
                    known[pair] = int(row.get("label") or row.get("judgment") or 0)
    return known


def planted(
    photos: Sequence[Path], edits: Sequence[Edit], folder: Path, seed: int = 0
) -> tuple[list[Path], NDArray[np.str_]]:
    """The photos (SIDE pixels at most), then every edit of each, as files; and each one's edit, empty for photos.

    Chance falls by the number of the photo, counted from `seed`.
    """
    paths: list[Path] = []
    names: list[str] = []
    pictures = []
    for number, photo in enumerate(photos, seed):
        with Image.open(photo) as image:
            picture = image.convert("RGB")
        picture.thumbnail((SIDE, SIDE))
        pictures.append(picture)
        paths.append(folder / f"{number:04}.png")
        names.append("")
        picture.save(paths[-1])
    for place, edit in enumerate(edits):
        for number, picture in enumerate(pictures, seed):
            paths.append(folder / f"{number:04}_{place:02}.{edit.format.lower()}")
            names.append(edit.name)
            paths[-1].write_bytes(plant(edit, picture, number))
    return paths, np.array(names)


def benchmark(photos: Sequence[Path], edits: Sequence[Edit], known: dict[frozenset[Path], int]) -> list[str]:
    """Markdown lines: recall by family and edit, false pairs, ours and every peer's."""
    count = len(photos)
    with tempfile.TemporaryDirectory() as folder:
        paths, names = planted(photos, edits, Path(folder))
        edited = np.arange(count, len(paths))
        source = edited % count
        pairs = np.array([pair for pair in combinations(range(count), 2) if not _known(photos, pair, known)])
        started = time.process_time()
        detector = Detector(paths)
        ours = detector.distances(source, edited)
        false = detector.distances(pairs[:, 0], pairs[:, 1]) <= NEAR
        columns = {"dedup-assets": (ours <= NEAR, int(false.sum()), time.process_time() - started)}
        shown = [f"- {photos[a]} and {photos[b]}" for a, b in pairs[false]]
        columns |= peers.judge(paths, source, edited, pairs)
    lines = [f"{count} photos, {len(edits)} edits, {len(pairs):,} pairs of different photos.", ""]
    lines += ["| | " + " | ".join(columns) + " |", "|---|" + "---|" * len(columns)]
    families = sorted({edit.family for edit in edits})
    by_family = {edit.name: edit.family for edit in edits}
    groups = np.array([by_family[name] for name in names[count:]])
    honest = np.isin(names[count:], [edit.name for edit in edits if edit.kept_aside])
    for name, chosen in (("edits kept aside", honest), ("all edits", np.ones_like(honest))):
        if not chosen.any():
            continue
        lines.append(_row(f"**{name}: mean recall**", [found[chosen].mean() for found, _, _ in columns.values()]))
        lines += [
            _row(f"{name}: {family}", [found[chosen & (groups == family)].mean() for found, _, _ in columns.values()])
            for family in families
        ]
    for edit in sorted(edits, key=lambda edit: edit.family):
        mark = " (kept aside)" if edit.kept_aside else ""
        lines.append(
            _row(edit.name + mark, [found[names[count:] == edit.name].mean() for found, _, _ in columns.values()])
        )
    lines.append("| false pairs | " + " | ".join(str(wrong) for _, wrong, _ in columns.values()) + " |")
    lines.append("| CPU seconds | " + " | ".join(f"{seconds:.0f}" for _, _, seconds in columns.values()) + " |")
    return [*lines, "", *(["False pairs:", *shown, ""] if shown else [])]


def distinct(photos: Sequence[Path], known: dict[frozenset[Path], int]) -> list[str]:
    """Markdown lines: the pairs of different photos that come nearest, among all that there are."""
    first, second, distance = Detector(photos).candidates()
    other = [not _known(photos, pair, known) for pair in zip(first.tolist(), second.tolist(), strict=True)]
    first, second, distance = first[other], second[other], distance[other]
    lines = [f"{len(photos)} photos, {len(photos) * (len(photos) - 1) // 2 - len(known):,} pairs of different ones,"]
    lines += [f"{len(first)} of them compared, {(distance <= NEAR).sum()} near. The nearest:", ""]
    order = np.argsort(distance, kind="stable")[:8].tolist()
    return [*lines, *(f"- {distance[k]:.4f} {photos[first[k]]} {photos[second[k]]}" for k in order), ""]


def lookalikes(folder: Path) -> list[str]:
    """Markdown lines: how much of a folder of different pictures that resemble each other is flagged."""
    paths = images_in([folder])
    started = time.process_time()
    first, second, distance = Detector(paths).candidates()
    seconds = time.process_time() - started
    near = distance <= NEAR
    flagged = len(np.unique(np.append(first[near], second[near])))
    lines = [f"{len(paths)} images, {len(first):,} pairs compared in {seconds:.0f} CPU seconds, {near.sum()} near,"]
    lines += [f"{flagged} images flagged ({flagged / len(paths):.1%}).", ""]
    order = np.argsort(distance, kind="stable")[: int(near.sum())]
    return [*lines, *(f"- {distance[k]:.4f} {paths[first[k]].name} {paths[second[k]].name}" for k in order), ""]


def labelled(folder: Path) -> list[str]:
    """Markdown lines: recall of human-labelled pairs (1 same shot, 2 very similar), and what else is flagged.

    Only pairs with a test image count: no other pair was ever looked at by those who labelled.
    """
    paths = images_in([folder])
    place = {path: number for number, path in enumerate(paths)}
    known = known_pairs([folder])
    detector = Detector(paths)
    lines = []
    for label in sorted(set(known.values())):
        pairs = np.array([sorted(place[path] for path in pair) for pair, its in known.items() if its == label])
        recall = (detector.distances(pairs[:, 0], pairs[:, 1]) <= NEAR).mean()
        lines.append(f"- label {label}: {len(pairs)} pairs, recall {recall:.3f}")
    first, second, distance = detector.candidates()
    tested = np.array(["test" in path.relative_to(folder).parts for path in paths])
    looked_at = tested[first] | tested[second]
    first, second, distance = first[looked_at], second[looked_at], distance[looked_at]
    labels = [known.get(frozenset((paths[a], paths[b])), 0) for a, b in zip(first, second, strict=True)]
    positives = sum(label == 1 for label in known.values())
    hits = np.array(labels)[np.argsort(distance, kind="stable")] == 1
    precision = np.cumsum(hits) / np.arange(1, len(hits) + 1)
    lines.append(f"- average precision of label 1 by pair: {precision[hits].sum() / positives:.3f}")
    near = (distance <= NEAR) & (np.array(labels) == 0)
    named = {place[path] for pair in known for path in pair}
    flagged = np.append(first[near], second[near])
    others = set(flagged[tested[flagged]].tolist()) - named
    lines.append(f"- unlisted pairs at {NEAR}: {near.sum()}; test images flagged that no label names: {len(others)}")
    return [*lines, *(f"  - {distance[k]:.4f} {paths[first[k]]} {paths[second[k]]}" for k in np.flatnonzero(near)), ""]


def _known(photos: Sequence[Path], pair: tuple[int, int], known: dict[frozenset[Path], int]) -> bool:
    return frozenset((photos[pair[0]], photos[pair[1]])) in known


def _row(name: str, values: Sequence[float]) -> str:
    return f"| {name} | " + " | ".join(f"{value:.3f}" for value in values) + " |"


def main() -> None:
    """Run what was asked for and print it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("images", nargs="+", type=Path, metavar="IMAGES")
    parser.add_argument("--half", choices=("kept-aside", "tuning", "both"), default="kept-aside")
    parser.add_argument("--photos", type=int, help="use so many photos of the half")
    parser.add_argument("--lookalikes", type=Path)
    parser.add_argument("--labelled", type=Path, help="a folder with *pairs*.csv: path_a, path_b, judgment")
    chosen = parser.parse_args()
    everything = images_in(chosen.images)
    photos = [path for path in everything if chosen.half == "both" or kept_aside(path) == (chosen.half == "kept-aside")]
    if chosen.photos:  # spread over the folders
        photos = photos[:: max(1, len(photos) // chosen.photos)][: chosen.photos]
    edits = [edit for edit in EDITS if chosen.half != "tuning" or not edit.kept_aside]
    versions = ", ".join(f"{name} {version(name)}" for name in ("numpy", "pillow", "opencv-python-headless"))
    _print([f"{time.strftime('%Y-%m-%d')}, {versions}, embedder {ThumbnailEmbedder().version}", ""])
    _print([f"## Planted edits, {chosen.half} half", "", *benchmark(photos, edits, known_pairs(chosen.images))])
    _print(["## Different photos", "", *distinct(everything, known_pairs(chosen.images))])
    _print(["## Near zero", "", *same_picture.judge(photos)])
    if chosen.lookalikes:
        _print(["## Look-alikes", "", *lookalikes(chosen.lookalikes)])
    if chosen.labelled:
        _print(["## Labelled pairs", "", *labelled(chosen.labelled)])


def _print(lines: list[str]) -> None:
    print("\n".join(lines), flush=True)  # noqa: T201 - the table is the result


if __name__ == "__main__":
    main()
