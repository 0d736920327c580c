"""A Ray cluster as engine: pools of actors where images are read, tasks where vectors and pairs are compared.

Results come back through files that a manifest names (see `exchange`), so a worker may be lost at any time, and so may
this process: the next run goes on from what is named.
"""

from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import closing
from functools import cache
from itertools import chain, islice
from typing import Any, TypeVar

import numpy as np

from dedup_assets import __version__
from dedup_assets.core.engines.base import RaySettings
from dedup_assets.core.engines.exchange import Ledger, Parcel, piece_name, prefix_of
from dedup_assets.core.engines.local import LocalEngine
from dedup_assets.core.engines.ray_cluster import check_installed, connect, explained, slots
from dedup_assets.core.engines.ray_worker import Conductor, Failure, Order, Pool, fulfil
from dedup_assets.core.errors import EngineError

Shard = TypeVar("Shard")
Result = TypeVar("Result")
Work = Callable[[Any], Any]
Piece = tuple[str, list[Any]]  # shards that one worker does one after another, after their name

_POOLED = frozenset({"ReadFiles", "EmbedPictures"})  # read images, and may keep a network from piece to piece
_USES_GPU = frozenset({"EmbedPictures", "ViewSearch", "FrameSearch"})
_SHARDS_OF_PIECE = {"ReadFiles": 32, "HashPixels": 8}  # their shards are small; others are a piece each
_PIECES_WORTH_A_CLUSTER = 2
_PIECES_WORTH_A_POOL = 16  # which takes as long to open as the cluster itself
_RETRIES = 3  # of a piece whose worker was lost; after that it is the piece that is to blame
_POLL_SECONDS = 0.5


