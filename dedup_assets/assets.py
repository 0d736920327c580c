"""The eight assets. Each calls one step of the core and tells the Dagster UI what came of it."""

import contextlib
import time
import warnings
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import Any, cast

import dagster as dg

from dedup_assets.batches import PICTURES, batches_of_run, tell_arrived
from dedup_assets.core import steps
from dedup_assets.core.engines.base import RAY
from dedup_assets.core.errors import DedupError
from dedup_assets.core.labels.importing import input_version
from dedup_assets.core.lineage.versions import current_version
from dedup_assets.core.living import covered
from dedup_assets.core.living.configured import configured
from dedup_assets.core.living.folder_changes import compared
from dedup_assets.core.living.plan import decision_counts
from dedup_assets.core.living.thresholds_used import note_before, thresholds_used
from dedup_assets.core.project import Project
from dedup_assets.core.report import nearest_pairs, removed_pairs
from dedup_assets.core.run import Progress, Run
from dedup_assets.core.scoring.decisions import file_version
from dedup_assets.core.scoring.drift import note_arrivals
from dedup_assets.core.settings import DUPLICATE_THRESHOLD, NEAR_DUPLICATE_THRESHOLD, Thresholds
from dedup_assets.core.storage import schema
from dedup_assets.core.storage.published import for_reading
from dedup_assets.metadata import (
    SHOWN_PAIRS,
    arrivals_metadata,
    counts_markdown,
    difference_metadata,
    explorer_links,
    histogram_markdown,
    pairs_markdown,
    removals_markdown,
    table_metadata,
)

GROUP = "dedup"
CODE_VERSION = "1"
_ENGINE_STEPS = frozenset({"raw_images", "embeddings", "neighbours", "uniqueness_scores"})
_LOG_SECONDS = 5.0
_Decorator = Callable[[Callable[..., Any]], dg.AssetsDefinition]


