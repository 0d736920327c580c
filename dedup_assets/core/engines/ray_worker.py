"""What runs in the processes of a Ray cluster: the work on a piece, and the pool of actors that does it.

Everything here is imported there by name, so the workers need this package too, of the same release.
"""

import pickle
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from dedup_assets import __version__
from dedup_assets.core.engines.exchange import Parcel, Prefix
from dedup_assets.core.engines.local import LocalEngine
from dedup_assets.core.errors import DedupError, EngineError

Work = Callable[[Any], Any]
Held = list[Any]  # one reference to a work, which in a list Ray hands on as it is

_kept: dict[str, Any] = {}


@dataclass(frozen=True, slots=True)
class Failure:
    """Work that raised. `error` is ours to raise again; of others the traceback is told."""

    error: DedupError


@dataclass(frozen=True, slots=True)
class Order:
    """What a worker must know beside the work: where results go, how many threads it may use, and who asks."""

    prefix: Prefix
    threads: int = 1
    release: str = __version__


@dataclass(frozen=True, slots=True)
class Pool:
    """Actors to begin with and at most, what each asks for, and how often a lost one's piece is done again."""

    first: int
    most: int
    cpus: float
    gpus: float
    retries: int


def fulfil(held: Held, order: Order, name: str, piece: list[Any]) -> Parcel | Failure:
    """A Ray task: do the work on the shards of a piece and leave the results in the exchange.

    The process keeps the last work, and with it what that has loaded.
    """
    if _kept.get("prefix") != order.prefix:
        import ray

        _kept.clear()
        _kept.update(prefix=order.prefix, work=ray.get(held)[0])
    return deliver(_kept["work"], order, name, piece)


def deliver(work: Work, order: Order, name: str, piece: list[Any]) -> Parcel | Failure:
    """Do the work on the shards of a piece and leave the results in the exchange. Never raises what the work raises."""
    if order.release != __version__:
        return Failure(
            EngineError(
                f"the Ray workers have dedup-assets {__version__}, this process has {order.release}; install "
                "one release on all machines"
            )
        )
    try:
        return order.prefix.deliver(name, list(LocalEngine(order.threads).each(work, piece)))
    except DedupError as error:
        return Failure(error)
    except Exception as error:
        told = traceback.format_exc(limit=-3)
        return Failure(EngineError(f"{type(work).__name__} failed on a Ray worker: {error!r}\n{told}"))


class PoolActor:
    """A worker that keeps the work, and with it what the work has loaded, from one shard to the next."""

    def __init__(self, held: Held, order: Order) -> None:
        import ray

        self._work: Work = ray.get(held)[0]
        self._order = order

    def __call__(self, batch: dict[str, Any]) -> dict[str, list[bytes]]:
        """Rows of `piece`, each a pickled (name, shards), to rows of pickled outcomes."""
        outcomes = [deliver(self._work, self._order, *pickle.loads(row)) for row in batch["piece"]]
        return {"outcome": [pickle.dumps(outcome) for outcome in outcomes]}


class Conductor:
    """Runs a Ray Data pipeline inside the cluster, whichever way the caller is connected, and tells how far it is."""

    def __init__(self) -> None:
        self._outcomes: list[Parcel | Failure] = []

    def conduct(self, held: Held, order: Order, pieces: list[tuple[str, list[Any]]], pool: Pool) -> None:
        """Do all pieces in a pool of actors."""
        import logging

        import ray.data
        from ray.data import ActorPoolStrategy, DataContext

        context = DataContext.get_current()
        context.enable_progress_bars = False
        logging.getLogger("ray.data").setLevel(logging.WARNING)
        rows = [{"piece": pickle.dumps(piece, protocol=5)} for piece in pieces]
        outcomes = ray.data.from_items(rows, override_num_blocks=len(rows)).map_batches(
            PoolActor,
            fn_constructor_args=(held, order),
            batch_size=1,
            compute=ActorPoolStrategy(min_size=1, max_size=pool.most, initial_size=pool.first),
            num_cpus=pool.cpus,
            num_gpus=pool.gpus or None,
            max_task_retries=pool.retries,
        )
        for row in outcomes.iter_rows():
            self._outcomes.append(pickle.loads(row["outcome"]))

    def outcomes(self, since: int) -> list[Parcel | Failure]:
        """What has come out so far, from a place in the order of arrival on."""
        return self._outcomes[since:]
