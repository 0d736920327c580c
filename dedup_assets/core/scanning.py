"""A folder to the rows of the images table: reads what is new, reuses what is not, settles who is identical."""

import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import chain, islice
from typing import Any, TypeVar

import numpy as np
import pandas as pd

from dedup_assets.core.engines.base import Engine
from dedup_assets.core.engines.local import worker_count
from dedup_assets.core.errors import SourceError
from dedup_assets.core.images import MAX_PIXELS, ImageFacts, hash_pixels, read_image
from dedup_assets.core.membership import among
from dedup_assets.core.run import Run
from dedup_assets.core.scoring.keepers import split_of
from dedup_assets.core.sources.base import FoundFile, Listing, Source
from dedup_assets.core.storage import schema
from dedup_assets.core.storage.arrays import ArrayShelf

CHUNK = 1024
SHARD = 32  # files in one piece of work
_RETRIED = ("denied", "vanished", "unreachable")  # a status that can mend without the file changing
_FACTS = tuple(
    "status error file_hash pixel_hash width height format mode frames scaled sketch_hash".split()  # noqa: SIM905
)

Item = TypeVar("Item")
Result = TypeVar("Result")


def in_parallel(work: Callable[[Item], Result], items: Iterable[Item], workers: int | None) -> Iterator[Result]:
    """Results in the order of `items`. Decoding gives up the interpreter lock, so threads do."""
    count = worker_count(workers)
    if count == 1:
        yield from map(work, items)
        return
    with ThreadPoolExecutor(count) as pool:
        yield from pool.map(work, items)


@dataclass(frozen=True, slots=True)
class ReadFiles:
    """Work of an engine: the facts of each file of a shard."""

    source: Source
    max_pixels: int

    def __call__(self, files: Sequence[FoundFile]) -> list[ImageFacts]:
        """One for each file, in order. Raises SourceError where the place does not answer."""
        return [read_image(self.source.file(file.image_id), self.max_pixels) for file in files]


@dataclass(frozen=True, slots=True)
class HashPixels:
    """Work of an engine: the pixel_hash of each file of a shard, None where it cannot be decoded in full."""

    source: Source

    def __call__(self, files: Sequence[tuple[str, str]]) -> list[str | None]:
        """One for each file_hash and image_id, in order. Raises SourceError where the place does not answer."""
        return [self._hash(image_id) for _, image_id in files]

    def _hash(self, image_id: str) -> str | None:
        try:
            return hash_pixels(self.source.file(image_id))
        except SourceError:
            raise
        except Exception:  # readable at a smaller scale only, or gone meanwhile: then identical to itself alone
            return None


def shards_of(items: Sequence[Item], size: int = SHARD) -> Iterator[Sequence[Item]]:
    """`items` in pieces of at most `size`."""
    for start in range(0, len(items), size):
        yield items[start : start + size]


def known_rows(listing: Listing, known: pd.DataFrame, max_pixels: int) -> pd.DataFrame:
    """The listing with the facts of every file that has not changed since `known`; `status` is empty for the rest."""
    files = pd.DataFrame(
        {
            "image_id": [file.image_id for file in listing.files],
            "size_bytes": np.array([file.size_bytes for file in listing.files], np.int64),
            "modified_ns": np.array([file.modified_ns for file in listing.files], np.int64),
            "etag": np.array([file.etag for file in listing.files], object),
        }
    )
    pixels = known["width"].astype("float64") * known["height"].astype("float64")
    at_least = pixels.fillna(2 * MAX_PIXELS)  # where Pillow would not even tell the size
    now_fits = (known["status"] == "too_large") & (at_least <= max_pixels)
    now_too_large = (known["status"] == "ok") & (pixels > max_pixels)
    usable = known[~(known["status"].isin(_RETRIED) | now_fits | now_too_large)]
    usable = usable.drop_duplicates("image_id", keep="last")
    keys = ["image_id", "size_bytes", "modified_ns", "etag"]
    return files.merge(usable[keys + list(_FACTS)], on=keys, how="left")


def read_new(
    rows: pd.DataFrame,
    source: Source,
    listing: Listing,
    sketches: ArrayShelf,
    max_pixels: int,
    engine: Engine,
    run: Run,
    save: Callable[[pd.DataFrame], None],
) -> pd.DataFrame:
    """`rows` with the facts of all files; `save` is given the facts read so far, so that a killed scan goes on."""
    fresh = np.flatnonzero(rows["status"].isna().to_numpy())
    if not len(fresh):
        return rows
    facts: list[dict[str, Any]] = []
    unsaved = 0
    every = [listing.files[row] for row in fresh.tolist()]
    chunks = list(shards_of(every, CHUNK))
    shards = [list(shards_of(files)) for files in chunks]
    results = engine.each(ReadFiles(source, max_pixels), chain.from_iterable(shards))
    done = 0
    for files, parts in zip(chunks, shards, strict=True):
        try:
            read = [fact for part in islice(results, len(parts)) for fact in part]
        except SourceError:
            if unsaved:
                save(pd.DataFrame(facts[-unsaved:]))
            raise
        with_sketch = {fact.file_hash: fact.sketch for fact in read if fact.file_hash and fact.sketch is not None}
        sketches.add(list(with_sketch), np.asarray(list(with_sketch.values())))
        facts += [_row(file, fact) for file, fact in zip(files, read, strict=True)]
        unsaved += len(files)
        if unsaved >= 16 * CHUNK:
            save(pd.DataFrame(facts[-unsaved:]))
            unsaved = 0
        done += len(files)
        run.progress("reading images", done, len(fresh))
    old = rows[rows["status"].notna()]
    new = pd.DataFrame(facts)
    together = pd.concat([old, new]) if len(old) else new
    return together.sort_values("image_id", kind="stable", ignore_index=True)