def build_assets(
    project: Project,
    thresholds: Thresholds,
    *,
    key_prefix: Sequence[str] = (),
    group_name: str = GROUP,
    owners: Sequence[str] = (),
    pool: str | None = None,
    resource_keys: Collection[str] = (),
    ray_resource: str | None = None,
    batches: dg.DynamicPartitionsDefinition | None = None,
    on_progress: Progress | None = None,
    on_notice: Callable[[str], None] | None = None,
) -> list[dg.AssetsDefinition | dg.SourceAsset]:
    """The chain for one project, from `image_folder` to `deduplicated_dataset`, in dependency order.

    `thresholds` become the defaults of the run config of `uniqueness_scores`. `on_progress` is told how far long steps
    are, and `on_notice` what is worth reading, beside the Dagster log. Every asset needs the resources `resource_keys`;
    those that may use a Ray cluster need `ray_resource` too. `batches` are partitions of `embeddings`: a run makes one,
    or many at once.
    """
    store = project.store
    resources = set(resource_keys)
    on_ray = resources | ({ray_resource} if ray_resource and project.engine == RAY else set())

    def key(name: str) -> dg.AssetKey:
        return dg.AssetKey([*key_prefix, name])

    def asset(name: str, deps: Sequence[str], kinds: set[str], **more: Any) -> _Decorator:  # noqa: ANN401
        with _without_beta_warnings():
            decorator = dg.asset(
                key=key(name),
                deps=[key(dep) for dep in deps],
                group_name=group_name,
                kinds=kinds,
                owners=list(owners) or None,
                pool=pool,
                code_version=CODE_VERSION,
                backfill_policy=dg.BackfillPolicy.single_run() if batches else None,
                required_resource_keys=on_ray if name in _ENGINE_STEPS else resources,
                **more,
            )
        return cast(_Decorator, decorator)

    def source(name: str, description: str) -> Callable[..., Any]:
        return dg.observable_source_asset(
            key=key(name), group_name=group_name, description=description, tags={"dagster/kind/file": ""}
        )

    def settings_of_run(context: dg.AssetExecutionContext) -> dict[str, str]:
        keys = context.run.asset_selection  # none where the run makes all assets of its job
        settings = configured(project, thresholds)
        return {name: version for name, version in settings.items() if not keys or key(name) in keys}

    def check_thresholds(config: Mapping[str, Any]) -> None:
        """Those of the run, in every step: what cannot be is told before the costly ones, not after them."""
        asked = config.get("ops", {}).get(key("uniqueness_scores").to_python_identifier(), {}).get("config", {})
        thresholds_in({name: field.default_value for name, field in threshold_fields(thresholds).items()} | asked)

    def run_of(context: dg.AssetExecutionContext) -> Run:
        def say(sentence: str) -> None:
            context.log.info(sentence)
            if on_notice:
                on_notice(sentence)

        check_thresholds(context.run.run_config)
        return Run(run_id=context.run.run_id, progress=_both(_logged(context), on_progress), say=say)

    with _without_beta_warnings():

        @source("image_folder", "Images and annotation files as listed: paths, sizes and times. No image is opened.")
        def image_folder() -> dg.ObserveResult:
            with readable_failures():
                listing = project.images.listing()
                version = input_version(project, listing)
                changes, to_read = compared(listing, for_reading(store).read(schema.IMAGES), project.max_pixels)
            return dg.ObserveResult(
                data_version=dg.DataVersion(version),
                metadata={
                    "files": len(listing.files),
                    "other_files": listing.ignored,
                    "new_since_last_run": len(changes.new),
                    "changed_since_last_run": len(changes.changed),
                    "vanished_since_last_run": len(changes.vanished),
                    "files_to_read": to_read,
                    "folder": _path(project.images),
                },
            )

        @source("review_decisions", "Reviewed decisions about near duplicates: keep, remove, discard, not_duplicate.")
        def review_decisions() -> dg.ObserveResult:
            with readable_failures():
                reading = for_reading(store)
                counts = decision_counts(project, reading)
                lost = len(reading.read(schema.DECISIONS, "applies_to = 0"))
            return dg.ObserveResult(
                data_version=dg.DataVersion(file_version(project.decisions_file)),
                metadata={
                    "decisions": counts["decisions"],
                    "waiting_to_be_applied": counts["decisions_new"],
                    "applied_but_no_longer_written": counts["decisions_gone"],
                    "without_their_image_at_last_run": lost,
                    "file": _path(project.decisions_file),
                },
            )

    @asset(
        "raw_images",
        ["image_folder"],
        {"python", "duckdb", "image"},
        description="The manifest: every image file with its identity, size, format and status. Unreadable files are "
        "listed and left alone.",
    )
    def raw_images(context: dg.AssetExecutionContext) -> dg.MaterializeResult[None]:
        with readable_failures():
            done = steps.scan_images(project, run_of(context))
            covered.note_scan(store, context.run.run_id)
        copies = done.readable - done.contents
        return _result(
            done,
            {
                "images": done.files,
                "readable": done.readable,
                "unreadable": done.files - done.readable,
                "problems": counts_markdown(done.problems),
                "distinct_pictures": done.contents,
                "identical_copies": copies,
                "gigabytes": round(done.total_bytes / 1e9, 3),
                "decoded_this_time": done.read,
                "other_files_ignored": done.ignored,
                "label_format": done.label_format,
                "annotated_images": done.annotated,
                "labels": done.labels,
                **({"label_notices": list(done.label_notices)} if done.label_notices else {}),
                "folder": _path(project.images),
                **table_metadata(store, schema.IMAGES, done.files),
            },
        )

    @asset(
        "embeddings",
        ["raw_images"],
        {"python", "numpy"},
        description="One set of vectors for each distinct picture: the full frame, and views that a near duplicate "
        "might show. Only new pictures are computed.",
        partitions_def=batches,
    )
    def embeddings(context: dg.AssetExecutionContext) -> dg.MaterializeResult[None]:
        run = run_of(context)
        with readable_failures():
            asked, arrived = batches_of_run(context, project) if batches else ([], [])
            if batches:
                done = steps.embed_batches(project, run, [*asked, *arrived])
            else:
                done = steps.embed_images(project, run)
        for batch in asked:
            context.add_asset_metadata({PICTURES: done.by_batch[batch]}, partition_key=batch)
        if batches and arrived:
            tell_arrived(context, batches, {batch: done.by_batch[batch] for batch in arrived})
        return _result(
            done,
            {
                "embedder": done.embedder,
                **({"batches_of_the_run": len(done.by_batch)} if done.by_batch else {}),
                "pictures": done.contents,
                "computed_this_time": done.computed,
                "views": done.views,
                "dimension": done.dimension,
                "folder": _path(store.folder / "vectors" / done.embedder),
            },
        )

    @asset(
        "neighbours",
        ["raw_images", "embeddings"] if batches else ["embeddings"],  # a run may have no batch to embed
        {"python", "duckdb", "opencv"},
        description="Every near pair and every nearest neighbour, exactly. The costly step; it does not depend on the "
        "thresholds.",
    )
    def neighbours(context: dg.AssetExecutionContext) -> dg.MaterializeResult[None]:
        with readable_failures():
            if batches:
                steps.gather_batches(project, run_of(context))
            done = steps.find_neighbours(project, run_of(context))
        return _result(
            done,
            {
                "pairs": done.pairs,
                "listed_up_to_distance": done.limit,
                "candidates_compared": done.candidates,
                "searched_this_time": done.searched,
                **({"rebuilt_because": done.rebuilt} if done.rebuilt else {}),
                "second_stage": project.second_stage,
                **table_metadata(store, schema.PAIRS, done.pairs),
            },
        )

    @asset(
        "uniqueness_scores",
        ["neighbours"],
        {"python", "duckdb"},
        description="The uniqueness of every image, 0 to 1, higher is more unique. Duplicates score exactly 0 and name "
        "their keeper; of N identical images N-1 do.",
        config_schema=threshold_fields(thresholds),
    )
    def uniqueness_scores(context: dg.AssetExecutionContext) -> dg.MaterializeResult[None]:
        with readable_failures():
            used = thresholds_in(context.op_execution_context.op_config)
            before = thresholds_used(store)
            done = steps.score_uniqueness(project, used, run_of(context))
            note_before(store, before)
            arrivals = note_arrivals(store, run_of(context))
        with store.reading():
            near = nearest_pairs(store, used.duplicate, used.near_duplicate, SHOWN_PAIRS)
            histogram = histogram_markdown(store, schema.SCORES)
        return _result(
            done,
            {
                "duplicates": done.duplicates,
                "near_duplicates": done.near_duplicates,
                "unique": done.unique,
                "duplicate_threshold": used.duplicate,
                "near_duplicate_threshold": used.near_duplicate,
                **arrivals_metadata(arrivals),
                "histogram": histogram,
                "nearest_pairs": pairs_markdown(project, near, ("image", "near duplicate")),
                **explorer_links(store, f"grid?min=0&max={used.near_duplicate:g}"),
                **table_metadata(store, schema.SCORES, done.scored),
            },
        )

    @asset(
        "duplicates",
        ["uniqueness_scores", "review_decisions"],
        {"python", "duckdb"},
        description="The Duplicates collection: what scores 0, and what reviewers decided to remove. Every change is "
        "recorded for the audit.",
    )
    def duplicates(context: dg.AssetExecutionContext) -> dg.MaterializeResult[None]:
        with readable_failures():
            version = file_version(project.decisions_file)  # before they are read: what is written meanwhile is newer
            done = steps.collect_duplicates(project, run_of(context))
            covered.note_decisions(store, context.run.run_id, version)
        with store.reading():
            shown, newly = removed_pairs(store, SHOWN_PAIRS), removals_markdown(store, context.run.run_id)
        return _result(
            done,
            {
                "removed": done.removed,
                "by_reason": counts_markdown(done.by_reason),
                "newly_removed": done.added,
                "restored": done.restored,
                "decisions": done.decisions,
                "decisions_without_image": done.decisions_without_image,
                "near_pairs_waiting_for_review": done.waiting_pairs,
                "label_conflicts": counts_markdown(done.label_conflicts),
                "protected_duplicates_that_stay": done.protected_duplicates,
                "newly_removed_images": newly,
                "removed_beside_keeper": pairs_markdown(project, shown, ("stays", "removed")),
                "decisions_file": _path(project.decisions_file),
                **explorer_links(store, "review"),
                **table_metadata(store, schema.REMOVALS, done.removed),
            },
        )

    @asset(
        "deduplicated_dataset",
        ["duplicates"],
        {"python", "parquet", "csv"},
        description="A new, immutable version of the dataset without its duplicates: manifest, images, the list of "
        "what was removed and why.",
    )
    def deduplicated_dataset(context: dg.AssetExecutionContext) -> dg.MaterializeResult[None]:
        with readable_failures():
            before = current_version(store)
            done = steps.write_dataset(project, run_of(context))
            covered.note_dataset(store, context.run.run_id, settings_of_run(context))
        return _result(
            done,
            {
                "dagster/row_count": done.kept,
                "kept": done.kept,
                "removed": done.removed,
                "dataset": done.name,
                "dataset_version": done.dataset_version,
                "new_version": done.created,
                **difference_metadata(store, before, done.version),
                "placement": project.recipe.placement,
                "folder": _path(done.delivered or done.folder),
            },
        )

    chain = [raw_images, embeddings, neighbours, uniqueness_scores, duplicates, deduplicated_dataset]
    return [image_folder, review_decisions, *chain]


