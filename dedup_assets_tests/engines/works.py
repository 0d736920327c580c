"""Work for the tests of engines, at a place where workers can import it."""

import os
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from dedup_assets.core.errors import SourceError


@dataclass(frozen=True)
class Squares:
    """The squares of a slice of `values`, and its places. Leaves in `trace` the pid of its process for each slice."""

    values: np.ndarray
    trace: Path
    seconds: float = 0.0

    def __call__(self, shard):
        with (self.trace / f"{shard[0]:03d}").open("a") as file:
            file.write(f"{os.getpid()}\n")
        time.sleep(self.seconds)
        return self.values[slice(*shard)] ** 2, np.arange(*shard)

    def expected(self, shards):
        return [(np.arange(*shard) ** 2).tolist() for shard in shards]


class EmbedPictures(Squares):
    """The same under a name that goes through a pool of actors."""


class ViewSearch(Squares):
    """The same under a name whose results the local engine keeps."""


@dataclass(frozen=True)
class Refuses:
    """Finds fault with every shard."""

    def __call__(self, shard):
        raise SourceError(f"shard {shard} is behind a closed door")


@dataclass(frozen=True)
class Breaks:
    """Has a mistake in it."""

    def __call__(self, shard):
        return shard / 0


@dataclass(frozen=True)
class Dies:
    """Takes its process with it, every time."""

    def __call__(self, shard):
        os._exit(1)
