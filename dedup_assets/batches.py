"""Ingest batches as partitions of `embeddings`: one for each top folder of the images, kept by a sensor.

What is before and after `embeddings` is about all images and has no partitions.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import dagster as dg

from dedup_assets.core.batches import batches_of, changed_batches, waiting_batches
from dedup_assets.core.errors import DedupError
from dedup_assets.core.project import Project
from dedup_assets.core.sources.base import Listing
from dedup_assets.core.storage import schema

STARTED_BY = "dedup_assets/started_by"  # tag of the runs that no person started
PICTURES = "pictures_of_the_batch"
_FIRST, _LAST = "dagster/asset_partition_range_start", "dagster/asset_partition_range_end"
PartitionsRequest = dg.AddDynamicPartitionsRequest | dg.DeleteDynamicPartitionsRequest


@dataclass(frozen=True, slots=True)
class Part:
    """What a run embeds: one partition, or by its tags those from a first to a last one; nothing when both are empty.

    `partitions`: how many that are.
    """

    key: str | None = None
    tags: tuple[tuple[str, str], ...] = ()
    partitions: int = 0


@dataclass(frozen=True, slots=True)
class Batches:
    """The batches of a project, and the partitions that stand for them in a Dagster instance."""

    project: Project
    partitions: dg.DynamicPartitionsDefinition

    def known(self, instance: dg.DagsterInstance) -> list[str]:
        """The partitions there are, in the order in which they came."""
        return list(instance.get_dynamic_partitions(str(self.partitions.name)))

    def kept_up(
        self, known: Sequence[str], listing: Listing | None, busy: Callable[[], bool]
    ) -> tuple[list[str], list[PartitionsRequest]]:
        """The partitions there ought to be, and what makes them so.

        Those of vanished batches go, but not while `busy` with a run or a backfill, which may be about them, nor where
        there is no listing: what cannot be seen has not vanished.
        """
        if listing is None:
            return list(known), []
        there = batches_of(file.image_id for file in listing.files)
        come = [batch for batch in there if batch not in known]
        gone = [batch for batch in known if batch not in there]
        gone = [] if gone and busy() else gone
        requests: list[PartitionsRequest] = []
        if come:
            requests.append(self.partitions.build_add_request(come))
        if gone:
            requests.append(self.partitions.build_delete_request(gone))
        return [*(batch for batch in known if batch not in gone), *come], requests

    def changed(self, listing: Listing | None, ordered: Sequence[str]) -> Part:
        """The new and changed batches as one run takes them: Dagster knows one partition, or all from one to another.

        Unchanged batches in between cost a look. `ordered`: the partitions there are.
        """
        try:
            batches = set(changed_batches(self.project, listing)) if listing else set()
        except DedupError:  # the scan will stop with it, and say so
            return Part()
        places = [place for place, batch in enumerate(ordered) if batch in batches]
        if not places:
            return Part()
        if len(places) == 1:
            return Part(ordered[places[0]], partitions=1)
        tags = ((_FIRST, ordered[places[0]]), (_LAST, ordered[places[-1]]))
        return Part(tags=tags, partitions=places[-1] - places[0] + 1)


def batches_of_run(context: dg.AssetExecutionContext, project: Project) -> tuple[list[str], list[str]]:
    """The partitions that the run is about, and others that it embeds: all where it names none, as the command line
    of Dagster may, else those that came since it was asked for.

    The latter are told for automatic runs alone. The scan has seen them, and without their vectors nothing could be
    scored for as long as images keep coming; what a person chose is left at that.
    """
    if not (context.has_partition_key or context.has_partition_key_range):
        return [], batches_of(project.store.read(schema.IMAGES, columns=("image_id",))["image_id"])
    asked = list(context.partition_keys)
    automatic = STARTED_BY in context.run.tags
    return asked, [batch for batch in waiting_batches(project) if batch not in asked] if automatic else []


def tell_arrived(
    context: dg.AssetExecutionContext, partitions: dg.DynamicPartitionsDefinition, pictures: Mapping[str, int]
) -> None:
    """Add partitions for batches that the run was not asked for, and tell that it made them."""
    context.instance.add_dynamic_partitions(str(partitions.name), list(pictures))
    for batch, count in pictures.items():
        metadata = {PICTURES: count}
        context.log_event(dg.AssetMaterialization(context.asset_key, partition=batch, metadata=metadata))
