"""What the dataset stands for: the listing, the decisions and the settings that runs have carried to the last step.

Kept in a small file of its own, so that whoever looks every few seconds never opens the database.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dedup_assets.core.living.configured import version_of_settings
from dedup_assets.core.steps.record import RAW_IMAGES
from dedup_assets.core.storage.store import Store

_FILE = "covered.json"


@dataclass(frozen=True, slots=True)
class State:
    """Versions of the listing of the images, of the reviewed file and of the settings; '' where none is known."""

    images: str = ""
    decisions: str = ""
    settings: str = ""


def covered(store: Store) -> State:
    """What the last runs covered. A store whose note was lost covers nothing: one run too many, never one too few."""
    said = _read(store)
    settings = version_of_settings(_settings(said))
    return State(str(said.get("images", "")), str(said.get("decisions", "")), settings)


def covered_settings(store: Store) -> dict[str, str]:
    """The settings of each step, as `configured` tells them, that the last run of that step was configured with."""
    return _settings(_read(store))


def note_scan(store: Store, run_id: str) -> None:
    """The run has scanned the images as they are noted in the store."""
    step = store.step(RAW_IMAGES)
    if step:
        _note(store, run_id, images=step.input_version)


def note_decisions(store: Store, run_id: str, version: str) -> None:
    """The run has applied this version of the reviewed file."""
    _note(store, run_id, decisions=version)


def note_dataset(store: Store, run_id: str, settings: Mapping[str, str]) -> None:
    """The run has written the dataset: what it scanned and applied before is covered now.

    `settings`: those of its steps, as `configured` tells them.
    """
    said = _read(store)
    run = said.pop("run", {})
    if run.get("id") == run_id and "decisions" in run:
        said |= {name: version for name, version in run.items() if name != "id"}
    _write(store, {**said, "settings": {**_settings(said), **settings}})


def _note(store: Store, run_id: str, **versions: str) -> None:
    said = _read(store)
    run = said.get("run", {})
    _write(store, {**said, "run": {**(run if run.get("id") == run_id else {"id": run_id}), **versions}})


def _settings(said: Mapping[str, Any]) -> dict[str, str]:
    settings = said.get("settings")
    return settings if isinstance(settings, dict) else {}


def _read(store: Store) -> dict[str, Any]:
    try:
        said = json.loads(_path(store).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return said if isinstance(said, dict) else {}


def _write(store: Store, said: dict[str, Any]) -> None:
    with store.explained():
        partial = _path(store).with_name(f"{_FILE}.new")
        partial.write_text(json.dumps(said), encoding="utf-8")
        partial.replace(_path(store))


def _path(store: Store) -> Path:
    return store.folder / _FILE
