"""raw_images: the manifest of the folder."""

from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from dedup_assets.core.engines.exchange import forget_results
from dedup_assets.core.errors import NoImagesError, StoreError
from dedup_assets.core.labels.importing import ImportedLabels
from dedup_assets.core.labels.reading import FOLDER
from dedup_assets.core.project import Project
from dedup_assets.core.run import Run
from dedup_assets.core.scanning import finish, identify, known_rows, read_new
from dedup_assets.core.scoring.keepers import check_protection
from dedup_assets.core.steps.inputs import engine_of
from dedup_assets.core.steps.record import RAW_IMAGES, StepSummary, note
from dedup_assets.core.storage import schema
from dedup_assets.core.storage.store import content_version, version_of


@dataclass(frozen=True, slots=True)
class ScanSummary(StepSummary):
    """What is in the folder. `contents`: distinct pictures; `read`: files decoded this time; `ignored`: other files.

    `label_format`: what the labels are in, `folder` where there are none; `annotated`: images that carry any.
    `label_notices`: what the annotations say that could not be used, a sentence each.
    """

    files: int
    readable: int
    problems: dict[str, int]
    contents: int
    total_bytes: int
    read: int
    ignored: int
    label_format: str = FOLDER
    annotated: int = 0
    labels: int = 0
    label_notices: tuple[str, ...] = ()


def scan_images(project: Project, run: Run) -> ScanSummary:
    """raw_images: every file, its identity, size, format and status. Decodes only what is new."""
    store = project.store
    if Path(str(project.images)).resolve() == store.folder.resolve():
        raise StoreError(f"the store '{store.folder}' is the image folder itself; name another with --store")
    with store.exclusively(run.say):
        listing = project.images.listing()
        if not listing.files:
            raise NoImagesError(f"there are no images under '{project.images}' ({listing.ignored} other files)")
        imported = ImportedLabels(project, listing)
        listing = imported.counted(listing)
        with store.reading():
            before = store.step(RAW_IMAGES)
            previous, unfinished = store.read_together(schema.IMAGES, schema.FILE_FACTS)
        known = pd.concat([frame for frame in (previous, unfinished) if len(frame)] or [previous])
        rows = known_rows(listing, known, project.max_pixels)
        to_read = int(rows["status"].isna().sum())
        project.remember()

        engine = engine_of(project, run, RAW_IMAGES)

        def save(facts: pd.DataFrame) -> None:
            store.append(schema.FILE_FACTS, facts)

        with store.explained():
            rows = read_new(rows, project.images, listing, store.sketches, project.max_pixels, engine, run, save)
        rows = identify(rows, project.images, engine, run)
        labels = imported.read(rows, listing.version)
        for notice in labels.notices:
            run.say(notice)
        images = finish(rows, previous, labels.frames.annotations, run)
        readable = images[images["status"] == "ok"]
        problems = images["status"][images["status"] != "ok"].value_counts().to_dict()
        if not len(readable):
            found = ", ".join(f"{count} {status}" for status, count in problems.items())
            raise NoImagesError(f"none of the {len(images)} images under '{project.images}' can be read ({found})")
        version = version_of(content_version(schema.IMAGES, images), labels.version)
        summary = ScanSummary(
            files=len(images),
            readable=len(readable),
            problems={str(status): int(count) for status, count in sorted(problems.items())},
            contents=int(readable["content_id"].nunique()),
            total_bytes=int(images["size_bytes"].sum()),
            read=to_read,
            ignored=listing.ignored,
            label_format=imported.source.format,
            annotated=int((images["label_count"].fillna(0) > 0).sum()),
            labels=len(labels.frames.labels),
            label_notices=labels.notices,
            changed=before is None or before.output_version != version,
            version=version,
        )
        unseen = before is None or before.input_version != imported.input_version
        if summary.changed or unseen or to_read or not images["modified_ns"].equals(previous["modified_ns"]):
            empty = schema.FILE_FACTS.empty()
            record = note(RAW_IMAGES, imported.input_version, summary, {"images": str(project.images)}, run)
            tables = {schema.IMAGES: images, schema.FILE_FACTS: empty, **labels.tables}
            store.replace(tables, record, facts=labels.facts)
        forget_results(project.exchange, RAW_IMAGES)
        check_protection(readable, project.keepers)  # scores need it, but are hours away
        return summary
