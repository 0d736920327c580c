"""A run after a small change against a full run: CPU time, and whether both leave the same tables.

    python -m dedup_assets_tests.benchmarks.incremental TEXTURES_TAR [--count 20000] [--change 0.01] [--kills 50]

TEXTURES_TAR holds small pictures; they are saved again with distinct noise until there are enough. A hundredth of the
images is then replaced by new ones, near copies of others among them. Each figure is the CPU time of a process of its
own on one core, with all modules compiled before; the fixed cost is that of a run of the same kind on ten of the
files: a first one, one after a change of one file, or one after none. `--kills` ends that many runs by SIGKILL at
random times, over a chain of changes, and compares what is left with a store that nobody disturbed.
"""

import argparse
import io
import json
import random
import shutil
import signal
import subprocess
import sys
import tarfile
import tempfile
import time
from pathlib import Path

import numpy as np
from PIL import Image

from dedup_assets.core.storage import schema
from dedup_assets.core.storage.store import Store, content_version
from dedup_assets_tests.benchmarks.whole_run import ONE_CORE, RUN, cpu_seconds

TABLES = (schema.IMAGES, schema.CONTENT_PAIRS, schema.CONTENT_NEAREST, schema.PAIRS, schema.SCORES, schema.TAGS)
REST = ["--placement", "none", "--keeper-order", "split,resolution,bytes,image_id"]  # what a new store knows too


def make_images(tar: Path, folder: Path, first: int, last: int) -> None:
    """Images number `first` to `last`, each another."""
    with tarfile.open(tar) as pictures:
        members = sorted((member for member in pictures if member.isfile()), key=lambda member: member.name)
        for number in range(first, last):
            file = pictures.extractfile(members[number % len(members)])
            assert file is not None
            noise = np.random.default_rng(number).normal(0, 1 + 14 * (number // len(members)), (64, 64, 3))
            with Image.open(io.BytesIO(file.read())) as picture:
                pixels = np.asarray(picture.convert("RGB").resize((64, 64)), np.float64) + noise
            target = folder / f"{number // 1000:03d}" / f"{number:06d}.jpg"
            target.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8)).save(target, quality=90)


def tables(store: Path) -> dict[str, str]:
    """What a run left in its tables, times and runs aside."""
    return {table.name: content_version(table, Store(store).read(table)) for table in TABLES}


def measure(tar: Path, count: int, change: float, work: Path) -> dict[str, object]:
    """Full run, nothing changed, a share changed, and a full run on what is there then."""
    images, changed = work / "images", max(1, round(count * change))
    make_images(tar, images, 0, count)
    few = work / "few"
    few.mkdir()
    for file in sorted(images.rglob("*.jpg"))[:10]:
        shutil.copy(file, few)

    def run(folder: Path, store: str) -> float:
        return cpu_seconds([*RUN, str(folder), "--store", str(work / store), *REST])[0]

    run(few, "few_0")
    fixed, fixed_nothing = run(few, "few_1"), run(few, "few_1")
    shutil.copy(sorted(images.rglob("*.jpg"))[10], few)
    fixed_changed = run(few, "few_1")
    first = run(images, "store")
    nothing = run(images, "store")
    for file in sorted(images.rglob("*.jpg"))[:: max(1, count // changed)][: changed // 2]:
        file.unlink()
    make_images(tar, images, count, count + changed - changed // 2)
    some = run(images, "store")
    full = run(images, "new")
    return {
        "images": count,
        "changed": changed,
        "fixed_s": fixed,
        "fixed_nothing_changed_s": fixed_nothing,
        "fixed_changed_s": fixed_changed,
        "full_s": first,
        "nothing_changed_s": nothing,
        "nothing_changed_beyond_fixed_s": nothing - fixed_nothing,
        "changed_s": some,
        "full_of_the_changed_s": full,
        "changed_against_full_beyond_fixed": max(some - fixed_changed, 0) / (full - fixed),
        "tables_equal": tables(work / "store") == tables(work / "new"),
    }


def kill(tar: Path, count: int, kills: int, work: Path) -> dict[str, object]:
    """Ten changes, with runs ended at random times in between; then one run to the end, and one in a new store."""
    images, chance = work / "killed_images", random.Random(0)
    make_images(tar, images, 0, count)
    command = [*RUN, str(images), "--store", str(work / "killed"), *REST]
    start = time.monotonic()
    subprocess.run(command, check=True, env=ONE_CORE, stdout=subprocess.DEVNULL)
    whole_seconds, died = time.monotonic() - start, 0
    for number in range(kills):
        if number % max(1, kills // 10) == 0:
            make_images(tar, images, count + number, count + number + 5)
            sorted(images.rglob("*.jpg"))[number].unlink()
        run = subprocess.Popen(command, env=ONE_CORE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            run.wait(chance.uniform(0, whole_seconds))
        except subprocess.TimeoutExpired:
            run.send_signal(signal.SIGKILL)
            run.wait()
            died += 1
    for store in ("killed", "undisturbed"):
        again = [*RUN, str(images), "--store", str(work / store), *REST]
        subprocess.run(again, check=True, env=ONE_CORE, stdout=subprocess.DEVNULL)
    return {"runs_killed": died, "equal_after_kills": tables(work / "killed") == tables(work / "undisturbed")}


def main() -> None:
    """Measure and print one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("textures", type=Path)
    parser.add_argument("--count", type=int, default=20_000)
    parser.add_argument("--change", type=float, default=0.01)
    parser.add_argument("--kills", type=int, default=0)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        report = measure(given.textures, given.count, given.change, Path(folder))
        if given.kills:
            report |= kill(given.textures, min(given.count, 300), given.kills, Path(folder))
    shown = {name: round(value, 3) if isinstance(value, float) else value for name, value in report.items()}
    print(json.dumps(shown, indent=2))  # noqa: T201


if __name__ == "__main__":
    sys.exit(main())