def threshold_fields(defaults: Thresholds) -> dict[str, dg.Field]:
    """The thresholds as run config, prefilled."""
    return {
        DUPLICATE_THRESHOLD.name: dg.Field(
            float, default_value=defaults.duplicate, description=DUPLICATE_THRESHOLD.help
        ),
        NEAR_DUPLICATE_THRESHOLD.name: dg.Field(
            float, default_value=defaults.near_duplicate, description=NEAR_DUPLICATE_THRESHOLD.help
        ),
    }


def thresholds_in(config: Mapping[str, float]) -> Thresholds:
    """Those of a run's config. Raises SettingsError for thresholds out of range or out of order."""
    return Thresholds(config[DUPLICATE_THRESHOLD.name], config[NEAR_DUPLICATE_THRESHOLD.name])


@contextlib.contextmanager
def _without_beta_warnings() -> Iterator[None]:
    """Define what Dagster marks as beta: observable sources, and the backfill policy of partitions."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


@contextlib.contextmanager
def readable_failures() -> Iterator[None]:
    """Show an error a person can mend as one sentence in Dagster, without retries."""
    try:
        yield
    except DedupError as error:
        raise dg.Failure(description=str(error), allow_retries=False) from error


def _result(done: steps.StepSummary, metadata: dict[str, Any]) -> "dg.MaterializeResult[None]":
    return dg.MaterializeResult(
        data_version=dg.DataVersion(done.version), metadata={"changed": done.changed, **metadata}
    )


def _path(path: object) -> dg.PathMetadataValue:
    return dg.MetadataValue.path(str(path))


def _logged(context: dg.AssetExecutionContext) -> Progress:
    last = time.monotonic()

    def log(what: str, done: int, total: int) -> None:
        nonlocal last
        if time.monotonic() - last > _LOG_SECONDS:
            last = time.monotonic()
            context.log.info(f"{what}: {done:,} of {total:,}")

    return log


def _both(first: Progress, second: Progress | None) -> Progress:
    def tell(what: str, done: int, total: int) -> None:
        first(what, done, total)
        if second:
            second(what, done, total)

    return tell
