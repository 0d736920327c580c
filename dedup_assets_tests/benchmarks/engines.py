"""The Ray engine on a cluster of this machine against the local engine: CPU time beyond start-up, and the same tables.

    python -m dedup_assets_tests.benchmarks.engines IMAGES [--cpus 2]

Each run is a process of its own that does raw_images, embeddings, neighbours and uniqueness_scores. Its CPU time is
that of the process and all it started, Ray's own processes among them. Start-up is the same run over ten of the files,
which takes Ray through all it opens. On a busy machine only the ratio of CPU times holds.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

_LOOK_SECONDS = 0.3

RUN = """
import hashlib, json, sys, time
from pathlib import Path
from dedup_assets.core.storage import schema
from dedup_assets.core import steps
from dedup_assets.core.engines import ray as ray_engine
from dedup_assets.core.run import Run
from dedup_assets.core.settings import Thresholds
from dedup_assets.core.storage.store import Store
from dedup_assets_tests.benchmarks.engines import CpuMeter
from dedup_assets_tests.chain import Chain

images, store, engine, cpus = Path(sys.argv[1]), Store(sys.argv[2]), sys.argv[3], int(sys.argv[4])
ray_engine._PIECES_WORTH_A_CLUSTER = 1
meter, began, spent, by_step = CpuMeter(), time.monotonic(), 0.0, {}
chain = Chain(images, store, {"engine": engine, "workers": cpus})
for step in (steps.scan_images, steps.embed_images, steps.find_neighbours):
    step(chain.project, Run())
    by_step[step.__name__] = meter.seconds - spent
    spent += by_step[step.__name__]
steps.score_uniqueness(chain.project, Thresholds(), Run())
tables = (schema.IMAGES, schema.CONTENT_PAIRS, schema.CONTENT_NEAREST, schema.PAIRS, schema.SCORES)
digests = {name: hashlib.sha256(rows.encode()).hexdigest() for name, rows in chain.results(tables).items()}
figures = {"wall_s": time.monotonic() - began, "cpu_s": meter.seconds, "steps": by_step, "tables": digests}
print(json.dumps(figures))
"""


class CpuMeter:
    """CPU seconds of this process and of all that came from it, those that have ended among them (Linux).

    Ray's workers are waited for by nobody, so their last figures are taken from /proc while they live.
    """

    def __init__(self) -> None:
        self._ticks: dict[tuple[int, str], int] = {}
        threading.Thread(target=self._watch, daemon=True).start()

    @property
    def seconds(self) -> float:
        """So far."""
        self._look()
        return sum(self._ticks.values()) / os.sysconf("SC_CLK_TCK")

    def _watch(self) -> None:
        while True:
            time.sleep(_LOOK_SECONDS)
            self._look()

    def _look(self) -> None:
        parents, seen = {}, {}
        for process in Path("/proc").glob("[0-9]*"):
            try:
                fields = (process / "stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue
            pid = int(process.name)
            parents[pid], seen[pid, fields[19]] = int(fields[1]), int(fields[11]) + int(fields[12])
        for key, ticks in seen.items():
            if key in self._ticks or self._is_ours(key[0], parents):
                self._ticks[key] = ticks

    @staticmethod
    def _is_ours(pid: int, parents: dict[int, int]) -> bool:
        while pid > 1 and pid != os.getpid():
            pid = parents.get(pid, 0)
        return pid == os.getpid()


def run(images: Path, engine: str, cpus: int) -> dict:
    """The figures of one run with an empty store."""
    with tempfile.TemporaryDirectory() as store:
        command = [sys.executable, "-c", RUN, str(images), store, engine, str(cpus)]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1])


def measure(images: Path, cpus: int) -> dict:
    """The figures of both engines over one folder."""
    with tempfile.TemporaryDirectory() as few:
        for file in sorted(path for path in images.rglob("*") if path.is_file())[:10]:
            shutil.copy(file, few)
        fixed = {engine: run(Path(few), engine, cpus)["cpu_s"] for engine in ("local", "ray")}
    full = {engine: run(images, engine, cpus) for engine in ("local", "ray")}
    beyond = {engine: full[engine]["cpu_s"] - fixed[engine] for engine in full}
    return {
        "files": sum(path.is_file() for path in images.rglob("*")),
        "tables_that_differ": [
            name for name, rows in full["local"]["tables"].items() if rows != full["ray"]["tables"][name]
        ],
        "startup_cpu_s": fixed,
        "cpu_s": {engine: figures["cpu_s"] for engine, figures in full.items()},
        "wall_s": {engine: figures["wall_s"] for engine, figures in full.items()},
        "cpu_s_by_step": {engine: figures["steps"] for engine, figures in full.items()},
        "ray_against_local_beyond_startup": beyond["ray"] / beyond["local"],
    }


def main() -> None:
    """Measure and print one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("images", type=Path)
    parser.add_argument("--cpus", type=int, default=2)
    arguments = parser.parse_args()
    figures = measure(arguments.images.absolute(), arguments.cpus)
    print(json.dumps(figures, indent=2, default=lambda value: round(value, 3)))  # noqa: T201


if __name__ == "__main__":
    main()
