"""The thresholds that the scores of a store were made with, and those of the run before."""

import json
from dataclasses import asdict

from dedup_assets.core.settings import Thresholds
from dedup_assets.core.steps.record import UNIQUENESS_SCORES
from dedup_assets.core.storage.store import Store

_FACT = "thresholds_before"


def thresholds_used(store: Store) -> Thresholds | None:
    """The thresholds of the scores as they are; None before the first."""
    step = store.step(UNIQUENESS_SCORES)
    return Thresholds(**json.loads(step.settings)["thresholds"]) if step else None


def thresholds_before(store: Store) -> Thresholds | None:
    """The thresholds of the run before the last one; None when there was none."""
    said = store.fact(_FACT)
    return Thresholds(**json.loads(said)) if said else None


def note_before(store: Store, before: Thresholds | None) -> None:
    """Note what was in force before the scores were made now."""
    if before:
        store.set_fact(_FACT, json.dumps(asdict(before)))
