"""The same picture in two splits: how often, which pairs, and whether both are still in the dataset."""

import json
from dataclasses import dataclass

import numpy as np
import pandas as pd

from dedup_assets.core.errors import DedupError
from dedup_assets.core.membership import among
from dedup_assets.core.scoring.decisions import NOT_DUPLICATE
from dedup_assets.core.settings import Thresholds
from dedup_assets.core.storage import schema
from dedup_assets.core.storage.store import Store

_LISTED = 100_000
_KEYS = ["split_a", "split_b"]


@dataclass(frozen=True, slots=True)
class SplitPair:
    """Pairs of images in two splits, or in one: `exact` within the duplicate threshold, `near` above it.

    `exact_left` and `near_left`: those of which both images stay and nobody said that they are not duplicates.
    """

    split_a: str
    split_b: str
    exact: int
    near: int
    exact_left: int
    near_left: int

    @property
    def left(self) -> int:
        """Pairs of which both stay."""
        return self.exact_left + self.near_left


@dataclass(frozen=True, slots=True)
class Leak:
    """A picture that two splits show, by one image of each; `left`: both are still in the dataset."""

    image_a: str
    image_b: str
    split_a: str
    split_b: str
    distance: float
    exact: bool
    left: bool


@dataclass(frozen=True, slots=True)
class LeakageReport:
    """`splits`: images of each. `across` and `within`: pairs by splits. `leaks`: those across, what is left first."""

    splits: dict[str, int]
    across: tuple[SplitPair, ...]
    within: tuple[SplitPair, ...]
    leaks: tuple[Leak, ...]

    @property
    def left(self) -> int:
        """Pairs across splits of which both images stay in the dataset."""
        return sum(pair.left for pair in self.across)

    @property
    def found(self) -> int:
        """Pairs across splits among all images."""
        return sum(pair.exact + pair.near for pair in self.across)

    @property
    def sentence(self) -> str:
        """The report in one sentence."""
        if not self.splits:
            return "no image belongs to a split"
        if not self.found:
            return f"no picture is in two of the splits {', '.join(self.splits)}"
        pairs = "; ".join(
            f"{pair.split_a} and {pair.split_b}: {pair.exact:,} exact, {pair.near:,} near, {pair.left:,} left"
            for pair in self.across
        )
        found = f"{self.found:,} pair{'s' if self.found > 1 else ''} across splits"
        return f"{found}, {self.left:,} of them left in the dataset ({pairs})"

    @property
    def problem(self) -> str | None:
        """What is left, by its first two images, and what to do about it; None where nothing is."""
        if not self.left:
            return None
        first = self.leaks[0]
        return f"{self.sentence}, first '{first.image_a}' and '{first.image_b}'; decide which of them leave"


def leakage(store: Store) -> LeakageReport:
    """What the last scores say about splits. Raises DedupError where nothing was scored yet."""
    with store.reading():
        return _leakage(store)


def leak_rows(report: LeakageReport) -> pd.DataFrame:
    """The pairs across splits as rows."""
    names = list(Leak.__dataclass_fields__)
    return pd.DataFrame([[getattr(leak, name) for name in names] for leak in report.leaks], columns=names)


def _leakage(store: Store) -> LeakageReport:
    scored = store.step("uniqueness_scores")
    if scored is None:
        raise DedupError(f"nothing has been scored in '{store.folder}' yet; run 'dedup-assets run IMAGES' first")
    thresholds = Thresholds(**json.loads(scored.settings)["thresholds"])
    images = store.read(schema.IMAGES, "status = 'ok'", columns=("image_id", "content_id", "file_hash", "split"))
    removed = store.read(schema.REMOVALS, "restored_at IS NULL AND superseded_at IS NULL", columns=("image_id",))
    images = images.assign(stays=~among(images["image_id"], removed["image_id"]))
    inside = images[images["split"].notna()].sort_values(["stays", "image_id"], ascending=[False, True])
    if inside.empty:
        return LeakageReport({}, (), (), ())
    pairs = _pairs(store, inside, thresholds, images)
    counts = _counted(pairs)
    splits = inside["split"].value_counts().sort_index()
    return LeakageReport(
        {str(split): int(count) for split, count in splits.items()},
        tuple(pair for pair in counts if pair.split_a != pair.split_b),
        tuple(pair for pair in counts if pair.split_a == pair.split_b),
        _leaks(pairs),
    )


