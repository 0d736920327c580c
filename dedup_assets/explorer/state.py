"""What the pages of one Explorer share: the store, its snapshot, the decisions as they stand, the run in progress."""

import contextlib
import getpass
import secrets
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from functools import partial
from pathlib import Path
from typing import Generic, TypeVar

import pandas as pd
from starlette.requests import Request

from dedup_assets.core.exploring.decision_file import DecisionFile, NewDecision
from dedup_assets.core.exploring.groups import Groups
from dedup_assets.core.exploring.resembling import Resembling
from dedup_assets.core.exploring.review import Review
from dedup_assets.core.exploring.snapshot import Snapshot
from dedup_assets.core.exploring.watch import Watch
from dedup_assets.core.exploring.whatif import WhatIf
from dedup_assets.core.scoring.leakage import LeakageReport, leakage
from dedup_assets.core.storage.store import Store
from dedup_assets.explorer.job import Job

_LONGEST_NAME = 80

Made = TypeVar("Made")


@dataclass(frozen=True, eq=False)
class Known:
    """The review as last read, and what it was read from."""

    signature: object
    applied: pd.DataFrame
    review: Review


class _Latest(Generic[Made]):
    """What was made of the latest rows. Who asks for it while it is made waits, and nobody else."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._made: tuple[object, Made] | None = None

    def of(self, rows: object, make: Callable[[], Made]) -> Made:
        """What was made of these rows, or now is."""
        with self._lock:
            if self._made is None or self._made[0] is not rows:
                self._made = rows, make()
            return self._made[1]


class Explorer:
    """One store behind one server."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.watch = Watch(store)
        self.token = secrets.token_urlsafe(24)
        self.user = _user()
        self.writing_dataset = threading.Lock()
        self.job = Job(store, "dedup_assets.explorer.apply", "run")
        self.foreseen = Job(store, "dedup_assets.explorer.foresee", "plan")
        self._lock = threading.Lock()
        self._known: Known | None = None
        self._whatif: _Latest[WhatIf] = _Latest()
        self._resembling: _Latest[Resembling] = _Latest()
        self._leakage: _Latest[LeakageReport] = _Latest()

    def snapshot(self) -> Snapshot:
        """The store as it is now."""
        return self.watch.snapshot()

    def review(self, snapshot: Snapshot) -> Review:
        """The near-duplicate groups with the decisions file as it is now."""
        path = snapshot.project.decisions_file
        signature = _signature(path)
        with self._lock:
            known = self._known
            same_groups = (
                known is not None
                and known.review.groups.gallery is snapshot.gallery
                and known.review.groups.thresholds == snapshot.thresholds
                and known.review.groups.policy == snapshot.project.keepers
            )
            if known is not None and same_groups and known.signature == signature and known.applied is snapshot.applied:
                return known.review
            groups = known.review.groups if known is not None and same_groups else Groups(snapshot)
            review = Review(groups, snapshot, path, known.review if known is not None else None)
            self._known = Known(signature, snapshot.applied, review)
            return review

    def whatif(self, snapshot: Snapshot) -> WhatIf:
        """The score rule over the images as they are now."""
        return self._whatif.of(snapshot, lambda: WhatIf(snapshot))

    def resembling(self, snapshot: Snapshot) -> Resembling:
        """The vectors of the images as they are now."""
        return self._resembling.of(snapshot.gallery, lambda: Resembling(snapshot))

    def leakage(self, snapshot: Snapshot) -> LeakageReport:
        """Which pictures two splits show, as of this snapshot."""
        return self._leakage.of(snapshot, lambda: leakage(self.store))

    @contextlib.contextmanager
    def deciding(self, snapshot: Snapshot) -> Iterator[Review]:
        """The review as it stands, which nobody else changes until the block ends, no other process either."""
        with DecisionFile(snapshot.project.decisions_file).held():
            yield self.review(snapshot)

    def record(self, snapshot: Snapshot, decisions: Sequence[NewDecision], reviewer: str) -> Review:
        """Write decisions; the review after it. Raises DecisionError, nothing written."""
        path = snapshot.project.decisions_file
        now = datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
        with self.deciding(snapshot) as review:
            DecisionFile(path).record(decisions, self.reviewer(reviewer), now, partial(review.check, path))
            return self.review(snapshot)

    def undo(self, snapshot: Snapshot, reviewer: str, about: str = "") -> tuple[str, ...]:
        """Take the reviewer's last change back, or the last one `about` an image alone; the images it was about. Raises
        DecisionError, nothing written."""
        path = snapshot.project.decisions_file
        with self.deciding(snapshot) as review:
            return DecisionFile(path).undo(self.reviewer(reviewer), about, partial(review.check, path))

    def reviewer(self, name: str) -> str:
        """The name that decisions are written under."""
        name = " ".join(name.split())[:_LONGEST_NAME]
        return name if name.isprintable() and name else self.user


def explorer_of(request: Request) -> Explorer:
    """The Explorer that serves a request."""
    found: Explorer = request.app.state.explorer
    return found


def _signature(path: Path) -> object:
    try:
        stat = path.stat()
    except FileNotFoundError:
        return None
    return stat.st_mtime_ns, stat.st_size, stat.st_ino


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container may run under an id without a name
        return "reviewer"
