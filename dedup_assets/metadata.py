"""What the Dagster UI shows of a materialisation: pictures side by side, the histogram, table schemas."""

import base64
import shlex
from collections.abc import Sequence

import dagster as dg

from dedup_assets.core.errors import DedupError
from dedup_assets.core.exploring.thumbnails import thumbnail
from dedup_assets.core.lineage.grounds import why_gone
from dedup_assets.core.lineage.versions import Moved, difference, version_called
from dedup_assets.core.project import Project
from dedup_assets.core.report import Bar, ShownPair, file_hashes, histogram
from dedup_assets.core.scoring.drift import ALL, Arrival
from dedup_assets.core.settings import EXPLORER_PORT
from dedup_assets.core.storage.schema import REMOVALS, Table
from dedup_assets.core.storage.store import Store

SHOWN_PAIRS = 8  # pictures lie in the event log, so few and small
_SHOWN_REMOVALS = 50
_SHOWN_MOVED = 10
DIFFERENCES = ("added", "removed", "restored", "vanished", "changed")
_SIDE = 112
_BAR_WIDTH = 20  # in letters: the page cuts off what is wider
_SHOWN_FOLDERS = 30  # those with most new images; all of them are in the table arrivals
_TYPES = {"VARCHAR": "string", "BIGINT": "int", "INTEGER": "int", "DOUBLE": "float", "TIMESTAMP": "timestamp"}


def table_metadata(store: Store, table: Table, rows: int) -> dict[str, dg.MetadataValue]:
    """The standard entries for a table: its columns, its row count, where it is."""
    columns = [
        dg.TableColumn(column.name, _TYPES.get(column.type, column.type.lower()), column.help)
        for column in table.columns
    ]
    return {
        "dagster/column_schema": dg.MetadataValue.table_schema(dg.TableSchema(columns)),
        "dagster/row_count": dg.MetadataValue.int(rows),
        "dagster/table_name": dg.MetadataValue.text(f"{store.database.stem}.main.{table.name}"),
        "dagster/uri": dg.MetadataValue.text(str(store.database)),
    }


def arrivals_metadata(arrivals: Sequence[Arrival]) -> dict[str, float]:
    """Numbers that Dagster plots from run to run: new images, and the share of duplicates among them by top folder.

    A folder without new images has no share, so no point in the plot.
    """
    together = next((entry for entry in arrivals if entry.folder == ALL), Arrival(ALL, 0, 0))
    numbers: dict[str, float] = {"new_images": together.images, "new_duplicates": together.duplicates}
    if together.images:
        numbers["new_duplicate_share"] = round(together.share, 6)
    folders = sorted((entry for entry in arrivals if entry.folder != ALL), key=lambda entry: -entry.images)
    shown = folders[:_SHOWN_FOLDERS]
    return numbers | {f"new_duplicate_share/{entry.folder}": round(entry.share, 6) for entry in shown}


def histogram_markdown(store: Store, table: Table) -> dg.MarkdownMetadataValue:
    """The histogram of uniqueness as a table of bars; the first row is what the Duplicates shortcut selects."""
    bars = histogram(store.read(table, columns=("uniqueness",)))
    most = max(bar.images for bar in bars)
    lines = ["| uniqueness | images | |", "|:--|--:|:--|"]
    lines += [f"| {_range(bar)} | {bar.images:,} | {_drawn(bar.images, most)} |" for bar in bars]
    return dg.MetadataValue.md("\n".join(lines))


def pairs_markdown(project: Project, pairs: Sequence[ShownPair], titles: tuple[str, str]) -> dg.MarkdownMetadataValue:
    """Pairs of pictures side by side, as inline JPEG thumbnails, with what is known about them."""
    if not pairs:
        return dg.MetadataValue.md("none")
    hash_of = file_hashes(project.store, (image for pair in pairs for image in (pair.first, pair.second)))
    lines = [f"| {titles[0]} | {titles[1]} | distance |", "|:--|:--|:--|"]
    for pair in pairs:
        cells = [
            f"{_picture(project, image, hash_of.get(image))} `{cell(image)}`" for image in (pair.first, pair.second)
        ]
        agreement = "" if pair.agreement is None else f", {pair.agreement:.0%} agree"
        note = f", {pair.note}" if pair.note else ""
        lines.append(f"| {cells[0]} | {cells[1]} | {pair.distance:.6g}{agreement}{note} |")
    return dg.MetadataValue.md("\n".join(lines))


