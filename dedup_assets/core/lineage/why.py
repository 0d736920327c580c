"""The answer to "why is this picture gone?" - or still here - in plain words."""

import difflib
from collections.abc import Hashable
from dataclasses import dataclass, replace
from typing import Any

import pandas as pd

from dedup_assets.core.errors import DedupError
from dedup_assets.core.lineage.audit import in_force
from dedup_assets.core.lineage.grounds import decisions_about
from dedup_assets.core.lineage.in_dataset import last_held, unlike_the_dataset
from dedup_assets.core.lineage.keeper_now import loss_of_keeper
from dedup_assets.core.lineage.run_links import run_in_words
from dedup_assets.core.membership import among
from dedup_assets.core.project import remembered
from dedup_assets.core.scoring.collection import BY_RULE, DISCARDED, DUPLICATE, IDENTICAL
from dedup_assets.core.scoring.uniqueness import DUPLICATE_LABEL, NEAR_DUPLICATE_LABEL
from dedup_assets.core.storage import schema
from dedup_assets.core.storage.store import Store

KEPT, REMOVED, UNREADABLE, VANISHED = "kept", "removed", "unreadable", "vanished"
_NAMED = 5


@dataclass(frozen=True, slots=True)
class Removed:
    """One removal that ever took effect, from the audit record. `ended` tells how it stopped being in force."""

    image_id: str
    keeper_id: str | None
    reason: str
    distance: float | None
    duplicate_threshold: float
    near_duplicate_threshold: float
    embedder: str
    decided_by: str
    decided_at: str
    note: str | None
    run_id: str
    removed_at: str
    keeper_reason: str | None
    dataset_version: str | None
    ended: str | None


@dataclass(frozen=True, slots=True)
class Explanation:
    """`fate` is KEPT, REMOVED, UNREADABLE or VANISHED; `sentences` say it in words; the rest is for scripts.

    `chain`: the removals from this image to the survivor, its own first. `survivor`: the image that stays for it,
    itself if it stays, None if the picture was discarded, cannot be read or is lost. `history`: earlier removals,
    oldest first.
    """

    image_id: str
    fate: str
    sentences: tuple[str, ...]
    survivor: str | None = None
    uniqueness: float | None = None
    label: str | None = None
    nearest_id: str | None = None
    chain: tuple[Removed, ...] = ()
    history: tuple[Removed, ...] = ()

    def __str__(self) -> str:
        return "\n".join(self.sentences)


def explain(store: Store, image: str) -> Explanation:
    """Why `image` (its image_id, or a path to it) is where it is. Raises DedupError for one the store never saw."""
    images, removals = store.read(schema.IMAGES), store.read(schema.REMOVALS)
    image_id = identify(store, image, images, removals)
    told = _explain(store, image_id, images, removals)
    shown = images.loc[images["image_id"] == image_id, "file_hash"].iloc[0] if told.fate == KEPT else None
    unlike = unlike_the_dataset(store, image_id, shown)
    return replace(told, sentences=(*told.sentences, unlike)) if unlike else told


def _explain(store: Store, image_id: str, images: pd.DataFrame, removals: pd.DataFrame) -> Explanation:
    rows = images[images["image_id"] == image_id]
    history = tuple(_removed(row) for row in removals[removals["image_id"] == image_id].to_dict("records"))
    if rows.empty:
        return _explain_vanished(store, image_id, removals[in_force(removals)], history, images)
    if rows["status"].iloc[0] != "ok":
        status, error = rows["status"].iloc[0], rows["error"].iloc[0]
        sentence = f"{image_id} cannot be used ({status}: {error}). It is listed, never compared and never removed."
        return Explanation(image_id, UNREADABLE, (sentence,), history=history)
    holding = removals[in_force(removals)]
    holding = holding[among(holding["image_id"], images["image_id"])]
    by_image = {row["image_id"]: _removed(row) for row in holding.to_dict("records")}
    past = tuple(entry for entry in history if entry.ended)
    if image_id in by_image:
        return _explain_removed(image_id, by_image, past)
    return _explain_kept(store, image_id, str(rows["file_hash"].iloc[0]), by_image, past)


