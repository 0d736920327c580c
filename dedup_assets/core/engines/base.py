"""What an engine is: it does the same piece of work for many shards, and gives the results in order."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Protocol, TypeVar

from dedup_assets.core.errors import SettingsError

LOCAL, RAY = "local", "ray"
ENGINES = (LOCAL, RAY)

Shard = TypeVar("Shard")
Result = TypeVar("Result")


class Engine(Protocol):
    """Does work that grows with images or pairs. Whatever the engine, the results are the same to the last bit.

    Work is an object that is called with a shard: `ReadFiles`, `HashPixels`, `EmbedPictures`, `ViewSearch`,
    `FrameSearch`, `SiftPairs`, `Comparer`. It and its shards are picklable. It holds what all shards share, vectors for
    instance, so an engine of many processes sends it once. It writes nothing, and may be asked again for a shard whose
    worker was lost. A shard says by hash, or by size and time, which version of a file it is about: a result may be
    kept for it.
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
        raise SettingsError(f"there is no engine '{name}'; there are {', '.join(ENGINES)}")
    return name


@dataclass(frozen=True, slots=True)
class RaySettings:
    """`address`: of a cluster; None for $RAY_ADDRESS, else one on this machine. `cpus`, `gpus`: of one worker.

    `storage`: a folder or URI for results on their way, that all machines reach; None for the store's own folder.
    """

    address: str | None = None
    cpus: float = 1.0
    gpus: float = 0.0
    storage: str | None = None

    def __post_init__(self) -> None:
        if not self.cpus > 0:
            raise SettingsError(f"ray_cpus is {self.cpus:g}; a worker asks for more than 0 CPUs (the default is 1)")
        if not self.gpus >= 0:
            raise SettingsError(f"ray_gpus is {self.gpus:g}; it must be 0 or more (the default is 0)")
