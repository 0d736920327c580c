"""The asset checks: the promises of the score rule block what is downstream, the rest warns."""

import json
from collections.abc import Iterator, Sequence

import dagster as dg

from dedup_assets.assets import readable_failures
from dedup_assets.core.living.thresholds_used import thresholds_before, thresholds_used
from dedup_assets.core.project import Project
from dedup_assets.core.scoring.drift import ALL, DRIFT_BOUND, Arrival, beyond, last_arrivals
from dedup_assets.core.scoring.rules import RULES, StoreRows
from dedup_assets.core.settings import Thresholds
from dedup_assets.core.storage import schema
from dedup_assets.label_checks import build_label_checks
from dedup_assets.metadata import cell

WARN = dg.AssetCheckSeverity.WARN


def build_checks(
    project: Project,
    thresholds: Thresholds,
    *,
    key_prefix: Sequence[str] = (),
    pool: str | None = None,
    drift_bound: float = DRIFT_BOUND.default,
) -> list[dg.AssetChecksDefinition]:
    """The checks for one project: blocking ones for the rules, warnings for what a person should look at."""
    store = project.store

    def key(name: str) -> dg.AssetKey:
        return dg.AssetKey([*key_prefix, name])

    def rule_checks(asset: str) -> dg.AssetChecksDefinition:
        rules = {rule.name: rule for rule in RULES if rule.asset == asset}
        specs = [
            dg.AssetCheckSpec(rule.name, asset=key(asset), description=rule.description, blocking=True)
            for rule in rules.values()
        ]

        @dg.multi_asset_check(
            name=key(f"{asset}_rules").to_python_identifier(), specs=specs, can_subset=True, pool=pool
        )
        def check_rules(context: dg.AssetCheckExecutionContext) -> Iterator[dg.AssetCheckResult]:
            asked = sorted(context.selected_asset_check_keys, key=lambda key: key.name)
            with readable_failures(), store.reading():
                used, rows = (thresholds_used(store) or Thresholds()).duplicate, StoreRows(store)
                results = [rules[selected.name].check(rows, used) for selected in asked]
            for selected, result in zip(asked, results, strict=True):
                yield dg.AssetCheckResult(
                    asset_key=selected.asset_key,
                    check_name=selected.name,
                    passed=result.passed,
                    description=result.sentence,
                    metadata={"examples": list(result.examples)} if result.examples else {},
                )

        return check_rules

    @dg.asset_check(
        asset=key("raw_images"), pool=pool, description="Files that cannot be read are left out of everything."
    )
    def all_images_readable() -> dg.AssetCheckResult:
        bad = store.read(schema.IMAGES, "status <> 'ok'")
        lines = [
            f"| `{cell(row['image_id'])}` | {row['status']} | {cell(row['error'] or '')} |"
            for row in bad.head(20).to_dict("records")
        ]
        table = "\n".join(["| image | status | error |", "|:--|:--|:--|", *lines])
        return dg.AssetCheckResult(
            passed=bad.empty,
            severity=WARN,
            description=f"{len(bad):,} files cannot be read" if len(bad) else "every image can be read",
            metadata={"files": dg.MetadataValue.md(table)} if len(bad) else {},
        )

    @dg.asset_check(
        asset=key("uniqueness_scores"),
        pool=pool,
        description="The last run used this project's own thresholds, and so did the one before.",
    )
    def thresholds_as_configured() -> dg.AssetCheckResult:
        with readable_failures(), store.reading():
            used, before = thresholds_used(store) or Thresholds(), thresholds_before(store)
        words = [f"used {_both(used)}; configured are {_both(thresholds)}"]
        if before and before != used:
            words.append(f"the run before used {_both(before)}, so scores differ for that reason too")
        return dg.AssetCheckResult(
            passed=used == thresholds and before in (None, used), severity=WARN, description="; ".join(words)
        )

    @dg.asset_check(
        asset=key("uniqueness_scores"),
        pool=pool,
        description=f"At most {drift_bound:.0%} of the new images are duplicates, in all and in each top folder.",
    )
    def few_duplicates_among_new_images() -> dg.AssetCheckResult:
        arrivals = last_arrivals(store)
        over = beyond(arrivals, drift_bound)
        shares = [f"{entry.duplicates:,} of {entry.images:,} in {entry.name} ({entry.share:.0%})" for entry in over]
        new = arrivals[0] if arrivals else Arrival(ALL, 0, 0)
        return dg.AssetCheckResult(
            passed=not over,
            severity=WARN,
            description=f"more than {drift_bound:.0%} of the latest new images are duplicates: {', '.join(shares[:5])}"
            if over
            else f"{new.duplicates:,} of the latest {new.images:,} new images are duplicates",
            metadata={"bound": drift_bound, "new_duplicate_share": new.share},
        )

    @dg.asset_check(asset=key("duplicates"), pool=pool, description="Near duplicates have been looked at by a person.")
    def near_duplicates_reviewed() -> dg.AssetCheckResult:
        step = store.step("duplicates")
        waiting = json.loads(step.summary)["waiting_pairs"] if step else 0
        return dg.AssetCheckResult(
            passed=waiting == 0,
            severity=WARN,
            description=f"{waiting:,} near pairs wait for a decision in {project.decisions_file}"
            if waiting
            else "no near pair waits for a decision",
            metadata={"waiting_pairs": waiting},
        )

    @dg.asset_check(
        asset=key("duplicates"), pool=pool, description="Every decision is about a picture that is still there."
    )
    def decisions_have_images() -> dg.AssetCheckResult:
        lost = store.read(schema.DECISIONS, "applies_to = 0")
        lines = ", ".join(f"line {row['line']} '{row['image_id']}'" for row in lost.head(10).to_dict("records"))
        return dg.AssetCheckResult(
            passed=lost.empty,
            severity=WARN,
            description=f"{len(lost):,} decisions are about pictures that are gone: {lines}"
            if len(lost)
            else "every decision has its picture",
        )

    warnings_ = [
        *(all_images_readable, thresholds_as_configured, few_duplicates_among_new_images),
        *(near_duplicates_reviewed, decisions_have_images),
    ]
    labels = build_label_checks(project, key, pool)
    return [rule_checks("uniqueness_scores"), rule_checks("duplicates"), *warnings_, *labels]


def _both(thresholds: Thresholds) -> str:
    return f"{thresholds.duplicate:g} and {thresholds.near_duplicate:g}"
