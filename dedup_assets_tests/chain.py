"""A folder, its store, and the whole chain over them, for tests of the steps."""

import json
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

from dedup_assets.core import steps
from dedup_assets.core.project import project_of
from dedup_assets.core.run import Run
from dedup_assets.core.scoring.rules import RULES, StoreRows
from dedup_assets.core.settings import Thresholds
from dedup_assets.core.storage import schema
from dedup_assets.core.storage.store import Store

TIMES = (
    "first_seen_at",
    "modified_at",
    "modified_ns",
    "etag",
    "removed_at",
    "decided_at",
    "tagged_at",
    "created_at",
    "run_id",
)
RESULTS = (schema.IMAGES, schema.CONTENT_PAIRS, schema.CONTENT_NEAREST, schema.PAIRS, schema.SCORES, schema.TAGS)
RUN = """
import json, sys
from pathlib import Path
from dedup_assets_tests.chain import chain_in
chain = chain_in(Path(sys.argv[1]), Path(sys.argv[2]), **json.loads(sys.argv[3]))
print("ready", flush=True)
chain.run()
"""


@dataclass
class Chain:
    """Runs the steps over `images`; `settings` are those of a project."""

    images: Path
    store: Store
    settings: dict = field(default_factory=lambda: {"workers": 1})

    @property
    def project(self):
        return project_of(self.images, self.store.folder, **self.settings)

    def run(self, thresholds=None, **more):
        """All steps in order, after which the promises hold; their summaries by name."""
        run, project, thresholds = Run(**more), self.project, thresholds or Thresholds()
        summaries = {
            "raw_images": steps.scan_images(project, run),
            "embeddings": steps.embed_images(project, run),
            "neighbours": steps.find_neighbours(project, run),
            "uniqueness_scores": steps.score_uniqueness(project, thresholds, run),
            "duplicates": steps.collect_duplicates(project, run),
            "deduplicated_dataset": steps.write_dataset(project, run),
        }
        rows = StoreRows(self.store)
        assert [rule.name for rule in RULES if not rule.check(rows, thresholds.duplicate).passed] == []
        return summaries

    def scan(self):
        return steps.scan_images(self.project, Run())

    def rows(self, table=schema.IMAGES, key="image_id"):
        """The rows of a table as dicts, by image."""
        return {row[key]: row for row in self.store.read(table).to_dict("records")}

    def decide(self, *lines):
        self.store.folder.mkdir(parents=True, exist_ok=True)
        header = "image_id,decision,duplicate_of\n"
        self.store.decisions_file.write_text(header + "".join(f"{line}\n" for line in lines), encoding="utf-8")

    def results(self, tables=RESULTS):
        """What a run leaves in its tables, but for times and runs, as comparable text."""
        frames = {table.name: self.store.read(table) for table in tables}
        steady = {name: frame.drop(columns=list(TIMES), errors="ignore") for name, frame in frames.items()}
        return {name: frame.to_csv(index=False) for name, frame in steady.items()}

    def outcome(self):
        """What the last run came to, whatever came before it, as comparable text by name.

        The tables, the removals in force without what tells of the day they were made, and the dataset's version.
        """
        tables = self.results([*RESULTS, schema.DECISIONS])
        removals = self.store.read(schema.REMOVALS, "restored_at IS NULL AND superseded_at IS NULL")
        here = removals["image_id"].isin(self.store.read(schema.IMAGES)["image_id"])
        of_the_day = [*TIMES, "duplicate_threshold", "near_duplicate_threshold", "dataset_version"]
        steady = removals[here].sort_values("image_id").drop(columns=of_the_day, errors="ignore")
        dataset = self.store.step("deduplicated_dataset").output_version
        return tables | {"removals": steady.to_csv(index=False), "dataset": dataset}

    def start(self):
        """The same run in a process of its own, about to begin."""
        arguments = [self.store.folder.parent, self.images, json.dumps(self.settings)]
        process = subprocess.Popen([sys.executable, "-c", RUN, *arguments], stdout=subprocess.PIPE, text=True)
        assert process.stdout.readline() == "ready\n"
        return process


def chain_in(folder, images=None, **settings):
    """A chain with its store, and its images unless given, under `folder`."""
    return Chain(images or folder / "images", Store(folder / "store"), {"workers": 1, **settings})


def removed(chain):
    """The images in any collection."""
    return set(chain.store.read(schema.TAGS)["image_id"])


def dataset_folder(summaries):
    """Where the dataset of a run lies."""
    return Path(summaries["deduplicated_dataset"].folder)


def only_dataset(chain):
    """The folder of the one version there is."""
    (folder,) = (path for path in (chain.store.datasets / "deduplicated").iterdir() if not path.is_symlink())
    return folder
