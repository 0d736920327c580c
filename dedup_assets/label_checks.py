"""The asset checks about labels and splits."""

from collections.abc import Callable

import dagster as dg
import pandas as pd

from dedup_assets.assets import readable_failures
from dedup_assets.core.labels.conflicts import CURE, differences, told
from dedup_assets.core.project import Project
from dedup_assets.core.scoring.leakage import leak_rows, leakage
from dedup_assets.core.storage import schema
from dedup_assets.metadata import cell

_SHOWN = 20
_LEFT = ["image_a", "image_b", "split_a", "split_b", "distance"]
_COLUMNS = ["image_id", "keeper_id", "difference", "outcome"]
_ERROR, _WARN = dg.AssetCheckSeverity.ERROR, dg.AssetCheckSeverity.WARN


def build_label_checks(
    project: Project, key: Callable[[str], dg.AssetKey], pool: str | None
) -> list[dg.AssetChecksDefinition]:
    """`labels_of_duplicates_agree` and `no_picture_in_two_splits`; either blocks where the project says so."""
    store = project.store
    stops = project.labels == "conflict"
    blocks = project.leakage == "block"

    @dg.asset_check(
        asset=key("duplicates"),
        pool=pool,
        blocking=stops,
        description="The labels of removed copies say the same as those of the image that stays.",
    )
    def labels_of_duplicates_agree() -> dg.AssetCheckResult:
        found = differences(store.read(schema.LABEL_CONFLICTS))
        counts = ", ".join(f"{count:,} {word}" for word, count in found["difference"].value_counts().items())
        cure = f"; {CURE}" if stops else ""
        return dg.AssetCheckResult(
            passed=found.empty,
            severity=_ERROR if stops else _WARN,
            description=f"{told(found)} ({counts}){cure}" if len(found) else "the labels of duplicates agree",
            metadata={"differences": _table(found[_COLUMNS])} if len(found) else {},
        )

    @dg.asset_check(
        asset=key("duplicates"),
        pool=pool,
        blocking=blocks,
        description="No picture of the dataset is in two splits, exactly or nearly.",
    )
    def no_picture_in_two_splits() -> dg.AssetCheckResult:
        with readable_failures():
            report = leakage(store)
        left = leak_rows(report).query("left")
        cure = ", or set leakage to 'warn'" if blocks else ""
        across = "\n".join(
            f"| {cell(pair.split_a)} / {cell(pair.split_b)} | {pair.exact:,} | {pair.near:,} | {pair.left:,} |"
            for pair in (*report.across, *report.within)
        )
        table = f"| splits | exact | near | left |\n|:--|--:|--:|--:|\n{across}"
        return dg.AssetCheckResult(
            passed=report.left == 0,
            severity=_ERROR if blocks else _WARN,
            description=f"{report.problem}{cure}" if report.problem else report.sentence,
            metadata=({"pairs": dg.MetadataValue.md(table)} if across else {})
            | ({"left": _table(left[_LEFT].round({"distance": 4}))} if len(left) else {}),
        )

    return [labels_of_duplicates_agree, no_picture_in_two_splits]


def _table(rows: pd.DataFrame) -> dg.MarkdownMetadataValue:
    head = [f"| {' | '.join(rows.columns)} |", f"|{':--|' * len(rows.columns)}"]
    cells = (map(cell, map(str, row)) for row in rows.head(_SHOWN).itertuples(index=False, name=None))
    return dg.MetadataValue.md("\n".join([*head, *(f"| {' | '.join(row)} |" for row in cells)]))
