"""The snapshot of a store, kept fresh: pages never wait for a run, nor a run for pages."""

import contextlib
import threading
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import TimeoutError as StillLoading

from dedup_assets.core.errors import StoreError
from dedup_assets.core.exploring.snapshot import Snapshot, load_snapshot
from dedup_assets.core.storage.store import Store

_PATIENCE_SECONDS = 0.15  # how long a page waits for fresh rows when it has older ones to show


class Watch:
    """Gives the snapshot of a store as it is now, or for a moment as it was, while a run holds the database."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self._loader = ThreadPoolExecutor(1, thread_name_prefix="snapshot")
        self._lock = threading.Lock()
        self._loading: Future[None] | None = None
        self._current: Snapshot | None = None
        self._signature: object = None

    def snapshot(self) -> Snapshot:
        """The snapshot; an older one when fresh rows cannot be had within a moment.

        Raises StoreError for no store, also for one that has gone away.
        """
        self.require()
        current = self._current
        if current is not None and not self.behind:
            return current
        unavailable = (StillLoading, StoreError) if current else ()
        with contextlib.suppress(*unavailable):
            self._load().result(_PATIENCE_SECONDS if current else None)
        assert self._current is not None
        return self._current

    @property
    def behind(self) -> bool:
        """Whether the store holds something else by now than the snapshot."""
        return self._signature != self._signature_now()

    def require(self) -> None:
        """Raise StoreError when the store that was shown is not there any more."""
        if self._current is not None and not self._is_there():
            raise StoreError(
                f"the store at '{self.store.folder}' is gone; bring it back, or start the Explorer again with another"
            )

    def fresh(self) -> Snapshot:
        """The snapshot with everything that was written before the call."""
        self.require()
        loading = self._loading
        if loading is not None:
            loading.exception()
        self._load().result()
        assert self._current is not None
        return self._current

    def _load(self) -> "Future[None]":
        with self._lock:
            if self._loading is None or self._loading.done():
                self._loading = self._loader.submit(self._read)
            return self._loading

    def _read(self) -> None:
        signature = self._signature_now()
        if self._current is None or signature != self._signature:
            self._current = load_snapshot(self.store, self._current)
            self._signature = signature

    def _is_there(self) -> bool:
        try:
            return self.store.exists()
        except OSError:  # a disk or share that does not answer
            return False

    def _signature_now(self) -> object:
        found = []
        for path in (self.store.database, self.store.database.with_name(self.store.database.name + ".wal")):
            try:
                stat = path.stat()
            except FileNotFoundError:
                continue
            found.append((stat.st_mtime_ns, stat.st_size, stat.st_ino))
        return found
