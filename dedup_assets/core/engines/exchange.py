"""Where workers leave what they made, and how it comes to count: files under a prefix, named by a manifest.

A worker writes each result under a name of its own, so that two that did the same piece never meet. A result counts
once the manifest names it; only the run that asked for it writes that. A run that was killed is taken up by the next
one with the same work: what the manifest names is not done again.
"""

import contextlib
import hashlib
import json
import pickle
import time
import uuid
from dataclasses import asdict, dataclass
from typing import Any

from dedup_assets.core.engines.parcels import pack, unpack
from dedup_assets.core.errors import StoreError
from dedup_assets.core.sources.connection import connect, read_if_there, reason_of, retried

MANIFEST = "manifest.json"

_FORMAT = "1"  # part of the prefix: raised when files of an older release mean something else
_MANIFEST_SECONDS = 2.0
_SHARED = "it must be a place that this process and all workers share, see 'Storage' in docs/scaling.md"


@dataclass(frozen=True, slots=True)
class Parcel:
    """Results that lie in the exchange: of which piece of the work, in which file, and what that must be to count."""

    piece: str
    file: str
    size_bytes: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Several:
    """The results of several shards, delivered together."""

    results: list[Any]


@dataclass(frozen=True, slots=True)
class Prefix:
    """The place of the results of one piece of work: a folder or a URI that all machines reach. Picklable."""

    uri: str

    def deliver(self, piece: str, results: list[Any]) -> Parcel:
        """Write the results of a piece under a new name."""
        data = pack(results[0] if len(results) == 1 else Several(results))
        parcel = Parcel(piece, f"{piece}-{uuid.uuid4().hex[:8]}.parquet", len(data), hashlib.sha256(data).hexdigest())
        self._write(parcel.file, data)
        return parcel

    def collect(self, parcel: Parcel) -> list[Any]:
        """The results. Raises StoreError when the file is not what was delivered."""
        data = read_if_there(self.uri, parcel.file)
        if data is None or hashlib.sha256(data).hexdigest() != parcel.sha256:
            raise StoreError(f"'{self.uri}/{parcel.file}' is not what a worker wrote there; {_SHARED}")
        result = unpack(data)
        return result.results if isinstance(result, Several) else [result]

    def named(self) -> dict[str, Parcel]:
        """What the manifest names, by piece; nothing where there is none or its files are gone."""
        said = read_if_there(self.uri, MANIFEST)
        if said is None:
            return {}
        parcels = [Parcel(**entry) for entry in json.loads(said)["results"]]
        filesystem, root = connect(self.uri)
        filesystem.invalidate_cache()
        there = {entry["name"].rpartition("/")[2]: entry["size"] for entry in filesystem.ls(root, detail=True)}
        return {parcel.piece: parcel for parcel in parcels if there.get(parcel.file) == parcel.size_bytes}

    def name(self, parcels: list[Parcel], *, complete: bool) -> None:
        """Put a manifest of these in place of the one there is."""
        said = {"complete": complete, "results": [asdict(parcel) for parcel in parcels]}
        self._write(MANIFEST, json.dumps(said, indent=1).encode())

    def _write(self, name: str, data: bytes) -> None:
        """Whole or not at all: a bucket does that by itself, on a disk a file is renamed when it is complete."""
        filesystem, root = connect(self.uri)
        try:
            if "file" in filesystem.protocol:
                filesystem.makedirs(root, exist_ok=True)
                partial = f"{root}/.{name}.{uuid.uuid4().hex[:8]}.partial"
                filesystem.pipe_file(partial, data)
                filesystem.mv(partial, f"{root}/{name}")
            else:
                retried(lambda: filesystem.pipe_file(f"{root}/{name}", data))
        except OSError as error:
            raise StoreError(f"cannot write to '{self.uri}' ({reason_of(error)}); {_SHARED}") from error


class Ledger:
    """The manifest of one prefix as this run writes it: seldom, for it is written whole."""

    def __init__(self, prefix: Prefix) -> None:
        self.prefix = prefix
        self._parcels = prefix.named()
        self._written = time.monotonic()

    def __contains__(self, piece: str) -> bool:
        return piece in self._parcels

    def __getitem__(self, piece: str) -> Parcel:
        return self._parcels[piece]

    def add(self, parcel: Parcel) -> None:
        """Name a parcel."""
        self._parcels[parcel.piece] = parcel
        if time.monotonic() - self._written > _MANIFEST_SECONDS:
            self.write()

    def write(self, *, complete: bool = False) -> None:
        """Write the manifest now; `complete` when there is one for every piece."""
        self.prefix.name([self._parcels[piece] for piece in sorted(self._parcels)], complete=complete)
        self._written = time.monotonic()


def forget_results(exchange: str, step: str) -> None:
    """Remove all that lies in the exchange for a step: it is done, and its tables are stored.

    What cannot be removed is left; the step tries again when it next runs.
    """
    filesystem, root = connect(exchange)
    with contextlib.suppress(OSError):
        filesystem.rm(f"{root}/{step}", recursive=True)
    if "file" in filesystem.protocol:
        with contextlib.suppress(OSError):  # another step's results lie there
            filesystem.rmdir(root)


def prefix_of(exchange: str, work: object, release: str) -> Prefix:
    """The prefix for a piece of work: the same for the very same work, so that a later run finds what is there."""
    return Prefix(f"{exchange}/{type(work).__name__}-{_digest(work, release, _FORMAT)[:20]}")


def piece_name(place: int, piece: object) -> str:
    """The name of a piece: where it stands among all, and what it is."""
    return f"{place:06d}-{_digest(piece)[:12]}"


def _digest(*parts: object) -> str:
    """Changes when a part does; may change without, which costs no more than doing the work again."""
    buffers: list[pickle.PickleBuffer] = []
    digest = hashlib.sha256(pickle.dumps(parts, protocol=5, buffer_callback=buffers.append))
    for buffer in buffers:
        digest.update(buffer.raw())
    return digest.hexdigest()
