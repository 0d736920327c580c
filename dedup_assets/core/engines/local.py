"""This process: threads, for decoding and multiplying give up the interpreter lock."""

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor

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
        with ThreadPoolExecutor(self._threads) as pool:
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
