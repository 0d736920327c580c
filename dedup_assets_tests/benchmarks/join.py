"""The join of many vectors against faiss's flat index doing the same searches, and adding a few to many.

    python -m dedup_assets_tests.benchmarks.join [--count 200000] [--views 7] [--dimension 64] [--add 1000]

Synthetic vectors in bunches, with planted near pairs. Each figure is the CPU time of a process of its own on one
thread: ratios hold on a busy machine. `--no-faiss` leaves the peer out, `--threads 2` shows the time on the clock.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from dedup_assets.core.detection.base import Calibration
from dedup_assets.core.detection.cosines import quantise
from dedup_assets.core.detection.neighbours import Join, Known, join
from dedup_assets.core.detection.search import Reach
from dedup_assets.core.engines.local import LocalEngine

REACH = Reach(Calibration(), 0.105)  # how far the default embedder offers candidates
_PLANTED = 100  # one row in so many has a near copy
_CHUNK = 50_000


def make_vectors(count: int, views: int, dimension: int) -> tuple[NDArray[np.int8], NDArray[np.int64]]:
    """(count, views, dimension) int8, and the (k, 2) rows of the planted pairs."""
    rng = np.random.default_rng(0)
    centres = rng.normal(size=(max(count // 50, 1), 1, dimension)).astype(np.float32)
    vectors = np.empty((count, views, dimension), np.int8)
    for start in range(0, count, _CHUNK):
        some = min(_CHUNK, count - start)
        own = centres[rng.integers(0, len(centres), some)] + 1.3 * rng.normal(size=(some, 1, dimension))
        raw = own + 0.5 * rng.normal(size=(some, views, dimension))
        raw[:, 0] = own[:, 0]
        vectors[start : start + some] = quantise(raw.astype(np.float32))
    rows = rng.permutation(count)[: 2 * (count // (2 * _PLANTED))].reshape(-1, 2)
    noisy = vectors[rows[:, 0]].astype(np.float32) + 8 * rng.normal(size=(len(rows), views, dimension))
    vectors[rows[:, 1]] = quantise(noisy.astype(np.float32))
    return vectors, np.sort(rows, axis=1)


def ours(vectors: NDArray[np.int8], planted: NDArray[np.int64], threads: int, _add: int) -> dict[str, float]:
    """The full join."""
    spent, found = _timed(lambda: join(vectors, REACH, each=LocalEngine(threads).each))
    return {**spent, "pairs": len(found.first), "planted_found": _share(found, planted)}


def added(vectors: NDArray[np.int8], _planted: NDArray[np.int64], threads: int, add: int) -> dict[str, float]:
    """The full join, then that of all but the last `add`, taken up with these; and whether both are the same."""
    engine = LocalEngine(threads)
    all_spent, full = _timed(lambda: join(vectors, REACH, each=engine.each))
    old = len(vectors) - add
    before = join(vectors[:old], REACH, each=engine.each)
    known = Known(np.arange(len(vectors)) < old, before.first, before.second, np.append(before.nearest, [-1] * add))
    spent, more = _timed(lambda: join(vectors, REACH, known, each=engine.each))
    pairs = np.lexsort((np.append(before.second, more.second), np.append(before.first, more.first)))
    same = (
        np.array_equal(np.append(before.first, more.first)[pairs], full.first)
        and np.array_equal(np.append(before.second, more.second)[pairs], full.second)
        and np.array_equal(more.nearest, full.nearest)
        and np.array_equal(more.nearest_distance, full.nearest_distance)
    )
    return {"added": add, "add_cpu_s": spent["cpu_s"], "add_against_full": spent["cpu_s"] / all_spent["cpu_s"]} | {
        "add_exact": float(same)
    }


def peer(vectors: NDArray[np.int8], planted: NDArray[np.int64], threads: int, _add: int) -> dict[str, float]:
    """faiss: a range search of every view, and the two nearest of every full frame."""
    import faiss

    faiss.omp_set_num_threads(threads)

    def search() -> set[tuple[int, int]]:
        index = faiss.IndexFlatIP(vectors.shape[2])
        index.add(_unit(vectors[:, 0]))
        pairs: set[tuple[int, int]] = set()
        for start in range(0, len(vectors), _CHUNK):
            part = vectors[start : start + _CHUNK]
            index.search(_unit(part[:, 0]), 2)
            for view in range(vectors.shape[1]):
                limits, _, hits = index.range_search(_unit(part[:, view]), REACH.calibration.cosine(REACH.view_limit))
                rows = start + np.repeat(np.arange(len(part)), np.diff(limits.astype(np.int64)))
                other = rows != hits
                low, high = np.minimum(rows, hits)[other], np.maximum(rows, hits)[other]
                pairs.update(zip(low.tolist(), high.tolist(), strict=True))
        return pairs

    spent, pairs = _timed(search)
    hit = np.mean([tuple(pair) in pairs for pair in planted.tolist()])
    return {**spent, "pairs": len(pairs), "planted_found": float(hit)}


WAYS = {"ours": ours, "added": added, "faiss": peer}


def _unit(vectors: NDArray[np.int8]) -> NDArray[np.float32]:
    values = vectors.astype(np.float32)
    return np.asarray(values / np.linalg.norm(values, axis=-1, keepdims=True), np.float32)


def _timed(work: Callable[[], object]) -> tuple[dict[str, float], object]:
    cpu, clock = time.process_time(), time.perf_counter()
    result = work()
    spent = {"cpu_s": time.process_time() - cpu, "wall_s": time.perf_counter() - clock}
    return spent | {"peak_memory_gb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6}, result


def _share(found: Join, planted: NDArray[np.int64]) -> float:
    there = set(zip(found.first.tolist(), found.second.tolist(), strict=True))
    return float(np.mean([tuple(pair) in there for pair in planted.tolist()]))


def main() -> None:
    """Measure each way in a process of its own and print one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=200_000)
    parser.add_argument("--views", type=int, default=7)
    parser.add_argument("--dimension", type=int, default=64)
    parser.add_argument("--add", type=int, default=1000)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--no-faiss", action="store_true")
    parser.add_argument("--way", choices=WAYS)
    given = parser.parse_args()
    if given.way:
        vectors, planted = make_vectors(given.count, given.views, given.dimension)
        print(json.dumps(WAYS[given.way](vectors, planted, given.threads, given.add)))  # noqa: T201
        return
    ways = [way for way in WAYS if not (way == "faiss" and given.no_faiss) and not (way == "added" and not given.add)]
    threads = {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
    report: dict[str, object] = {"count": given.count, "views": given.views, "dimension": given.dimension}
    for way in ways:
        command = [sys.executable, "-m", "dedup_assets_tests.benchmarks.join", *sys.argv[1:], "--way", way]
        output = subprocess.run(command, check=True, capture_output=True, text=True, env={**os.environ, **threads})
        report[way] = {name: round(value, 4) for name, value in json.loads(output.stdout).items()}
    if "faiss" in ways:
        mine, theirs = report["ours"], report["faiss"]
        report["ours_against_faiss_cpu"] = round(mine["cpu_s"] / theirs["cpu_s"], 3)  # type: ignore[index]
    print(json.dumps(report, indent=2))  # noqa: T201


if __name__ == "__main__":
    main()
