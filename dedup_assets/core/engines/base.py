"""What an engine is: it does the same piece of work for many shards, and gives the results in order."""

from collections.abc import Callable, Iterable, Iterator
from typing import Protocol, TypeVar

from dedup_assets.core.errors import SettingsError

LOCAL = "local"
ENGINES = (LOCAL,)

Shard = TypeVar("Shard")
Result = TypeVar("Result")


class Engine(Protocol):
    """Does work that grows with images or pairs. Whatever the engine, the results are the same to the last bit.

    Work is an object that is called with a shard: `ReadFiles`, `HashPixels`, `EmbedPictures`, `PairSearch`,
    `NearestSearch`, `Comparer`. It and its shards are picklable. It holds what all shards share, vectors for instance,
    so an engine of many processes sends it once. It writes nothing, and may be asked again for a shard whose worker was
    lost.
    """

    def each(
        self, work: Callable[[Shard], Result], shards: Iterable[Shard], *, alone: bool = False
    ) -> Iterator[Result]:
        """The result for every shard in the order of `shards`, which are drawn as they are needed.

        `alone`: one shard keeps all cores busy by itself.
        """


def check_engine(name: str) -> str:
    """`name`, or SettingsError naming what there is."""
    if name not in ENGINES:
        raise SettingsError(f"there is no engine '{name}'; there is {', '.join(ENGINES)}")
    return name


def load_engine(name: str, workers: int | None) -> Engine:
    """The engine of that name; `workers` threads where it is this process, all cores when None."""
    check_engine(name)
    from dedup_assets.core.engines.local import LocalEngine

    return LocalEngine(workers)
