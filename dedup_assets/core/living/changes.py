"""When a run is due: looks at images, labels, decisions and settings again and again; answers for each change once.

A change is due when two looks in a row saw the same and no file is younger than a few seconds, so that half-copied
files settle first. What a run has covered is not due, whoever started that run. Of the settings only a change of those
configured is one: a run by hand with others stands until something changes.
"""

import json
import time
import uuid
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace
from enum import Enum
from pathlib import Path

from dedup_assets.core.errors import DedupError
from dedup_assets.core.labels.importing import input_version
from dedup_assets.core.living.covered import State
from dedup_assets.core.project import Project
from dedup_assets.core.scoring.decisions import file_version
from dedup_assets.core.sources.base import Listing
from dedup_assets.core.storage.store import version_of

SETTLE_SECONDS = 5.0
PATIENCE_SECONDS = 600.0  # where files never stop coming, a run is due after this all the same
_SHORT_LOOK_SECONDS = 1.0
_TIMES_AGAIN = 3  # that an interrupted run is asked for once more; one that ends for want of memory always would
_REST_FACTOR = 20  # a look that took 10 seconds is followed by 200 of rest: at most 5 % of one core


class Due(Enum):
    """What has to run."""

    NOTHING = "nothing"
    DECISIONS = "decisions"
    SETTINGS = "settings"
    IMAGES = "images"


@dataclass(frozen=True, slots=True)
class Sight:
    """What one look saw. `fresh`: a file changed within the last seconds. `seconds`: how long the look took.

    `listing`: the images; None where they cannot be listed, and `problem` says why.
    """

    state: State
    files: int
    fresh: bool
    seconds: float
    problem: str | None = None
    listing: Listing | None = None


@dataclass(frozen=True, slots=True)
class Memory:
    """What is kept from look to look: two short hashes and a few numbers, whatever the number of files.

    `asked`: the state that a run was last asked for, when the dataset stood for `stood`; `count` such runs so far.
    `due`: what that run was to do; `again`: how often it was asked for once more.
    `settings`: those configured when it was last answered what to do about them.
    """

    watch_id: str = field(default_factory=lambda: uuid.uuid4().hex[:8])
    seen: State | None = None
    looked_at: float = 0.0
    seconds: float = 0.0
    changed_at: float = 0.0
    asked: State | None = None
    stood: State | None = None
    count: int = 0
    due: str = ""
    again: int = 0
    settings: str = ""

    @classmethod
    def of(cls, text: str | None) -> "Memory":
        """From `text`, or new where there is none that can be read."""
        try:
            said = json.loads(text or "")
            for name in ("seen", "asked", "stood"):
                said[name] = State(**said[name]) if said[name] else None
            return cls(**said)
        except (ValueError, TypeError, KeyError):
            return cls()

    @property
    def text(self) -> str:
        """As `of` reads it."""
        return json.dumps(asdict(self))

    def rests(self, now: float) -> bool:
        """Whether it is too early to look again, after a look at a large folder that found nothing."""
        calm = not self.changed_at and self.seconds > _SHORT_LOOK_SECONDS
        return calm and 0 <= now - self.looked_at < _REST_FACTOR * self.seconds

    @property
    def key(self) -> str:
        """Names the run last asked for; never the same for two changes."""
        state = self.asked or State()
        return f"{self.watch_id}-{self.count}-{state.images}-{state.decisions}"


def look(project: Project, now: Callable[[], float] = time.time, settings: str = "") -> Sight:
    """The images and their label files, by their stats, and the decisions, by their content.

    `settings`: the version of those configured, which is handed on.

    What cannot be listed is a state of its own: one run is due that fails and says why, none when it is back.
    """
    started = now()
    files, fresh, problem, listing = 0, False, None, None
    try:
        listing = project.images.listing()
        files, images = len(listing.files), input_version(project, listing)
        fresh = any(_is_fresh(file.modified_ns / 1e9, started) for file in listing.files)
    except DedupError as error:
        images, problem = version_of(str(error)), str(error)
    try:
        decisions = file_version(project.decisions_file)
        fresh = fresh or _is_fresh(_modified(project.decisions_file), started)
    except DedupError as error:
        decisions = version_of(str(error))
    return Sight(State(images, decisions, settings), files, fresh, now() - started, problem, listing)


def judge(
    memory: Memory,
    sight: Sight,
    stands: State,
    now: float,
    busy: Callable[[], str | None],
    interrupted: Callable[[str], bool],
) -> tuple[Memory, Due, str]:
    """What to remember, what is due, and a sentence that says why.

    `stands`: what the dataset stands for. `busy()`: a sentence while a run goes on that may cover the change.
    `interrupted(key)`: whether the run asked for by that key failed for no reason of its own.
    """
    unsettled = sight.fresh or sight.state != memory.seen
    memory = replace(memory, seen=sight.state, looked_at=now, seconds=sight.seconds)
    settled = replace(memory, changed_at=0.0, settings=sight.state.settings)
    if sight.state == memory.asked and stands == memory.stood:
        wait = busy()
        if wait or not memory.due or memory.again == _TIMES_AGAIN or not interrupted(memory.key):
            failed = "the run for this change did not get to its end; the next change starts another"
            return settled, Due.NOTHING, wait or failed
        memory = replace(settled, count=memory.count + 1, again=memory.again + 1)
        return memory, Due(memory.due), "the run for this change was interrupted; starting it once more"
    state = _but_settings_as_before(sight.state, stands, memory)
    if state == stands:
        return (
            settled,
            Due.NOTHING,
            f"nothing new: the dataset stands for these {sight.files:,} files and the decisions",
        )
    if not sight.files and not sight.problem and not stands.images:
        return settled, Due.NOTHING, "there are no images yet"
    memory = replace(memory, changed_at=memory.changed_at or now)
    if unsettled and now - memory.changed_at < PATIENCE_SECONDS:
        return (
            memory,
            Due.NOTHING,
            f"a change among {sight.files:,} files, in the decisions or the settings; letting it settle",
        )
    wait = busy()
    if wait:
        return memory, Due.NOTHING, wait
    if state.images != stands.images:
        due, why = Due.IMAGES, sight.problem or f"the images or their labels changed: {sight.files:,} files now"
    elif state.settings != stands.settings:
        due, why = Due.SETTINGS, "the settings changed"
    else:
        due, why = Due.DECISIONS, "the decisions changed"
    asked = replace(settled, asked=sight.state, stood=stands, count=memory.count + 1, due=due.value, again=0)
    return asked, due, why


def _but_settings_as_before(state: State, stands: State, memory: Memory) -> State:
    """`state`, where the settings are as when they were last answered with those that the dataset stands for."""
    answered = memory.settings or stands.settings
    return replace(state, settings=stands.settings) if state.settings == answered or not answered else state


def _is_fresh(modified: float, now: float) -> bool:
    return abs(now - modified) < SETTLE_SECONDS  # a time well in the future is a wrong clock, not a new file


def _modified(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except OSError:
        return 0.0
