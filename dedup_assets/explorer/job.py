"""A run of the chain in a process of its own, its progress read line by line."""

import json
import subprocess
import sys
import threading

from dedup_assets.core.errors import DedupError
from dedup_assets.core.settings import Thresholds
from dedup_assets.core.store import Store

_LINES_KEPT = 40


class Job:
    """At most one run at a time. Its process says one JSON object a line; see `dedup_assets.explorer.apply`."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._lock = threading.Lock()
        self._process: subprocess.Popen[str] | None = None
        self.log: list[str] = []
        self.failed: str | None = None
        self.doing, self.share = "", 0.0

    @property
    def running(self) -> bool:
        """Whether a run that was started here has not ended."""
        return self._process is not None

    def start(self, thresholds: Thresholds | None) -> None:
        """Start a run: of what changed decisions change, or with other thresholds. Raises DedupError if one runs."""
        with self._lock:
            if self._process is not None:
                raise DedupError("a run is in progress already; wait for it to end")
            self.log, self.failed, self.doing, self.share = [], None, "starting", 0.0
            command = [sys.executable, "-m", "dedup_assets.explorer.apply", str(self._store.folder)]
            if thresholds is not None:
                command += [repr(thresholds.duplicate), repr(thresholds.near_duplicate)]
            self._process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
            )
            threading.Thread(target=self._follow, args=[self._process], name="run", daemon=True).start()

    def _follow(self, process: "subprocess.Popen[str]") -> None:
        ended = False
        for line in process.stdout or ():
            ended = self._hear(json.loads(line)) or ended
        code = process.wait()
        if not ended and self.failed is None:
            self.failed = f"the run ended with exit code {code} before it was done"
        self._process = None

    def _hear(self, said: dict[str, object]) -> bool:
        """Take in what the process said; whether it was its last word."""
        if "failed" in said:
            self.failed = str(said["failed"])
        elif "doing" in said:
            self.doing, self.share = str(said["doing"]), float(str(said["share"]))
        if "line" in said:
            self.log = [*self.log, str(said["line"])][-_LINES_KEPT:]
        return "done" in said