def _pairs(store: Store, inside: pd.DataFrame, thresholds: Thresholds, images: pd.DataFrame) -> pd.DataFrame:
    """One row for each two contents (or one with itself) in each two splits, with counts of image pairs.

    Columns: split_a <= split_b, distance, image_a, image_b, found, left, exact.
    """
    groups = inside.groupby(["content_id", "split"], sort=True)
    part = groups.agg(images=("image_id", "size"), stay=("stays", "sum"), image=("image_id", "first")).reset_index()
    compared = store.read(schema.CONTENT_PAIRS, "distance <= ?", (thresholds.near_duplicate,))
    compared = compared[["content_a", "content_b", "distance"]].astype({"content_a": object, "content_b": object})
    settled = _settled(store, images)
    keys = pd.Series(list(zip(compared["content_a"], compared["content_b"], strict=True)), dtype=object)
    compared = compared.assign(settled=keys.isin(settled).to_numpy(bool))
    own = pd.DataFrame({"content_a": part["content_id"].unique()})
    own = own.assign(content_b=own["content_a"], distance=0.0, settled=False)
    both = pd.concat([own, compared], ignore_index=True) if len(compared) else own
    both = both.merge(part.add_suffix("_a"), left_on="content_a", right_on="content_id_a")
    both = both.merge(part.add_suffix("_b"), left_on="content_b", right_on="content_id_b")
    same = both["content_a"] == both["content_b"]
    both = both[~same | (both["split_a"] <= both["split_b"])].copy()
    same = both["content_a"] == both["content_b"]
    itself = (same & (both["split_a"] == both["split_b"])).to_numpy(bool)
    for name, count in (("found", "images"), ("left", "stay")):
        a, b = both[f"{count}_a"].to_numpy(np.int64), both[f"{count}_b"].to_numpy(np.int64)
        both[name] = np.where(itself, a * (a - 1) // 2, a * b)
    both["left"] = both["left"].where(~both["settled"], 0)
    both["exact"] = both["distance"] <= thresholds.duplicate
    swap = (both["split_a"] > both["split_b"]).to_numpy(bool)
    for name in ("split", "image"):
        a, b = both[f"{name}_a"].to_numpy(object), both[f"{name}_b"].to_numpy(object)
        both[f"{name}_a"], both[f"{name}_b"] = np.where(swap, b, a), np.where(swap, a, b)
    return both[both["found"] > 0]


def _counted(pairs: pd.DataFrame) -> list[SplitPair]:
    counts = []
    for (split_a, split_b), rows in pairs.groupby(_KEYS, sort=True):
        exact = rows["exact"]
        sums = [int(rows.loc[kind, name].sum()) for name in ("found", "left") for kind in (exact, ~exact)]
        counts.append(SplitPair(str(split_a), str(split_b), *sums))
    return counts


def _leaks(pairs: pd.DataFrame) -> tuple[Leak, ...]:
    across = pairs[pairs["split_a"] != pairs["split_b"]]
    across = across.assign(gone=across["left"] == 0)
    across = across.sort_values(["gone", "distance", "image_a", "image_b"]).head(_LISTED)
    columns = across[["image_a", "image_b", "split_a", "split_b", "distance", "exact", "gone"]]
    return tuple(
        Leak(str(a), str(b), str(split_a), str(split_b), float(distance), bool(exact), not gone)
        for a, b, split_a, split_b, distance, exact, gone in columns.itertuples(index=False, name=None)
    )


def _settled(store: Store, images: pd.DataFrame) -> set[tuple[str, str]]:
    """The two contents, smaller first, of every pair that a person called no duplicates."""
    content_of = dict(zip(images["file_hash"], images["content_id"], strict=True))
    said = store.read(schema.DECISIONS, "decision = ?", (NOT_DUPLICATE,))
    found = set()
    for one, other in zip(said["content_hash"], said["duplicate_of_hash"], strict=True):
        if one in content_of and other in content_of:
            a, b = sorted((content_of[one], content_of[other]))
            found.add((a, b))
    return found
