"""What one tick of the eager sensor costs on a large folder: Dagster stops a sensor after 60 seconds.

    python -m dedup_assets_tests.benchmarks.looking [--files 1000000]

Empty files, a thousand to a folder: a tick reads no bytes of them.
"""

import argparse
import json
import resource
import sys
import tempfile
import time
from pathlib import Path

from dedup_assets.core.living.changes import Memory, judge, look
from dedup_assets.core.living.covered import covered
from dedup_assets.core.project import project_of


def measure(files: int) -> dict[str, float]:
    """Seconds and memory of one look, and the size of what is remembered."""
    with tempfile.TemporaryDirectory() as work:
        for number in range(files):
            folder = Path(work, "images", f"{number // 1000:05d}")
            if number % 1000 == 0:
                folder.mkdir(parents=True)
            (folder / f"photo_{number:07d}.jpg").touch()
        project = project_of(Path(work, "images"), Path(work, "store"))
        wall, processor = time.perf_counter(), time.process_time()
        memory, _, _ = judge(Memory(), look(project), covered(project.store), time.time(), lambda: None)
        return {
            "files": files,
            "wall_seconds": round(time.perf_counter() - wall, 2),
            "cpu_seconds": round(time.process_time() - processor, 2),
            "memory_gb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6, 2),
            "cursor_bytes": len(memory.text),
        }


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--files", type=int, default=1_000_000)
    sys.stdout.write(json.dumps(measure(parser.parse_args().files), indent=1) + "\n")
