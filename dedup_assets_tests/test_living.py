"""A folder that lives: after every change the store is what a new store over the same folder would be.

LIVING_EXAMPLES=50 in the environment tries for many minutes.
"""

import csv
import hashlib
import os
import shutil
import tempfile
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from PIL import Image, ImageFilter

from dedup_assets.core.errors import DecisionError, NoImagesError, NoSurvivorError
from dedup_assets.core.scoring.decisions import COLUMNS, WORDS
from dedup_assets.core.settings import Thresholds
from dedup_assets.core.storage import schema
from dedup_assets_tests.chain import chain_in
from dedup_assets_tests.pictures import photo, put

EXAMPLES = int(os.environ.get("LIVING_EXAMPLES", "3"))
SIZE = (40, 32)
THRESHOLDS = (Thresholds(), Thresholds(0.001, 0.04), Thresholds(0.03, 0.2), Thresholds(0.0, 0.1))
BROKEN = b"no picture"
EDITS = {
    "blurred": lambda picture: picture.filter(ImageFilter.GaussianBlur(1)),
    "darker": lambda picture: picture.point(lambda level: level * 0.9),
    "one pixel": lambda picture: put_pixel(picture),
    "shifted": lambda picture: picture.transform(picture.size, Image.Transform.AFFINE, (1, 0, 1, 0, 1, 0)),
    "smaller": lambda picture: picture.resize((30, 24)),
}


def put_pixel(picture):
    picture = picture.copy()
    picture.putpixel((3, 3), (255, 0, 0))
    return picture


class LivingFolder(RuleBasedStateMachine):
    """Changes a folder a little, runs the chain in a store that lives on, and compares it with a new one."""

    def __init__(self):
        super().__init__()
        self.home = Path(tempfile.mkdtemp(prefix="living"))
        self.chain = chain_in(self.home, placement="none")
        self.thresholds = THRESHOLDS[0]
        self.decisions = []
        self.clock = 10**9
        self.count = 0

    def teardown(self):
        shutil.rmtree(self.home)

    @property
    def files(self):
        return sorted(path for path in self.chain.images.rglob("*") if path.is_file())

    @property
    def pictures(self):
        """Those that are not broken."""
        return [path for path in self.files if path.read_bytes() != BROKEN]

    def some(self, data, of=None):
        return data.draw(st.sampled_from(of or self.files))

    def new_path(self, suffix=".png"):
        self.count += 1
        return self.chain.images / ("train", "test", "")[self.count % 3] / f"{(self.count * 37) % 100:02d}{suffix}"

    def written(self, path):
        """A file changed within one tick of the clock looks unchanged to any tool: let time pass."""
        self.clock += 1
        os.utime(path, (self.clock, self.clock))

    @initialize(seeds=st.lists(st.integers(0, 8), min_size=2, max_size=5, unique=True))
    def start(self, seeds):
        for seed in seeds:
            self.written(put(photo(seed, SIZE), self.new_path()))

    @rule(seed=st.integers(0, 8))
    def add(self, seed):
        self.written(put(photo(seed, SIZE), self.new_path()))

    @precondition(lambda self: self.files)
    @rule(data=st.data())
    def copy(self, data):
        source = self.some(data)
        target = self.new_path(source.suffix)
        target.parent.mkdir(exist_ok=True)
        shutil.copy(source, target)

    @precondition(lambda self: len(self.files) > 1)
    @rule(data=st.data())
    def delete(self, data):
        self.some(data).unlink()

    @precondition(lambda self: self.files)
    @rule(data=st.data())
    def rename(self, data):
        source = self.some(data)
        target = self.new_path(source.suffix)
        target.parent.mkdir(exist_ok=True)
        source.rename(target)

    @precondition(lambda self: self.pictures)
    @rule(data=st.data(), edit=st.sampled_from(sorted(EDITS)), in_place=st.booleans())
    def edit(self, data, edit, in_place):
        source = self.some(data, self.pictures)
        with Image.open(source) as picture:
            edited = EDITS[edit](picture.convert("RGB"))
        self.written(put(edited, source if in_place else self.new_path()))

    @precondition(lambda self: self.pictures)
    @rule(data=st.data(), suffix=st.sampled_from([".jpg", ".bmp"]))
    def save_again(self, data, suffix):
        with Image.open(self.some(data, self.pictures)) as picture:
            self.written(put(picture.convert("RGB"), self.new_path(suffix), quality=95))

    @precondition(lambda self: self.files)
    @rule()
    def break_one(self):
        broken = self.new_path()
        broken.parent.mkdir(exist_ok=True)
        broken.write_bytes(BROKEN)

    @precondition(lambda self: self.files)
    @rule(data=st.data(), word=st.sampled_from(WORDS), name_partner=st.booleans())
    def decide(self, data, word, name_partner):
        image, partner = self.some(data), self.some(data) if name_partner else None
        if image == partner:
            return
        said = {"image_id": self.image_id(image), "decision": word}
        said["content_hash"] = hashlib.sha256(image.read_bytes()).hexdigest()
        said["duplicate_of"] = self.image_id(partner) if partner and word != "keep" else ""
        kept = [line for line in self.decisions if line["image_id"] != said["image_id"]]
        self.decisions = [*kept, said]

    @precondition(lambda self: self.decisions)
    @rule()
    def forget_a_decision(self):
        self.decisions.pop()

    @rule(thresholds=st.sampled_from(THRESHOLDS))
    def move_the_thresholds(self, thresholds):
        self.thresholds = thresholds

    def image_id(self, path):
        return path.relative_to(self.chain.images).as_posix()

    @invariant()
    def the_store_is_what_a_new_one_would_be(self):
        if not self.files:
            return
        self.write_decisions(self.chain)
        ended = self.run(self.chain)
        fresh = chain_in(self.home / "fresh", self.chain.images, placement="none")
        shutil.rmtree(fresh.store.folder, ignore_errors=True)
        self.write_decisions(fresh)
        self.hand_over(fresh)
        assert self.run(fresh) == ended
        if ended == "":
            assert self.chain.outcome() == fresh.outcome()

    def run(self, chain):
        """How the chain ended: the kind of error that it stopped with, nothing if it came to its end."""
        try:
            chain.run(self.thresholds)
        except (DecisionError, NoSurvivorError, NoImagesError) as error:
            return type(error).__name__
        return ""

    def write_decisions(self, chain):
        chain.store.folder.mkdir(parents=True, exist_ok=True)
        with chain.store.decisions_file.open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, COLUMNS, restval="")
            writer.writeheader()
            writer.writerows(self.decisions)

    def hand_over(self, fresh):
        """What only time can tell: when each file was first seen, and what lines without a hash were bound to."""
        images = self.chain.store.read(schema.IMAGES)[["image_id", "file_hash", "first_seen_at"]]
        fresh.store.replace(
            {
                schema.IMAGES: pd.concat([schema.IMAGES.empty(), images]),
                schema.DECISIONS: self.chain.store.read(schema.DECISIONS),
            }
        )


LivingFolder.TestCase.settings = settings(
    max_examples=EXAMPLES,
    stateful_step_count=4 if EXAMPLES <= 3 else 12,
    phases=[Phase.explicit, Phase.generate],  # to shrink takes minutes
    suppress_health_check=list(HealthCheck),
)
TestLivingFolder = pytest.mark.slow(LivingFolder.TestCase)
