"""Long work in a process of its own, its progress read line by line."""

import contextlib
import json
import subprocess
import sys
import threading
from collections.abc import Sequence
from typing import Any

from dedup_assets.core.errors import DedupError
from dedup_assets.core.storage.store import Store

_LINES_KEPT = 40


class Job:
    """At most one piece of work of a `module` at a time. Its process says one JSON object a line; see `tell`."""

    def __init__(self, store: Store, module: str, name: str) -> None:
        self._store, self._module, self._name = store, module, name
        self._lock = threading.Lock()
        self._process: subprocess.Popen[str] | None = None
        self.arguments: tuple[str, ...] = ()
        self.log: list[str] = []
        self.failed: str | None = None
        self.doing, self.share = "", 0.0
        self.result: dict[str, Any] | None = None

    @property
    def running(self) -> bool:
        """Whether work that was started here has not ended."""
        return self._process is not None

    def start(self, arguments: Sequence[str] = ()) -> None:
        """Start it on the store with these arguments. Raises DedupError if it goes on already."""
        with self._lock:
            if self._process is not None:
                raise DedupError(f"a {self._name} is in progress already; wait for it to end")
            self.log, self.failed, self.doing, self.share, self.result = [], None, "starting", 0.0, None
            self.arguments = tuple(arguments)
            command = [sys.executable, "-m", self._module, str(self._store.folder), *arguments]
            self._process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
            )
            threading.Thread(target=self._follow, args=[self._process], name=self._name, daemon=True).start()

    def _follow(self, process: "subprocess.Popen[str]") -> None:
        ended = False
        for line in process.stdout or ():
            ended = self._hear(json.loads(line)) or ended
        code = process.wait()
        if not ended and self.failed is None:
            self.failed = f"the {self._name} ended with exit code {code} before it was done"
        self._process = None

    def _hear(self, said: dict[str, Any]) -> bool:
        """Take in what the process said; whether it was its last word."""
        if "failed" in said:
            self.failed = str(said["failed"])
        elif "doing" in said:
            self.doing, self.share = str(said["doing"]), float(said["share"])
        if "line" in said:
            self.log = [*self.log, str(said["line"])][-_LINES_KEPT:]
        self.result = said.get("result", self.result)
        return "done" in said


def tell(**said: object) -> None:
    """Say how it goes, in the process: `line` a sentence; `doing` what, and which `share` of 1 of it is done; at the
    end `done`, with a `result` if there is one, or `failed`."""
    with contextlib.suppress(OSError):  # whoever listened is gone; the work goes on
        sys.stdout.write(json.dumps(said) + "\n")
        sys.stdout.flush()