def removals_markdown(store: Store, run_id: str) -> dg.MarkdownMetadataValue:
    """What a run removed, each image with the ground; the first of them, the rest is in the table `removals`."""
    rows = store.read(REMOVALS, "run_id = ?", (run_id,))
    if rows.empty:
        return dg.MetadataValue.md("none")
    lines = ["| removed | ground |", "|:--|:--|"]
    for row in rows.head(_SHOWN_REMOVALS).to_dict("records"):
        keeper = row["keeper_id"] if isinstance(row["keeper_id"], str) else None
        ground = why_gone(str(row["reason"]), keeper, float(row["distance"] or 0), str(row["decided_by"]))
        lines.append(f"| `{cell(str(row['image_id']))}` | {cell(ground)} |")
    if len(rows) > _SHOWN_REMOVALS:
        lines.append(f"\nand {len(rows) - _SHOWN_REMOVALS:,} more in the table `removals`, by this run's id")
    return dg.MetadataValue.md("\n".join(lines))


def difference_metadata(store: Store, before: str | None, after: str) -> dict[str, int | dg.MetadataValue]:
    """What differs between two dataset versions: numbers that Dagster plots, and the first images with the reasons.

    Nothing for a first version; no list where the two are the same.
    """
    if before is None:
        return {}
    entries: dict[str, int | dg.MetadataValue] = {"version_before": dg.MetadataValue.text(before)}
    if before == after:
        return entries | {f"images_{kind}": 0 for kind in DIFFERENCES}
    try:
        found = difference(store, version_called(store, before), version_called(store, after))
    except DedupError as error:  # the version before was moved away by hand; the new one is written all the same
        return entries | {"difference": dg.MetadataValue.text(f"cannot be told: {error}")}
    moved: dict[str, Sequence[Moved]] = {kind: getattr(found, kind) for kind in DIFFERENCES}
    lines = ["| image | | why |", "|:--|:--|:--|"]
    for kind, some in moved.items():
        lines += [f"| `{cell(one.image_id)}` | {kind} | {cell(one.why)} |" for one in some[:_SHOWN_MOVED]]
        if len(some) > _SHOWN_MOVED:
            lines.append(f"| and {len(some) - _SHOWN_MOVED:,} more | {kind} | |")
    more = f"\n`dedup-assets diff {before} {after} --all --store {shlex.quote(str(store.folder))}` names all of them"
    table = dg.MetadataValue.md("\n".join([*lines, more]))
    return entries | {f"images_{kind}": len(some) for kind, some in moved.items()} | {"difference": table}


def counts_markdown(counts: dict[str, int]) -> dg.MarkdownMetadataValue:
    """Names and numbers as a small table."""
    if not counts:
        return dg.MetadataValue.md("none")
    return dg.MetadataValue.md(
        "\n".join(["| | |", "|:--|--:|", *(f"| {name} | {n:,} |" for name, n in counts.items())])
    )


def explorer_links(store: Store, page: str) -> dict[str, dg.MetadataValue]:
    """A link to a page of the Explorer, and the command that starts it where it does not run yet."""
    return {
        "explorer": dg.MetadataValue.url(f"http://127.0.0.1:{EXPLORER_PORT}/{page}"),
        "explorer_starts_with": dg.MetadataValue.text(f"dedup-assets explore --store {shlex.quote(str(store.folder))}"),
    }


def _range(bar: Bar) -> str:
    return f"{bar.low:g} – {bar.high:g}"


def _drawn(images: int, most: int) -> str:
    return "█" * max(round(images / most * _BAR_WIDTH), 1) if images else ""


def _picture(project: Project, image_id: str, file_hash: str | None) -> str:
    try:
        data = thumbnail(project.store, project.images.file(image_id), file_hash or "", _SIDE) if file_hash else b""
    except Exception:  # a picture that cannot be shown must not fail the asset that was computed
        data = b""
    return f"![]({_data_uri(data)})" if data else "(cannot be shown)"


def _data_uri(data: bytes) -> str:
    return "data:image/jpeg;base64," + base64.b64encode(data).decode()


def cell(text: str) -> str:
    """A text as it can stand in a table of Markdown."""
    return text.replace("|", "¦").replace("`", "'").replace("\n", " ")
