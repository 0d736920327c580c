"""The scale model of the join: its constants on this machine, what it predicts, and what the runs took.

    python -m dedup_assets_tests.benchmarks.scale --counts 100000 300000 1000000 --threads 2

CPU time of a join of n pictures with v views of d numbers, from three constants:

    products = n^2 * v                   every view, the full frame among them, with every full frame
    seconds  = products * (d * multiply + look) + n * row

`multiply` and `look` are fitted to strips of 64 and 128 numbers, `row` to a small join. Vectors come in bunches with
planted near copies, as in `benchmarks.join`.
"""

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable

import numpy as np

from dedup_assets.core.detection.neighbours import join
from dedup_assets.core.detection.products import TILE_COLUMNS, multiplier
from dedup_assets.core.detection.search import STRIP
from dedup_assets_tests.benchmarks.join import REACH, make_vectors, ours

_SMALL = 16_000
_PLENTY = 1e15  # multiplications; what multiplies is chosen for a join of this size
_TILES = 8
_BEST_OF = 5


def constants(views: int, dimension: int) -> dict[str, float]:
    """Seconds: `multiply` for one multiplication, `look` for one product, `row` for one picture."""
    narrow, wide = _product_seconds(64), _product_seconds(128)
    multiply = (wide - narrow) / 64
    fitted = {"multiply": multiply, "look": narrow - 64 * multiply}
    vectors, _ = make_vectors(_SMALL, views, dimension)
    least = min(_cpu_seconds(lambda: join(vectors, REACH)) for _ in range(2))
    left = least - predicted(_SMALL, views, dimension, {**fitted, "row": 0.0})
    return {**fitted, "row": max(left, 0.0) / _SMALL}


def predicted(count: int, views: int, dimension: int, known: dict[str, float]) -> float:
    """CPU seconds of a join."""
    products = count**2 * views
    return products * (dimension * known["multiply"] + known["look"]) + count * known["row"]


def _product_seconds(dimension: int) -> float:
    """CPU seconds for one product of a strip with tiles, its share of the largest of each row included."""
    rng = np.random.default_rng(0)
    queries = rng.integers(-127, 128, (STRIP * 7, dimension)).astype(np.int8)
    tiles = rng.integers(-127, 128, (_TILES, TILE_COLUMNS, dimension)).astype(np.int8)
    multiply = multiplier(dimension, _PLENTY, "cpu")
    prepared = multiply.prepared(queries)

    def strip() -> None:
        for tile in tiles:
            multiply.peaks(prepared, multiply.prepared(tile))

    return min(_cpu_seconds(strip) for _ in range(_BEST_OF)) / (len(queries) * _TILES * TILE_COLUMNS)


def _cpu_seconds(work: Callable[[], object]) -> float:
    start = time.process_time()
    work()
    return time.process_time() - start


def _alone(count: int) -> dict[str, float]:
    """What a process of its own prints for `--run count`; each of its threads multiplies by itself."""
    command = [sys.executable, "-m", "dedup_assets_tests.benchmarks.scale", *sys.argv[1:], "--run", str(count)]
    environment = {**os.environ, "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
    output = subprocess.run(command, check=True, capture_output=True, text=True, env=environment)
    return dict(json.loads(output.stdout))


def main() -> None:
    """Fit the constants, then join each count in a process of its own; one JSON object for each."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--counts", type=int, nargs="+", default=[100_000])
    parser.add_argument("--views", type=int, default=7)
    parser.add_argument("--dimension", type=int, default=64)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--run", type=int, help="join so many in this process, 0 for the constants; print what it took")
    given = parser.parse_args()
    if given.run == 0:
        print(json.dumps(constants(given.views, given.dimension)))  # noqa: T201
    elif given.run:
        vectors, planted = make_vectors(given.run, given.views, given.dimension)
        print(json.dumps(ours(vectors, planted, given.threads, 0)))  # noqa: T201
    else:
        known = _alone(0)
        print(json.dumps({name: f"{seconds:.3g}" for name, seconds in known.items()}), flush=True)  # noqa: T201
        for count in given.counts:
            expected, took = predicted(count, given.views, given.dimension, known), _alone(count)
            facts = {"count": count, "predicted_cpu_s": expected, "took_against_predicted": took["cpu_s"] / expected}
            print(json.dumps({name: round(value, 3) for name, value in (facts | took).items()}), flush=True)  # noqa: T201


if __name__ == "__main__":
    main()