class RayEngine:
    """See `Engine`. `exchange`: a folder or URI for results on their way. `workers`: CPUs of a cluster on this machine.

    `threads`: of one worker, where it reads several images at a time. `say` is told which cluster does the work. The
    cluster is asked, or started, once there is something to do that no earlier run has done; what is a single piece is
    done in this process.
    """

    def __init__(
        self,
        exchange: str,
        settings: RaySettings | None = None,
        workers: int | None = None,
        threads: int = 1,
        say: Callable[[str], None] = lambda _: None,
    ) -> None:
        check_installed()
        self._exchange = exchange
        self._settings = settings or RaySettings()
        self._workers = workers
        self._threads = threads
        self._say = cache(say)  # every sentence once

    def each(
        self, work: Callable[[Shard], Result], shards: Iterable[Shard], *, alone: bool = False
    ) -> Iterator[Result]:
        """See `Engine`; `alone` means nothing here."""
        size = _SHARDS_OF_PIECE.get(type(work).__name__, 1)
        every = iter(shards)
        pieces = iter(lambda: list(islice(every, size)), [])
        begun = list(islice(pieces, _PIECES_WORTH_A_CLUSTER))
        if len(begun) < _PIECES_WORTH_A_CLUSTER:
            yield from LocalEngine(self._workers).each(work, chain(*begun), alone=alone)
        else:
            yield from self._elsewhere(work, chain(begun, pieces))

    def _elsewhere(self, work: Work, pieces: Iterable[list[Any]]) -> Iterator[Any]:
        """What the work gives for every shard of every piece, from the exchange."""
        order = Order(prefix_of(self._exchange, work, __version__), self._threads)
        ledger = Ledger(order.prefix)
        named = ((piece_name(place, piece), piece) for place, piece in enumerate(pieces))
        begun, way = [next(named)], self._through_tasks
        at_hand = isinstance(begun[0][1][0], np.ndarray)  # the pictures themselves: nothing to read
        if type(work).__name__ in _POOLED and not at_hand:
            begun += islice(named, _PIECES_WORTH_A_POOL - 1)
            way = self._through_pool if len(begun) >= _PIECES_WORTH_A_POOL else way
        complete = False
        try:
            for parcel in way(work, order, chain(begun, named), ledger):
                yield from order.prefix.collect(parcel)
            complete = True
        finally:
            ledger.write(complete=complete)

    def _gpus_for(self, work: Work) -> float:
        """What one worker asks for."""
        return self._settings.gpus if type(work).__name__ in _USES_GPU else 0.0

    def _through_tasks(self, work: Work, order: Order, pieces: Iterable[Piece], ledger: Ledger) -> Iterator[Parcel]:
        """A Ray task for each piece, no more of them ahead than keep the cluster busy.

        After an error those ahead are let finish: Ray ends this process when a task it is told to cancel answers.
        """
        ray: Any = None
        held: list[Any] = []
        ahead: deque[tuple[str, Any]] = deque()
        most = 1
        for name, piece in pieces:
            if name in ledger:
                ahead.append((name, None))
            else:
                if ray is None:
                    ray = connect(self._settings, self._workers, self._say)
                    gpus = self._gpus_for(work)
                    most, held = 2 * slots(ray, self._settings, gpus), [ray.put(work)]
                    task = ray.remote(fulfil).options(
                        num_cpus=self._settings.cpus, num_gpus=gpus or None, max_retries=_RETRIES
                    )
                ahead.append((name, task.remote(held, order, name, piece)))
            while len(ahead) > most:
                yield _arrived(ray, *ahead.popleft(), ledger)
        while ahead:
            yield _arrived(ray, *ahead.popleft(), ledger)

    def _through_pool(self, work: Work, order: Order, pieces: Iterable[Piece], ledger: Ledger) -> Iterator[Parcel]:
        """A Ray Data pipeline with a pool of actors, run again for what is missing when the cluster lost it."""
        every = dict(pieces)
        waiting = deque(every)
        while waiting:
            left = [(name, piece) for name, piece in every.items() if name not in ledger]
            with closing(self._pipeline(work, order, left)) as arriving:
                for parcel in arriving:
                    ledger.add(parcel)
                    while waiting and waiting[0] in ledger:
                        yield ledger[waiting.popleft()]
            while waiting and waiting[0] in ledger:
                yield ledger[waiting.popleft()]

    def _pipeline(self, work: Work, order: Order, pieces: list[Piece]) -> Generator[Parcel, None, None]:
        """What comes out, in the order of arrival. Ends before its time when the conductor is lost on the way."""
        if not pieces:
            return
        ray = connect(self._settings, self._workers, self._say)
        gpus = self._gpus_for(work)
        first = min(slots(ray, self._settings, gpus), len(pieces))
        pool = Pool(first, len(pieces), self._settings.cpus, gpus, _RETRIES)
        conductor = ray.remote(Conductor).options(num_cpus=0, max_concurrency=2).remote()
        seen, over = 0, False
        try:
            end = conductor.conduct.remote([ray.put(work)], order, pieces, pool)
            while not over:
                over = bool(ray.wait([end], timeout=_POLL_SECONDS)[0])
                for outcome in ray.get(conductor.outcomes.remote(seen)):
                    seen += 1
                    yield _checked(outcome)
            with explained(f"{len(pieces) - seen} of {len(pieces)} pieces of {type(work).__name__}"):
                ray.get(end)
        except ray.exceptions.RayActorError as error:
            if not seen:
                raise EngineError(
                    f"the Ray cluster lost the process that conducts {type(work).__name__} at once; its logs tell why"
                ) from error
        finally:
            ray.kill(conductor)


def _arrived(ray: Any, name: str, reference: Any, ledger: Ledger) -> Parcel:  # noqa: ANN401 - Ray's
    if reference is not None:
        with explained(f"piece {name}"):
            ledger.add(_checked(ray.get(reference)))
    return ledger[name]


def _checked(outcome: Parcel | Failure) -> Parcel:
    """The parcel, or raise what the work raised."""
    if isinstance(outcome, Failure):
        raise outcome.error
    return outcome