def _explain_vanished(
    store: Store, image_id: str, held: pd.DataFrame, history: tuple[Removed, ...], images: pd.DataFrame
) -> Explanation:
    """What became of it, and of the images that stayed for it, each in turn, as long as they show the same picture.

    `held`: the removals in force, those of images that left the folder too.
    """
    chain: list[Removed] = []
    step: str | None = image_id
    loss = None
    while step is not None and loss is None and len(chain) < len(held):
        row = next(iter(held[held["image_id"] == step].to_dict("records")), None)
        if row is None:
            break
        chain.append(_removed(row))
        step = chain[-1].keeper_id
        loss = None if step is None else loss_of_keeper(store, row, images, held)
    survivor = step if chain and loss is None else None
    lines = [f"{image_id} is no longer in the image folder."]
    lines += [_told(entry) for entry in (history if not chain else (*history[:-1], *chain))]
    lines += [loss] if loss else [f"{survivor} stays."] if survivor else []
    lines += [] if chain else _was_kept(store, image_id, images)
    return Explanation(image_id, VANISHED, tuple(lines), survivor=survivor, chain=tuple(chain), history=history)


def _was_kept(store: Store, image_id: str, images: pd.DataFrame) -> list[str]:
    """The newest dataset that holds an image which left the folder, and where the same file is now."""
    held = last_held(store, image_id)
    if held is None:
        return []
    label, file_hash = held
    now = sorted(images.loc[images["file_hash"] == file_hash, "image_id"])
    lines = [f"It was kept: {label} is the newest dataset that holds it."]
    return [*lines, f"The same file is at {now[0]} now."] if now else lines


def _chain(image_id: str, by_image: dict[str, Removed]) -> tuple[Removed, ...]:
    """The removals from this image on to the one that stays."""
    chain: list[Removed] = []
    step: str | None = image_id
    while step is not None and step in by_image and len(chain) < len(by_image):
        chain.append(by_image[step])
        step = by_image[step].keeper_id
    return tuple(chain)


def _explain_removed(image_id: str, by_image: dict[str, Removed], past: tuple[Removed, ...]) -> Explanation:
    chain = _chain(image_id, by_image)
    step = chain[-1].keeper_id
    lines = [_told(entry) for entry in chain]
    lines.append(f"{step} stays." if step else "No copy stays: a person chose to let the picture go.")
    lines += [_told(entry) for entry in past]
    return Explanation(image_id, REMOVED, tuple(lines), survivor=step, uniqueness=0.0, chain=chain, history=past)


def _explain_kept(
    store: Store, image_id: str, file_hash: str, by_image: dict[str, Removed], past: tuple[Removed, ...]
) -> Explanation:
    scores = store.read(schema.SCORES, "image_id = ?", (image_id,))
    if scores.empty:
        return Explanation(image_id, KEPT, (f"{image_id} is kept; it has not been scored yet.",), survivor=image_id)
    score = scores.iloc[0]
    nearest = None if pd.isna(score["nearest_id"]) else str(score["nearest_id"])
    label = None if pd.isna(score["label"]) else str(score["label"])
    lines = [f"{image_id} is kept."]
    if nearest:
        lines.append(
            f"Its uniqueness is {score['uniqueness']:.4g}: the distance to {nearest}, the nearest other image."
        )
    else:
        lines.append("Its uniqueness is 1: there is no other image to compare it with.")
    decided = [words for _, words in decisions_about(image_id, {file_hash}, store.read(schema.DECISIONS))]
    if label == DUPLICATE_LABEL:
        because = "" if decided else ", which its split or folder, or a decision about another image, does not allow"
        lines.append(f"By the score rule it would be removed as a duplicate of {score['keeper_id']}{because}.")
    if label == NEAR_DUPLICATE_LABEL and not decided:
        lines.append(
            f"It is a near duplicate: a person may decide to remove it in favour of {nearest}, or the reverse."
        )
    lines += [f"{words[0].upper()}{words[1:]}." for words in decided]
    for_it = sorted(entry.image_id for entry in by_image.values() if entry.keeper_id == image_id)
    if for_it:
        named = ", ".join(for_it[:_NAMED]) + (", ..." if len(for_it) > _NAMED else "")
        lines.append(f"It stays for {len(for_it):,} removed image{'s' if len(for_it) > 1 else ''}: {named}.")
    lines += [_told(entry) for entry in past]
    return Explanation(image_id, KEPT, tuple(lines), image_id, float(score["uniqueness"]), label, nearest, history=past)


