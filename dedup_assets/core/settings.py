"""Every setting once: default, bounds and the words that explain it, for run config, component, CLI and docs."""

from collections.abc import Sequence
from dataclasses import dataclass

from dedup_assets.core.errors import SettingsError
from dedup_assets.core.images import MAX_PIXELS

DUPLICATES_TAG = "Duplicates"
EXPLORER_PORT = 8765


@dataclass(frozen=True, slots=True)
class Bounded:
    """A number with its default, its closed bounds and its explanation."""

    name: str
    default: float
    minimum: float
    maximum: float
    help: str

    def check(self, value: float) -> float:
        """`value`, or SettingsError when it is outside the bounds (or not a number)."""
        if not self.minimum <= value <= self.maximum:
            raise SettingsError(
                f"{self.name} is {value}; it must be between {self.minimum:g} and {self.maximum:g} "
                f"(the default is {self.default:g})"
            )
        return value


def one_of(name: str, value: str, allowed: Sequence[str]) -> str:
    """`value`, or SettingsError when it is none of the words allowed."""
    if value not in allowed:
        raise SettingsError(f"{name} is '{value}'; it may be {', '.join(allowed)}")
    return value


DUPLICATE_THRESHOLD = Bounded(
    "duplicate_threshold",
    0.0001,
    0.0,
    1.0,
    "Largest distance (0 = same picture, 1 = nothing in common) at which an image is a duplicate of its keeper and is "
    "removed without asking. 0.0001 means the same picture saved again.",
)
NEAR_DUPLICATE_THRESHOLD = Bounded(
    "near_duplicate_threshold",
    0.05,
    0.0,
    1.0,
    "Largest distance at which an image is put before a person as a near duplicate: shifted, blurred, cropped, "
    "re-coloured. Nothing is removed by this threshold alone.",
)
MAX_PIXELS_SETTING = Bounded(
    "max_pixels",
    MAX_PIXELS,
    1,
    1e12,
    "Images with more pixels than this are listed as too_large and left alone.",
)
IMAGES_HELP = "Folder of images, searched with all its subfolders, or the URI of a bucket: s3://bucket/photos."
STORE_HELP = "Folder for the database and everything else that is written; $DEDUP_STORE, else ./dedup_store."
DECISIONS_HELP = "CSV file of reviewed decisions; decisions.csv in the store when not given."
KEY_PREFIX_HELP = "Asset key prefix, so that several datasets live in one deployment."
EMBEDDER_HELP = (
    "What turns pictures into vectors: 'thumbnail' (default, offline), 'thumbnail-turned' (finds copies turned by "
    "quarters or upside down, too), a torchvision backbone such as 'resnet50', or 'torchscript:FILE'."
)
SECOND_STAGE_HELP = (
    "Align and compare each candidate pair locally before calling it near. Turned off, the vectors alone decide: "
    "faster on dense sets, and look-alikes are flagged too."
)
KEEPER_ORDER_HELP = (
    "Which copy stays, first term first: annotated, split, resolution, bytes, first_seen, image_id (see the README)."
)
SPLIT_PRIORITY_HELP = "Splits whose images stay before others, best first, for instance ['test', 'val', 'train']."
PROTECT_HELP = (
    "Splits whose images stay, for instance ['test', 'val']: one is removed only for a copy in a split before it here."
)
REFERENCE_HELP = (
    "Folders, relative to the image folder, whose images are never removed. Two identical images in them are an error."
)
INPUT_FORMAT_HELP = (
    "What the images come with: auto (told by the layout), folder (no labels), manifest, coco, yolo, voc, imagefolder "
    "(a folder for each class) or huggingface."
)
ANNOTATIONS_HELP = "File or folder that holds the labels; looked for in the image folder when not given."
LABELS_HELP = (
    "What becomes of the labels on removed copies: keeper (those of the image that stays count, the rest is listed), "
    "union (boxes that only the copy has are added) or conflict (a difference stops the run)."
)
LEAKAGE_HELP = "Whether the same picture in two splits only warns (warn) or stops the run before the dataset (block)."
EXPORT_FORMAT_HELP = "Write images and labels in this format instead of a table."
PLACED_HELP = "With --format: how the images get there."
EXPORT_FORMATS = ("manifest", "coco", "yolo", "voc", "imagefolder", "huggingface")
INPUT_FORMATS = ("auto", "folder", *EXPORT_FORMATS)
EXPORT_PLACEMENTS = ("symlink", "hardlink", "copy")
LABEL_POLICIES = ("keeper", "union", "conflict")
LEAKAGE_POLICIES = ("warn", "block")
LABEL_OVERLAP = Bounded(
    "label_overlap",
    0.5,
    0.0,
    1.0,
    "Overlap (intersection over union) from which boxes of one class on two copies are the same object.",
)
DATASET_NAME_HELP = "Name of the cleaned dataset; its versions lie under datasets/NAME/ in the store."
DATASET_DESCRIPTION_HELP = "A sentence about the cleaned dataset, kept in its summary."
DATASET_TARGET_HELP = (
    "Folder or URI (s3://bucket/datasets) that the cleaned dataset is written to as NAME/VERSION/; the store when not "
    "given."
)
PLACEMENT_HELP = (
    "How kept images get into the dataset folder: symlink, hardlink, copy or none. When not given: symlink, or none "
    "where the images or the dataset are in a bucket. Copies that stand are never made links again."
)
ENGINE_HELP = (
    "What does the work that grows with the images: local, the cores of this machine, or ray, a Ray cluster. The "
    "tables are the same."
)
RAY_ADDRESS_HELP = (
    "Ray cluster: ray://HOST:10001, HOST:6379 or auto; $RAY_ADDRESS, else one is started on this machine for the run."
)
RAY_RESOURCE_HELP = (
    "Key of a dagster-ray resource in the same code location, such as a KubeRayCluster, that makes the cluster and "
    "connects to it before the assets that use it run."
)
RAY_CPUS_HELP = "CPUs that one Ray worker asks for."
RAY_GPUS_HELP = (
    "GPUs that one Ray worker asks for where it can use one, such as 0.5; for embedders that are networks and searches."
)
RAY_STORAGE_HELP = (
    "Folder or URI that this process and all Ray workers share, for results on their way; the store's folder when not "
    "given."
)
SEARCH_DEVICE_HELP = (
    "Where vectors are searched: auto (a CUDA device where torch finds one and there is enough to do), cpu or cuda. "
    "The tables are the same."
)
NONE, EAGER, SCHEDULE = "none", "eager", "schedule"
AUTOMATIONS = (NONE, EAGER, SCHEDULE)
AUTOMATION_HELP = (
    "What starts runs: 'none' (the default: nothing runs until a person says so), 'eager' (one run for every change of "
    "the images, labels, decisions or settings), or 'schedule' (the whole chain, by the cron)."
)
NO_BATCHES, FOLDER_BATCHES = "none", "folders"
BATCHES = (NO_BATCHES, FOLDER_BATCHES)
BATCHES_HELP = (
    "Whether embeddings has partitions: 'none' (the default), or 'folders', one for each top folder of the images, "
    "which are embedded one or some at a time. Scores are about all images either way."
)
CRON_HELP = "When automation is 'schedule': five fields, such as \"0 6 * * *\" for every day at six."
TIMEZONE_HELP = "Timezone of the cron, such as 'Europe/Berlin'; UTC when not given."
WORKERS_HELP = "Threads that decode images, or CPUs of a Ray cluster on this machine; all cores when not given."


@dataclass(frozen=True, slots=True)
class Thresholds:
    """Inclusive upper bounds on distance, 0 <= duplicate < near_duplicate <= 1."""

    duplicate: float = DUPLICATE_THRESHOLD.default
    near_duplicate: float = NEAR_DUPLICATE_THRESHOLD.default

    def __post_init__(self) -> None:
        DUPLICATE_THRESHOLD.check(self.duplicate)
        NEAR_DUPLICATE_THRESHOLD.check(self.near_duplicate)
        if self.duplicate >= self.near_duplicate:
            raise SettingsError(
                f"duplicate_threshold ({self.duplicate:g}) must be smaller than near_duplicate_threshold "
                f"({self.near_duplicate:g}); the defaults are {DUPLICATE_THRESHOLD.default:g} and "
                f"{NEAR_DUPLICATE_THRESHOLD.default:g}"
            )
