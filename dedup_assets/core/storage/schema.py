"""The tables of a store: every column with its type and its meaning. SQL and documentation are made from this."""

from collections.abc import Collection
from dataclasses import dataclass, replace

import pandas as pd
import pyarrow as pa

STORE_VERSION = "1"

_ARROW = {
    "VARCHAR": pa.string(),
    "BIGINT": pa.int64(),
    "INTEGER": pa.int32(),
    "DOUBLE": pa.float64(),
    "BOOLEAN": pa.bool_(),
    "TIMESTAMP": pa.timestamp("us"),
}


@dataclass(frozen=True, slots=True)
class Column:
    """One column: its SQL type and what it holds."""

    name: str
    type: str
    help: str


@dataclass(frozen=True, slots=True)
class Table:
    """One table. `volatile` columns tell when and by which run, and do not count as content.

    `owned`: SQL that tells the rows of the chain; those of people are left alone when the chain replaces its own.
    """

    name: str
    help: str
    columns: tuple[Column, ...]
    volatile: tuple[str, ...] = ()
    owned: str = "true"

    @property
    def names(self) -> list[str]:
        """The column names, in order."""
        return [column.name for column in self.columns]

    def part(self, names: Collection[str]) -> "Table":
        """The table as far as these columns go."""
        return replace(self, columns=tuple(column for column in self.columns if column.name in names))

    @property
    def arrow(self) -> pa.Schema:
        """The table as an Arrow schema."""
        return pa.schema([(column.name, _ARROW[column.type]) for column in self.columns])

    def empty(self) -> pd.DataFrame:
        """No rows, with the columns' types."""
        frame: pd.DataFrame = self.arrow.empty_table().to_pandas()
        return frame

    @property
    def sql(self) -> str:
        """The columns as CREATE TABLE wants them."""
        return ", ".join(f"{column.name} {column.type}" for column in self.columns)


def _columns(text: str) -> tuple[Column, ...]:
    lines = (line.split(None, 2) for line in text.strip().splitlines())
    return tuple(Column(name, type_, help_) for name, type_, help_ in lines)


