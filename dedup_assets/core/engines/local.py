"""This process: threads, for decoding and multiplying give up the interpreter lock."""

import os
import sys
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager

from dedup_assets.core.engines.base import Result, Shard


def worker_count(workers: int | None) -> int:
    """The threads to use: as asked, else one for each core this process may use."""
    if workers:
        return workers
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class LocalEngine:
    """See `Engine`. Holds the results of at most twice as many shards as there are threads."""

    def __init__(self, workers: int | None = None) -> None:
        self._threads = worker_count(workers)

    def each(
        self, work: Callable[[Shard], Result], shards: Iterable[Shard], *, alone: bool = False
    ) -> Iterator[Result]:
        """See `Engine`."""
        if self._threads == 1 or alone:
            yield from map(work, shards)
            return
        with _torch_on_one_thread(), ThreadPoolExecutor(self._threads) as pool:
            waiting: deque[Future[Result]] = deque()
            try:
                for shard in shards:
                    waiting.append(pool.submit(work, shard))
                    if len(waiting) >= 2 * self._threads:
                        yield waiting.popleft().result()
                while waiting:
                    yield waiting.popleft().result()
            finally:
                for left in waiting:
                    left.cancel()


@contextmanager
def _torch_on_one_thread() -> Iterator[None]:
    """While our own threads keep the cores busy, torch, where it is loaded, adds none: they would wait for each other."""
    torch = sys.modules.get("torch")
    if torch is None:
        yield
        return
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)