def _told(entry: Removed) -> str:
    """One removal as a sentence or two."""
    was = "was removed" if not entry.ended else "had been removed"
    near = "" if entry.distance is None else f" (distance {entry.distance:.4g})"
    if entry.reason == IDENTICAL:
        ground = f"it shows exactly the pixels of {entry.keeper_id}"
    elif entry.reason == DUPLICATE:
        ground = f"it is a duplicate of {entry.keeper_id}{near}, within the threshold {entry.duplicate_threshold:g}"
    elif entry.reason == DISCARDED:
        ground = f"{entry.decided_by} chose to discard it"
    else:
        ground = f"{entry.decided_by} decided that it duplicates {entry.keeper_id}{near}"
    why_that = f" {entry.keeper_id} stays rather than it: {entry.keeper_reason}." if entry.keeper_reason else ""
    note = f' Note: "{entry.note}".' if entry.note else ""
    out_of = f"; first left out of {entry.dataset_version}" if entry.dataset_version else ""
    when = f" {run_in_words(entry.run_id)}, {entry.removed_at}; embedder {entry.embedder}{out_of}."
    by = "" if entry.decided_by == BY_RULE else f" Decided {entry.decided_at}."
    end = f" {entry.ended}." if entry.ended else ""
    return f"{entry.image_id} {was}: {ground}.{why_that}{note}{by}{when}{end}"


def _removed(row: dict[Hashable, Any]) -> Removed:
    ended = None
    if not pd.isna(row["restored_at"]):
        ended = f"Restored {_when(row['restored_at'])}"
    elif not pd.isna(row["superseded_at"]):
        ended = f"Replaced by another ground {_when(row['superseded_at'])}"
    values: dict[str, Any] = {
        name: None if pd.isna(row[name]) else row[name] for name in Removed.__dataclass_fields__ if name in row
    }
    times = {name: _when(row[name]) for name in ("decided_at", "removed_at")}
    return Removed(**(values | times | {"ended": ended}))


def _when(time: object) -> str:
    return f"{pd.Timestamp(str(time)):%Y-%m-%d %H:%M} UTC"


def identify(store: Store, image: str, images: pd.DataFrame, removals: pd.DataFrame) -> str:
    """The image_id that a person means by an id, a path or a URI. Raises DedupError for one the store never saw."""
    known = {*images["image_id"], *removals["image_id"], *removals["keeper_id"].dropna()}
    root = remembered(store).images
    candidates = [image, image.removeprefix("./")]
    named = root.identify(image)
    if named is not None:
        candidates.append(named)
    for candidate in candidates:
        if candidate in known or last_held(store, candidate):
            return candidate
    close = difflib.get_close_matches(image, [*known], n=3) if len(known) < 100_000 else []
    ends = sorted(name for name in known if name.endswith("/" + image))[:3]
    hint = (
        f"; did you mean {' or '.join(repr(name) for name in dict.fromkeys([*ends, *close]))}?" if ends or close else ""
    )
    raise DedupError(f"the store '{store.folder}' knows no image '{image}' under '{root}'{hint}")