IMAGES = Table(
    "images",
    "Every image file found, readable or not.",
    _columns(
        """
image_id VARCHAR POSIX path relative to the image folder
status VARCHAR ok, or why the file cannot be used: empty, unreadable, denied, vanished, too_large, unreachable
error VARCHAR what the decoder or the system said
size_bytes BIGINT size of the file
modified_at TIMESTAMP time of the last change, UTC
modified_ns BIGINT the same in nanoseconds since 1970
etag VARCHAR of an object in a bucket: changes with every write
file_hash VARCHAR SHA-256 of the file's bytes
pixel_hash VARCHAR SHA-256 of mode, size and pixels; only where a full decode was needed
content_id VARCHAR the same for all images with identical pixels: the smallest file_hash among them
width INTEGER pixels, as displayed
height INTEGER pixels, as displayed
format VARCHAR file format by content
mode VARCHAR Pillow's pixel mode
frames INTEGER pictures in an animation, else 1
scaled BOOLEAN decoded at a smaller scale
sketch_hash VARCHAR hash of the small picture; equal for identical pixels decoded the same way
split VARCHAR train, val, test ...: as the annotations say, else the first folder named so
label_count INTEGER labels it carries; empty where nobody annotated it
first_seen_at TIMESTAMP scan that first found this content under this path, UTC
"""
    ),
    volatile=("first_seen_at", "modified_at", "modified_ns", "etag"),
)
_OF_THE_WHOLE_SCAN = ("modified_at", "content_id", "split", "label_count", "first_seen_at")
FILE_FACTS = Table(
    "file_facts",
    "Files read by a scan that has not finished yet.",
    tuple(column for column in IMAGES.columns if column.name not in _OF_THE_WHOLE_SCAN),
)
ANNOTATIONS = Table(
    "annotations",
    "Every image that the annotations name, with what they say of it as a whole.",
    _columns(
        """
image_id VARCHAR the image
source VARCHAR the file that says so
split VARCHAR the split they put it into
width INTEGER pixels, as they say
height INTEGER pixels, as they say
labels INTEGER how many labels follow; empty where the image is named and not annotated
payload VARCHAR JSON: by format, everything else they say of the image
"""
    ),
)
LABELS = Table(
    "labels",
    "What the annotations say is in the images: one row for each box, or for the class of an image.",
    _columns(
        """
image_id VARCHAR the image
place INTEGER order within the image, from 0
category VARCHAR class
x DOUBLE left edge of the box in pixels; empty where the class is that of the image
y DOUBLE upper edge
width DOUBLE pixels
height DOUBLE pixels
extras VARCHAR what the payload holds beyond class and box, separated by commas
payload VARCHAR JSON: by format, everything the source says of it
"""
    ),
)
CATEGORIES = Table(
    "categories",
    "The classes, in the order of the annotations.",
    _columns(
        """
place INTEGER order, from 0
name VARCHAR class
payload VARCHAR JSON: by format, everything the source says of it
"""
    ),
)
LABEL_CONFLICTS = Table(
    "label_conflicts",
    "Every difference between the labels of a removed image and those of the image that stays for it.",
    _columns(
        """
image_id VARCHAR the removed image
keeper_id VARCHAR the image that stays
difference VARCHAR moved, category, details, only_removed, only_keeper, class, or not_comparable
keeper_place INTEGER label of the keeper, by its place; empty where it has none to match
removed_place INTEGER label of the removed image, by its place; empty where it has none to match
overlap DOUBLE intersection over union of the two boxes
outcome VARCHAR kept, dropped or added: what became of the removed image's label
note VARCHAR why they cannot be compared
"""
    ),
)
CONTENT_PAIRS = Table(
    "content_pairs",
    "Every pair of distinct contents that was compared one by one; those that sketches rule out are none.",
    _columns(
        """
content_a VARCHAR content_id, the smaller
content_b VARCHAR content_id, the larger
distance DOUBLE 0 = same picture
agreement DOUBLE share of the aligned pictures that agree, 0..1; empty where the second stage was not asked
vector_distance DOUBLE smallest distance of a view of one to the full frame of the other
"""
    ),
)
CONTENT_NEAREST = Table(
    "content_nearest",
    "For each content its nearest among those it is in no pair of content_pairs with.",
    _columns(
        """
content_id VARCHAR the content
nearest_content VARCHAR its nearest; empty where there is none
distance DOUBLE of the full frames, at least the one up to which pairs are candidates
"""
    ),
)
PAIRS = Table(
    "pairs",
    "Near pairs, each once. Identical images share a content_id and stand here once, by the one that stays first.",
    _columns(
        """
image_a VARCHAR image_id, the smaller
image_b VARCHAR image_id, the larger
distance DOUBLE 0 = same picture
agreement DOUBLE share of the aligned pictures that agree, 0..1
vector_distance DOUBLE what the vectors alone said
"""
    ),
)
SCORES = Table(
    "scores",
    "One row for each readable image.",
    _columns(
        """
image_id VARCHAR the image
uniqueness DOUBLE 0..1, higher is more unique; exactly 0 for a duplicate
label VARCHAR 'Duplicate image', 'Near duplicate image' or empty
keeper_id VARCHAR the image a duplicate belongs to
nearest_id VARCHAR nearest other image that is not a duplicate
group_id VARCHAR the image that leads its group of duplicates and near duplicates
keeper_distance DOUBLE distance of a duplicate to its keeper
keeper_reason VARCHAR why the keeper stays and not this one
"""
    ),
)
TAGS = Table(
    "tags",
    "Collections: which image is in which, and why.",
    _columns(
        """
image_id VARCHAR the image
tag VARCHAR name of the collection
reason VARCHAR why it is in it
run_id VARCHAR Dagster run that put it there
tagged_at TIMESTAMP when, UTC
"""
    ),
    volatile=("run_id", "tagged_at"),
    owned="tag = 'Duplicates'",
)
REMOVALS = Table(
    "removals",
    "Every removal that ever took effect; never deleted. One without restored_at and superseded_at is in force.",
    _columns(
        """
image_id VARCHAR the removed image
keeper_id VARCHAR the image it duplicates; empty for a discarded one
reason VARCHAR identical, duplicate, reviewed or discarded
distance DOUBLE between the two
duplicate_threshold DOUBLE in force at the time
near_duplicate_threshold DOUBLE in force at the time
embedder VARCHAR name and version
decided_by VARCHAR 'rule', or the reviewer
decided_at TIMESTAMP when the decision was made, UTC
note VARCHAR the reviewer's words
run_id VARCHAR Dagster run that removed it
removed_at TIMESTAMP when, UTC
restored_at TIMESTAMP when it came back, UTC
content_hash VARCHAR SHA-256 of the removed file
keeper_reason VARCHAR why the keeper stays and not this one
superseded_at TIMESTAMP when another row about the same image took its place, UTC
dataset_version VARCHAR first dataset version written without it, as NAME/VERSION
"""
    ),
    volatile=("dataset_version",),
)
DECISIONS = Table(
    "decisions",
    "The reviewed decisions as last applied, each with the content it was bound to.",
    _columns(
        """
line BIGINT line of decisions.csv
image_id VARCHAR the image as written
decision VARCHAR keep, remove, discard or not_duplicate
duplicate_of VARCHAR the image it duplicates, as written
content_hash VARCHAR SHA-256 of the file decided on
duplicate_of_hash VARCHAR SHA-256 of the file it duplicates
reviewer VARCHAR who
decided_at VARCHAR when, as written
note VARCHAR why
applies_to BIGINT how many images it applies to now
"""
    ),
    volatile=("line",),
)
DATASETS = Table(
    "datasets",
    "Every dataset version written.",
    _columns(
        """
name VARCHAR the dataset
version VARCHAR first 12 digits of the SHA-256 of its manifest and its list of removed images
description VARCHAR in the user's words
kept BIGINT images in it
removed BIGINT images left out
placement VARCHAR symlink, hardlink, copy or none
run_id VARCHAR Dagster run that wrote it
created_at TIMESTAMP when, UTC
"""
    ),
)
EVENTS = Table(
    "events",
    "What happened to the store, oldest first: completed runs that changed something, and what people did to it.",
    _columns(
        """
event VARCHAR run, rollback, repair or prune
happened_at TIMESTAMP when, UTC
run_id VARCHAR Dagster run, or the id of what a person did
dataset_version VARCHAR dataset version that stood after it, as NAME/VERSION
duplicate_threshold DOUBLE in force after it
near_duplicate_threshold DOUBLE in force after it
embedder VARCHAR name and version
done_by VARCHAR the person, where a person did it
note VARCHAR what it did, in words
"""
    ),
)
ARRIVALS = Table(
    "arrivals",
    "The new images of every scoring that had any, in all and by top folder, and how many of them are duplicates.",
    _columns(
        """
folder VARCHAR the top folder; empty for all together, '.' for files in none
images BIGINT new images
duplicates BIGINT of these
share DOUBLE duplicates / images
is_first BOOLEAN there were no images before
run_id VARCHAR Dagster run that scored them
seen_until TIMESTAMP latest first_seen_at among them, UTC
"""
    ),
)
STEPS = Table(
    "steps",
    "The last completed run of each step: what went in, what came out.",
    _columns(
        """
step VARCHAR name of the asset
input_version VARCHAR changes when the step has to run again
output_version VARCHAR changes when its result does
settings VARCHAR as JSON
summary VARCHAR as JSON
run_id VARCHAR Dagster run
finished_at TIMESTAMP when, UTC
"""
    ),
)
META = Table("meta", "Facts about the store.", _columns("key VARCHAR which fact\nvalue VARCHAR its value"))

TABLES = (
    *(IMAGES, FILE_FACTS, CONTENT_PAIRS, CONTENT_NEAREST, PAIRS, SCORES, TAGS, REMOVALS, DECISIONS, DATASETS),
    *(ANNOTATIONS, LABELS, CATEGORIES, LABEL_CONFLICTS, EVENTS, ARRIVALS, STEPS, META),
)