def identify(rows: pd.DataFrame, source: Source, engine: Engine, run: Run) -> pd.DataFrame:
    """`rows` with pixel_hash where it is needed to tell identical images, and content_id for every readable one.

    Images whose sketch, size and mode agree are decoded in full; equal pixels make one content, named by the smallest
    file_hash in it.
    """
    rows = rows.copy()
    scaled = rows["scaled"].fillna(False).astype(bool)
    known = rows[scaled & rows["pixel_hash"].notna()]
    known_hashes = dict(zip(known["file_hash"], known["pixel_hash"], strict=True))
    rows.loc[scaled, "pixel_hash"] = None  # only what this folder needs is published
    ok = rows[rows["status"] == "ok"]
    alike = ok.groupby(["sketch_hash", "width", "height", "frames"], sort=False)["file_hash"].transform("nunique") > 1
    asked = ok[alike & ok["pixel_hash"].isna()].drop_duplicates("file_hash")

    hashes = {file_hash: known_hashes.get(file_hash) for file_hash in asked["file_hash"]}
    new = asked[~among(asked["file_hash"], known_hashes)]
    files = list(zip(new["file_hash"].tolist(), new["image_id"].tolist(), strict=True))
    pixel_hashes = chain.from_iterable(engine.each(HashPixels(source), shards_of(files)))
    for done, (file_hash, pixel_hash) in enumerate(zip(new["file_hash"], pixel_hashes, strict=True)):
        hashes[file_hash] = pixel_hash
        run.progress("comparing identical-looking files", done + 1, len(new))
    rows["pixel_hash"] = (
        rows["pixel_hash"].astype(object).where(rows["pixel_hash"].notna(), rows["file_hash"].map(hashes))
    )
    rows["pixel_hash"] = rows["pixel_hash"].astype(object).where(rows["pixel_hash"].notna(), None)
    identity = rows["pixel_hash"].fillna(rows["file_hash"])
    content = rows["file_hash"].where(rows["status"] == "ok").groupby(identity).transform("min")
    rows["content_id"] = content.where(rows["status"] == "ok", None)
    return rows


def finish(rows: pd.DataFrame, previous: pd.DataFrame, annotations: pd.DataFrame, run: Run) -> pd.DataFrame:
    """`rows` with the remaining columns of the images table, in its order; `annotations`: rows of that table."""
    rows = rows.copy()
    said = annotations.set_index("image_id")
    rows["modified_at"] = pd.to_datetime(rows["modified_ns"] // 1000, unit="us").astype("datetime64[us]")
    splits = dict(zip(said.index, said["split"], strict=True))
    rows["split"] = [
        split if isinstance(split := splits.get(image_id), str) else split_of(image_id) for image_id in rows["image_id"]
    ]
    rows["label_count"] = rows["image_id"].map(said["labels"]).astype("Int32")
    rows["first_seen_at"] = _first_seen(rows, previous, run)
    return rows[schema.IMAGES.names]


def _first_seen(rows: pd.DataFrame, previous: pd.DataFrame, run: Run) -> "pd.Series[Any]":
    """Kept for the same content under the same path, handed on by a file that was renamed, else now."""
    same = rows[["image_id", "file_hash"]].merge(
        previous[["image_id", "file_hash", "first_seen_at"]], on=["image_id", "file_hash"], how="left"
    )["first_seen_at"]
    gone = previous[~among(previous["image_id"], rows["image_id"])]
    if len(gone):
        same = same.fillna(rows["file_hash"].map(gone.groupby("file_hash")["first_seen_at"].min()))
    return same.astype("datetime64[us]").fillna(pd.Timestamp(run.now))


def _row(file: FoundFile, facts: ImageFacts) -> dict[str, Any]:
    sketch_hash = None if facts.sketch is None else hashlib.sha256(facts.sketch.tobytes()).hexdigest()[:16]
    row = {name: getattr(facts, name, None) for name in _FACTS}
    row |= {"image_id": file.image_id, "size_bytes": file.size_bytes, "modified_ns": file.modified_ns}
    return row | {"etag": file.etag, "sketch_hash": sketch_hash}
