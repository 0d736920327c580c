"""raw_images: the manifest of the folder."""

from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from dedup_assets.core import schema
from dedup_assets.core.errors import NoImagesError, StoreError
from dedup_assets.core.project import Project
from dedup_assets.core.run import Run
from dedup_assets.core.scanning import finish, identify, known_rows, read_new
from dedup_assets.core.steps.inputs import engine_of
from dedup_assets.core.steps.record import RAW_IMAGES, StepSummary, note
from dedup_assets.core.store import content_version


@dataclass(frozen=True, slots=True)
class ScanSummary(StepSummary):
    """What is in the folder. `contents`: distinct pictures; `read`: files decoded this time; `ignored`: other files."""

    files: int
    readable: int
    problems: dict[str, int]
    contents: int
    total_bytes: int
    read: int
    ignored: int


def scan_images(project: Project, run: Run) -> ScanSummary:
    """raw_images: every file, its identity, size, format and status. Decodes only what is new."""
    store = project.store
    if Path(str(project.images)).resolve() == store.folder.resolve():
        raise StoreError(f"the store '{store.folder}' is the image folder itself; name another with --store")
    with store.exclusively(run.say):
        listing = project.images.listing()
        if not listing.files:
            raise NoImagesError(f"there are no images under '{project.images}' ({listing.ignored} other files)")
        previous = store.read(schema.IMAGES)
        known = pd.concat([frame for frame in (previous, store.read(schema.FILE_FACTS)) if len(frame)] or [previous])
        rows = known_rows(listing, known, project.max_pixels)
        to_read = int(rows["status"].isna().sum())
        project.remember()

        engine = engine_of(project)

        def save(facts: pd.DataFrame) -> None:
            store.append(schema.FILE_FACTS, facts)

        with store.explained():
            rows = read_new(rows, project.images, listing, store.sketches, project.max_pixels, engine, run, save)
        images = finish(identify(rows, project.images, engine, run), previous, run)
        readable = images[images["status"] == "ok"]
        problems = images["status"][images["status"] != "ok"].value_counts().to_dict()
        if not len(readable):
            found = ", ".join(f"{count} {status}" for status, count in problems.items())
            raise NoImagesError(f"none of the {len(images)} images under '{project.images}' can be read ({found})")
        version = content_version(schema.IMAGES, images)
        summary = ScanSummary(
            files=len(images),
            readable=len(readable),
            problems={str(status): int(count) for status, count in sorted(problems.items())},
            contents=int(readable["content_id"].nunique()),
            total_bytes=int(images["size_bytes"].sum()),
            read=to_read,
            ignored=listing.ignored,
            changed=content_version(schema.IMAGES, previous) != version,
            version=version,
        )
        if summary.changed or to_read or not images["modified_ns"].equals(previous["modified_ns"]):
            empty = schema.FILE_FACTS.empty()
            record = note(RAW_IMAGES, listing.version, summary, {"images": str(project.images)}, run)
            store.replace({schema.IMAGES: images, schema.FILE_FACTS: empty}, record)
        return summary
