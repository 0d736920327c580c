"""This process: threads, for decoding and multiplying give up the interpreter lock.

What takes long and has no cache of its own is kept from shard to shard, as on a cluster: a run that was killed is taken
up by the next one with the same work.
"""

import os
import sys
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager

from threadpoolctl import threadpool_limits

from dedup_assets import __version__
from dedup_assets.core.engines.base import Result, Shard
from dedup_assets.core.engines.exchange import Ledger, Parcel, Prefix, piece_name, prefix_of
from dedup_assets.core.errors import StoreError

_KEPT = ("ViewSearch", "FrameSearch")
_WORTH_KEEPING = 8  # shards; fewer are done sooner than it takes to write and find them


def worker_count(workers: int | None) -> int:
    """The threads to use: as asked, else one for each core this process may use."""
    if workers:
        return workers
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class LocalEngine:
    """See `Engine`. Holds the results of at most twice as many shards as there are threads.

    `exchange`: the folder where results of searches lie until the step is done; None to keep none.
    """

    def __init__(self, workers: int | None = None, exchange: str | None = None) -> None:
        self._threads = worker_count(workers)
        self._exchange = exchange

    def each(
        self, work: Callable[[Shard], Result], shards: Iterable[Shard], *, alone: bool = False
    ) -> Iterator[Result]:
        """See `Engine`."""
        if self._exchange is not None and type(work).__name__ in _KEPT:
            every = list(shards)
            if len(every) >= _WORTH_KEEPING:
                yield from self._kept(prefix_of(self._exchange, work, __version__), work, every)
                return
            shards = every
        yield from self._done(work, shards, alone)

    def _kept(self, prefix: Prefix, work: Callable[[Shard], Result], shards: list[Shard]) -> Iterator[Result]:
        """What the manifest names is read, the rest is done and named."""
        ledger = Ledger(prefix)
        named = [(piece_name(place, shard), shard) for place, shard in enumerate(shards)]
        left = [shard for name, shard in named if name not in ledger]
        earlier = {name: ledger[name] for name, _ in named if name in ledger}
        results = self._done(work, left)
        try:
            for name, shard in named:
                if name in earlier:
                    yield _collected(prefix, earlier[name], work, shard)
                else:
                    result = next(results)
                    ledger.add(prefix.deliver(name, [result]))
                    yield result
        finally:
            ledger.write()

    def _done(self, work: Callable[[Shard], Result], shards: Iterable[Shard], alone: bool = False) -> Iterator[Result]:
        if alone:
            with threadpool_limits(1, user_api="blas"):
                yield from map(work, shards)
            return
        if self._threads == 1:
            with _one_thread_each():
                yield from map(work, shards)
            return
        with _one_thread_each(), ThreadPoolExecutor(self._threads) as pool:
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


def _collected(prefix: Prefix, parcel: Parcel, work: Callable[[Shard], Result], shard: Shard) -> Result:
    """What was kept, or what the work gives where the file was damaged."""
    try:
        result: Result = prefix.collect(parcel)[0]
    except StoreError:
        return work(shard)
    return result


@contextmanager
def _one_thread_each() -> Iterator[None]:
    """While our own threads keep the cores busy, BLAS and torch, where it is loaded, add none to wait for."""
    torch = sys.modules.get("torch")
    with threadpool_limits(1, user_api="blas"):
        if torch is None:
            yield
            return
        threads = torch.get_num_threads()
        torch.set_num_threads(1)
        try:
            yield
        finally:
            torch.set_num_threads(threads)
