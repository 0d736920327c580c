"""Ingest batches: the top folders of a dataset's images, each of which can be embedded by itself.

A batch is only a way to share the work out: vectors belong to contents, wherever these lie, and everything after them
is about all images. The note of what was embedded tells whoever starts runs which batches are new or changed; losing
it costs a look at every vector, no more.
"""

import json
from collections.abc import Collection, Iterable, Iterator, Mapping
from functools import lru_cache
from typing import cast

import pandas as pd

from dedup_assets.core.labels.importing import ImportedLabels
from dedup_assets.core.project import Project
from dedup_assets.core.sources.base import FoundFile, Listing
from dedup_assets.core.storage import schema
from dedup_assets.core.storage.store import Store, version_of

ROOT = "."  # the batch of images that lie in no folder
_FACT = "batches_embedded"
_SEPARATOR = "..."


def batch_of(image_id: str) -> str:
    """The batch of an image: its top folder, ROOT for an image in none.

    As one printable line without "...", which job systems read as from-to. Folders that differ in nothing else are
    one batch.
    """
    folder, _, rest = image_id.partition("/")
    return _named(folder) if rest else ROOT


@lru_cache
def _named(folder: str) -> str:
    return "".join(letter if letter.isprintable() else "?" for letter in folder).replace(_SEPARATOR, "…")


def batches_of(image_ids: Iterable[str]) -> list[str]:
    """The batches of the images, each once, sorted."""
    return sorted({batch_of(image_id) for image_id in image_ids})


def changed_batches(project: Project, listing: Listing) -> list[str]:
    """The batches that were not embedded as they are listed now, sorted. One that vanished is not among them.

    Raises LabelError where it cannot be told which images count.
    """
    counted = ImportedLabels(project, listing).counted(listing)
    now, embedded = _versions(project, counted.files), _embedded(project.store)
    return [batch for batch, version in sorted(now.items()) if embedded.get(batch) != version]


def embedded_batches(project: Project, images: pd.DataFrame) -> set[str]:
    """The batches that were embedded as they are in `images`, all rows of that table."""
    embedded = _embedded(project.store)
    return {batch for batch, version in _versions(project, _files(images)).items() if embedded.get(batch) == version}


def waiting_batches(project: Project) -> list[str]:
    """The batches that were not embedded as they were last scanned, sorted."""
    images = project.store.read(schema.IMAGES)
    return sorted(set(batches_of(images["image_id"])) - embedded_batches(project, images))


def note_embedded(project: Project, images: pd.DataFrame, batches: Collection[str] = ()) -> None:
    """`batches` are embedded as they are in `images`, all rows of that table; vanished batches are forgotten."""
    now = _versions(project, _files(images))
    known = {batch: version for batch, version in _embedded(project.store).items() if batch in now}
    said = known | {batch: now[batch] for batch in batches if batch in now}
    project.store.set_fact(_FACT, json.dumps(dict(sorted(said.items()))))


def _files(images: pd.DataFrame) -> Iterator[FoundFile]:
    rows = images[["image_id", "size_bytes", "modified_ns", "etag"]]
    rows = rows.astype(object).where(rows.notna(), None)
    return (FoundFile(*row) for row in rows.itertuples(index=False, name=None))


def _versions(project: Project, files: Iterable[FoundFile]) -> dict[str, str]:
    """A version of each batch: of its listing and of the embedder that is asked for."""
    parts: dict[str, list[FoundFile]] = {}
    for file in files:
        parts.setdefault(batch_of(file.image_id), []).append(file)
    return {
        batch: version_of(project.embedder, Listing(tuple(sorted(part, key=lambda file: file.image_id)), 0).version)
        for batch, part in parts.items()
    }


def _embedded(store: Store) -> Mapping[str, str]:
    said = store.fact(_FACT)
    return cast(Mapping[str, str], json.loads(said)) if said else {}
