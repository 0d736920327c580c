"""One run at a time on a store: a file lock that a run holds from its first step to its last.

The lock is the system's, so a killed holder counts as gone, on another machine that shares the disk too. A run whose
steps are processes of their own has nobody to hold the lock between two of them: it hands the store on to itself, by a
note that keeps others out for a while.
"""

import contextlib
import json
import socket
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from filelock import FileLock, Timeout

from dedup_assets.core.errors import StoreError
from dedup_assets.core.storage.process import has_ended

HANDED_ON_SECONDS = 120.0  # a step's process starts within this, or its run counts as gone
_LOCK, _NOTE = "run.lock", "run.json"
_PAUSE_SECONDS = 0.1


@dataclass(frozen=True, slots=True)
class Holder:
    """The run that has the store. `until`: end of the time it is kept for the run's next process, seconds since 1970;
    0 while the lock itself tells. `led_by`: see `Lease`."""

    run_id: str
    host: str
    until: float = 0.0
    led_by: str | None = None


def _no(*_: object) -> bool:
    return False


@dataclass(frozen=True, slots=True)
class Lease:
    """The right to write to the store in `folder`, for the run `run_id`, or for a piece of work that is no run.

    `hands_on()`: asked at the end, whether other processes of the run follow. `is_over(run_id)`: whether a run that
    handed the store on to itself is known to have ended. `led_by`: the process that starts the others of the run, as
    `process.told` tells it; None for a run that is one process.
    """

    folder: Path
    run_id: str | None = None
    hands_on: Callable[[], bool] = _no
    is_over: Callable[[str], bool] = _no
    led_by: str | None = None

    @contextlib.contextmanager
    def held(self, wait_seconds: float, on_wait: Callable[[str], None] | None = None) -> Iterator[None]:
        """Keep everybody else out until the block ends. May be nested in one thread; the outermost counts.

        Waits for another holder, after calling `on_wait` with a sentence once. Raises StoreError after `wait_seconds`.
        """
        lock = FileLock(self.folder / _LOCK, is_singleton=True)
        nested = lock.is_locked
        if nested:
            lock.acquire()
        else:
            self._wait(lock, wait_seconds, on_wait)
        try:
            if not nested:
                self._enter()
            yield
        finally:
            if not nested:
                self._leave()
            lock.release()

    def busy(self) -> bool:
        """Whether somebody else has the store now."""
        return not self._free() or self._handed_on()

    def killed(self) -> str | None:
        """The run that ended without a word while it had the store, until another takes the store.

        Where each step is a process of its own, it is the process that starts them whose end is the end of the run.
        """
        note = self._read()  # before the lock is tried: a run that ends takes its note away first
        if note is None or not self._free() or self._read() != note:
            return None
        ended = not note.until if note.led_by is None else has_ended(note.led_by)
        return note.run_id if ended else None

    def _free(self) -> bool:
        """Whether no process holds the lock."""
        if not (self.folder / _LOCK).exists():
            return True
        lock = FileLock(self.folder / _LOCK)
        try:
            lock.acquire(timeout=0)
        except Timeout:
            return False
        lock.release()
        return True

    def _wait(self, lock: FileLock, wait_seconds: float, on_wait: Callable[[str], None] | None) -> None:
        deadline = time.monotonic() + wait_seconds
        told = False
        while True:
            with contextlib.suppress(Timeout):
                lock.acquire(timeout=0)
                if not self._handed_on():
                    return
                lock.release()
            if time.monotonic() > deadline:
                raise StoreError(
                    f"the store '{self.folder}' is still in use by another run after {wait_seconds / 60:.0f} minutes; "
                    "end that run, or name another store"
                )
            note = self._read()
            ours = note is not None and note.run_id == self.run_id
            if on_wait and not told and not ours:
                told = True
                on_wait(f"{_name(note)} is using the store '{self.folder}'; waiting for it to end")
            time.sleep(_PAUSE_SECONDS)

    def _handed_on(self) -> bool:
        """Whether another run has the store though none of its processes holds the lock."""
        note = self._read()
        if note is None or note.run_id == self.run_id:
            return False
        return 0 < note.until - time.time() <= HANDED_ON_SECONDS and not self.is_over(note.run_id)

    def _enter(self) -> None:
        if self.run_id:
            self._write(0.0)
        else:  # of a run that was killed
            (self.folder / _NOTE).unlink(missing_ok=True)

    def _leave(self) -> None:
        if self.run_id and self.hands_on():
            self._write(time.time() + HANDED_ON_SECONDS)
        else:
            (self.folder / _NOTE).unlink(missing_ok=True)

    def _read(self) -> Holder | None:
        try:
            return Holder(**json.loads((self.folder / _NOTE).read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError):
            return None

    def _write(self, until: float) -> None:
        holder = Holder(str(self.run_id), socket.gethostname(), until, self.led_by)
        partial = self.folder / f"{_NOTE}.new"
        partial.write_text(json.dumps(asdict(holder)), encoding="utf-8")
        partial.replace(self.folder / _NOTE)


def _name(holder: Holder | None) -> str:
    if holder is None:
        return "another run"
    return f"another run ({holder.run_id[:8]}{'' if holder.host == socket.gethostname() else f' on {holder.host}'})"
