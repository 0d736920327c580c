"""A whole run against the floor: a bare Pillow loop that decodes the same files at a smaller scale.

    python -m dedup_assets_tests.benchmarks.whole_run IMAGES [--placement symlink]

Each figure is the CPU time (user and system) of a process of its own on one core: ratios hold on a busy machine.
The fixed cost is that of a run on ten of the files. Of each the least of three counts: what a disk takes to make a link
varies by ten, most of all where files were just deleted. All follow a run that is not counted and that may leave
compiled modules behind, whatever PYTHONDONTWRITEBYTECODE says here: compiling them is part of the installation.
"""

import argparse
import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from dedup_assets.core.sources.folder import list_images

LOOP = """
import sys
from PIL import Image
for line in sys.stdin:
    try:
        image = Image.open(line[:-1])
        image.draft(None, (64, 64))
        image.load()
    except OSError:
        pass
"""
RUN = [sys.executable, "-c", "from dedup_assets.cli import main; main()", "run", "--workers", "1"]
ONE_CORE = {**os.environ, "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
ONE_CORE.pop("PYTHONDONTWRITEBYTECODE", None)


def cpu_seconds(command: list[str], text: str = "") -> tuple[float, float]:
    """CPU seconds of a command, and the largest resident memory of any child so far, in GB."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(command, input=text, text=True, check=True, env=ONE_CORE, stdout=subprocess.DEVNULL)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    spent = (after.ru_utime - before.ru_utime) + (after.ru_stime - before.ru_stime)
    return spent, after.ru_maxrss / 1e6


def measure(images: Path, placement: str, times: int = 3) -> dict[str, float]:
    """The figures for one folder, each the least of so many `times`."""
    files = [images / file.image_id for file in list_images(images).files]
    names = "".join(f"{file}\n" for file in files)
    nothing = cpu_seconds([sys.executable, "-c", LOOP])[0]
    decode = min(cpu_seconds([sys.executable, "-c", LOOP], names)[0] for _ in range(times)) - nothing
    with tempfile.TemporaryDirectory() as work:
        few = Path(work, "few")
        few.mkdir()
        for file in files[:10]:
            shutil.copy(file, few)
        rest = ["--placement", placement]
        _, *counted = (cpu_seconds([*RUN, str(few), "--store", f"{work}/f{i}", *rest])[0] for i in range(times + 1))
        fixed = min(counted)
        runs = [cpu_seconds([*RUN, str(images), "--store", f"{work}/store{i}", *rest]) for i in range(times)]
        first, memory = min(spent for spent, _ in runs), runs[-1][1]
        second = min(cpu_seconds([*RUN, str(images), "--store", f"{work}/store{i}", *rest])[0] for i in range(times))
    return {
        "files": len(files),
        "decode_loop_s": decode,
        "fixed_s": fixed,
        "first_run_s": first,
        "second_run_s": second,
        "first_beyond_8s_against_decode": (first - 8) / decode,
        "first_beyond_fixed_against_decode": (first - fixed) / decode,
        "second_beyond_fixed_against_first": max(second - fixed, 0) / (first - fixed),
        "peak_memory_gb": memory,
    }


def main() -> None:
    """Measure and print one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("images", type=Path)
    parser.add_argument("--placement", default="symlink")
    arguments = parser.parse_args()
    figures = measure(arguments.images.absolute(), arguments.placement)
    print(json.dumps({name: round(value, 3) for name, value in figures.items()}, indent=2))  # noqa: T201


if __name__ == "__main__":
    main()
