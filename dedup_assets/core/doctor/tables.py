"""The database: does it open, do its rows keep the promises, are they the rows that the steps wrote."""

from collections.abc import Iterator

import pandas as pd

from dedup_assets.core.doctor.finding import NOTE, OK, WRONG, Finding
from dedup_assets.core.errors import StoreError
from dedup_assets.core.lineage.audit import in_force
from dedup_assets.core.membership import among
from dedup_assets.core.scoring.rules import RULES, StoreRows
from dedup_assets.core.settings import Thresholds
from dedup_assets.core.steps.record import UNIQUENESS_SCORES, dataset_is_behind, thresholds_of
from dedup_assets.core.storage import schema
from dedup_assets.core.storage.migrate import is_up_to_date
from dedup_assets.core.storage.store import Store, content_version, version_of

COMPUTED_ANEW = "--repair forgets what the steps noted and runs the chain again"
STOPPED = "the last run stopped on its way, so not all tables are of one state; the next run goes on from there"


def check_format(store: Store) -> Finding:
    """Whether this release wrote the store, an older one, or a later one."""
    try:
        with store.connect() as db:
            same = is_up_to_date(db)
    except StoreError as error:
        return Finding("store format", WRONG, str(error))
    if same:
        return Finding("store format", OK, f"format {schema.STORE_VERSION}, that of this release")
    return Finding("store format", NOTE, "of an older release; the next run brings it up to date and drops nothing")


def check_tables(store: Store) -> Iterator[Finding]:
    """Each promise of the score rule, the keys of the tables, and the notes of the steps."""
    records = store.steps()
    used = thresholds_of(records)
    if used is None:
        yield Finding("rules", OK, "no scores yet, so no promise to keep")
    else:
        yield from _rules(store, used, dataset_is_behind(records))
    yield from _keys(store, dataset_is_behind(records))
    if used is not None:
        same = records[UNIQUENESS_SCORES].output_version == version_of(
            content_version(schema.SCORES, store.read(schema.SCORES))
        )
        sentence = "are those that the step wrote" if same else "are not those that the step wrote"
        yield Finding("rows of scores", OK if same else WRONG, sentence, "" if same else COMPUTED_ANEW)


def _rules(store: Store, used: Thresholds, stopped: bool) -> Iterator[Finding]:
    rows = StoreRows(store)
    for rule in RULES:
        result = rule.check(rows, used.duplicate)
        if stopped and not result.passed:
            yield Finding(rule.name, NOTE, STOPPED)
            continue
        state, remedy = (OK, "") if result.passed else (WRONG, COMPUTED_ANEW)
        yield Finding(rule.name, state, result.sentence, remedy)


def _keys(store: Store, stopped: bool) -> Iterator[Finding]:
    images, pairs, record = (store.read(table) for table in (schema.IMAGES, schema.PAIRS, schema.REMOVALS))
    known = set(images["image_id"])
    held = record[in_force(record)]
    strangers = ~(among(pairs["image_a"], known) & among(pairs["image_b"], known))
    problems = {
        "images listed twice": _twice(images["image_id"]),
        "images removed twice at once": _twice(held["image_id"]),
        "pairs out of order": pairs.loc[~(pairs["image_a"] < pairs["image_b"]), "image_a"].tolist(),
        "pairs of images that are not listed": [] if stopped else pairs.loc[strangers, "image_a"].tolist(),
    }
    said = [f"{len(ids):,} {what}, first '{ids[0]}'" for what, ids in problems.items() if ids]
    if said:
        yield Finding("keys", WRONG, "; ".join(said), COMPUTED_ANEW)
    else:
        yield Finding("keys", OK, "every image is listed once, every pair once and in order, nothing is removed twice")


def _twice(ids: "pd.Series[str]") -> list[str]:
    return ids[ids.duplicated()].tolist()
