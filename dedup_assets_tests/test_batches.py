"""Ingest batches: the top folders of the images as partitions of embeddings, with scores about all images."""

import shutil
import signal
import subprocess
import sys
from datetime import datetime, timezone

import dagster as dg
import pytest
from dagster._core.execution.backfill import BulkActionStatus, PartitionBackfill

from dedup_assets import build_dedup_defs
from dedup_assets.core import steps
from dedup_assets.core.batches import batch_of
from dedup_assets.core.errors import DedupError, SettingsError
from dedup_assets.core.run import Run
from dedup_assets_tests.chain import chain_in
from dedup_assets_tests.deployment import CHAIN, Deployment, copied
from dedup_assets_tests.pictures import photo, put, put_photos

PARTITIONS = "deduplicate_batches"
WITHOUT_EMBEDDINGS = [name for name in CHAIN if name != "embeddings"]
QUIETLY = {"telemetry": {"enabled": False}}
KILLED = """
import os, signal, sys
from pathlib import Path
from dedup_assets.core import steps
from dedup_assets.core.run import Run
from dedup_assets.core.steps import embeddings
from dedup_assets_tests.chain import chain_in
embeddings.CHUNK = 1

def progress(what, done, total):
    if done == 2:
        os.kill(os.getpid(), signal.SIGKILL)

steps.embed_batches(chain_in(Path(sys.argv[1])).project, Run(progress=progress), ["a"])
"""


@pytest.fixture
def instance(tmp_path):
    """One on disk: in memory, Dagster cannot tell a sensor which partitions there are."""
    with on_disk(tmp_path / "dagster") as instance:
        yield instance


def on_disk(folder):
    """The instance of a folder, which is made where it is missing."""
    folder.mkdir(exist_ok=True)
    return dg.DagsterInstance.local_temp(str(folder), QUIETLY)


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    """Three batches: a, b, and an image in no folder; the last of b is a copy of the first of a."""
    images = tmp_path_factory.mktemp("pictures") / "images"
    put_photos(images / "a", range(4))
    put_photos(images / "b", range(10, 13))
    put(photo(20), images / "alone.png")
    put(photo(0), images / "b" / "copy.bmp")
    return images


@pytest.fixture
def folder(pictures, tmp_path):
    shutil.copytree(pictures, tmp_path / "images")
    return tmp_path


@pytest.fixture
def chain(folder):
    """The chain over the same folder and store, step by step."""
    return chain_in(folder)


@pytest.fixture(scope="module")
def once(pictures, tmp_path_factory):
    """The folder of a deployment after its first run, and in it that of its instance."""
    folder = tmp_path_factory.mktemp("once")
    shutil.copytree(pictures, folder / "images")
    with on_disk(folder / "dagster") as instance:
        deployment = Deployment(folder, instance, batches="folders")
        assert deployment.ticks() == [CHAIN]
        assert deployment.partitions == known(instance) == [".", "a", "b"]
        assert deployment.ticks() == []
    return folder


@pytest.fixture
def running(once, tmp_path):
    """After the first run."""
    shutil.copytree(once / "dagster", tmp_path / "dagster")
    with on_disk(tmp_path / "dagster") as instance:
        yield copied(once, tmp_path, instance, batches="folders")


def known(instance):
    return list(instance.get_dynamic_partitions(PARTITIONS))


def tables(deployment):
    return chain_in(deployment.images.parent).results()


def unpartitioned(deployment, folder):
    """What a run without batches leaves of the same images."""
    chain = chain_in(folder, deployment.images)
    chain.run()
    return chain.results()


# ---- the core


@pytest.mark.parametrize(
    ("image_id", "batch"),
    [
        ("a/1.jpg", "a"),
        ("a/deep/1.jpg", "a"),
        ("1.jpg", "."),
        ("two words/1.jpg", "two words"),
        ("from...to/1.jpg", "from…to"),
        ("line\nbreak/1.jpg", "line?break"),
    ],
)
def test_the_batch_of_an_image_is_its_top_folder(image_id, batch):
    assert batch_of(image_id) == batch


def test_batches_embedded_one_after_another_leave_what_one_run_leaves(chain, tmp_path):
    project = chain.project
    chain.scan()
    computed = [steps.embed_batches(project, Run(), [batch]).computed for batch in ("b", ".", "a")]
    assert computed == [4, 1, 3], "the picture that a and b share is embedded once"
    chain.run()
    whole = chain_in(tmp_path / "whole", chain.images)
    whole.run()
    assert chain.results() == whole.results()
    vectors = [sorted(one.store.folder.rglob("vectors/*/*")) for one in (chain, whole)]
    assert all(vectors)
    assert chain.store.step("embeddings").output_version == whole.store.step("embeddings").output_version


def test_batches_without_vectors_are_named_and_nothing_is_scored(chain):
    chain.scan()
    steps.embed_batches(chain.project, Run(), ["."])
    with pytest.raises(DedupError) as raised:
        steps.gather_batches(chain.project, Run())
    assert str(raised.value) == (
        "2 of 3 batches have images without vectors ('a', 'b'); materialise these partitions of 'embeddings' first: "
        "scores are about all images"
    )


def test_a_batch_that_was_killed_goes_on_where_it_was(chain, tmp_path):
    chain.scan()
    killed = subprocess.run([sys.executable, "-c", KILLED, tmp_path], capture_output=True, text=True)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert steps.embed_batches(chain.project, Run(), ["a"]).computed == 2
    assert steps.embed_batches(chain.project, Run(), ["a", "b", "."]).computed == 4
    chain.run()
    whole = chain_in(tmp_path / "whole", chain.images)
    whole.run()
    assert chain.results() == whole.results()


@pytest.mark.parametrize("gone", ["a/000.png", "b/copy.bmp"])
def test_a_copy_that_vanished_from_one_batch_leaves_the_other_embedded(chain, gone, tmp_path):
    chain.scan()
    steps.embed_batches(chain.project, Run(), ["a", "b", "."])
    chain.run()
    (chain.images / gone).unlink()
    chain.scan()
    steps.embed_batches(chain.project, Run(), [gone[0]])
    steps.gather_batches(chain.project, Run())
    chain.run()
    whole = chain_in(tmp_path / "whole", chain.images)
    whole.run()
    assert chain.results() == whole.results()


# ---- in Dagster


def test_the_first_run_takes_all_batches_and_leaves_what_a_run_without_batches_leaves(running, tmp_path):
    assert tables(running) == unpartitioned(running, tmp_path / "whole")
    records = running.instance.fetch_materializations(dg.AssetKey("embeddings"), limit=10).records
    pictures = {one.partition_key: one.asset_materialization.metadata["pictures_of_the_batch"] for one in records}
    assert {batch: count.value for batch, count in pictures.items()} == {".": 1, "a": 4, "b": 4}


def test_a_new_batch_is_one_partition_and_one_run(running, tmp_path):
    put_photos(running.images / "c", range(30, 33))
    assert running.ticks() == [CHAIN]
    assert running.partitions == ["c"]
    assert known(running.instance) == [".", "a", "b", "c"]
    assert running.ticks() == []
    assert tables(running) == unpartitioned(running, tmp_path / "whole")


def test_what_comes_after_an_automatic_run_was_asked_for_is_embedded_with_it(running, tmp_path):
    put_photos(running.images / "c", range(30, 32))
    running.settled()
    (request,) = [request for _ in range(3) for request in running.tick()[0]]
    put_photos(running.images / "d", range(40, 42))
    put(photo(50), running.images / "a" / "new.png")
    running.settled()
    assert running.run(request) == CHAIN
    assert running.partitions == ["a", "c", "d"]
    assert known(running.instance) == [".", "a", "b", "c", "d"]
    assert running.ticks() == []
    assert tables(running) == unpartitioned(running, tmp_path / "whole")


def test_a_changed_batch_is_embedded_alone_and_several_in_one_run(running):
    put(photo(40), running.images / "a" / "000.png")
    assert running.ticks() == [CHAIN]
    assert running.partitions == ["a"]
    put(photo(41), running.images / "b" / "011.png")
    put(photo(42), running.images / "a" / "new.png")
    assert running.ticks() == [CHAIN]
    assert running.partitions == ["a", "b"]
    assert running.ticks() == []


def test_a_vanished_batch_takes_its_partition_along_and_embeds_nothing(running, tmp_path):
    shutil.rmtree(running.images / "b")
    assert running.ticks() == [WITHOUT_EMBEDDINGS]
    assert known(running.instance) == [".", "a"]
    assert running.ticks() == []
    assert tables(running) == unpartitioned(running, tmp_path / "whole")
    put_photos(running.images / "b", range(10, 13))
    assert running.ticks() == [CHAIN]
    assert running.partitions == ["b"]


def test_a_folder_that_cannot_be_listed_keeps_its_partitions(running):
    away = running.images.with_name("away")
    running.images.rename(away)
    assert running.ticks(4) == [None]
    assert "does not exist" in running.failures[0]
    assert known(running.instance) == [".", "a", "b"]


def test_partitions_stay_while_a_run_goes_on(running):
    shutil.rmtree(running.images / "b")
    job = running.defs.resolve_job_def("deduplicate")
    going = running.instance.create_run_for_job(job, status=dg.DagsterRunStatus.STARTED)
    running.tick()
    assert known(running.instance) == [".", "a", "b"]
    running.instance.report_run_canceled(going)
    running.tick()
    assert known(running.instance) == [".", "a"]


def test_partitions_stay_while_a_backfill_waits_for_its_run(running):
    said = {
        "from_failure": False,
        "tags": {},
        "backfill_timestamp": 0.0,
        "asset_selection": [dg.AssetKey("embeddings")],
    }
    backfill = PartitionBackfill("one", status=BulkActionStatus.REQUESTED, partition_names=["a", "b"], **said)
    running.instance.add_backfill(backfill)
    shutil.rmtree(running.images / "b")
    running.tick()
    assert known(running.instance) == [".", "a", "b"]
    running.instance.update_backfill(backfill.with_status(BulkActionStatus.COMPLETED_SUCCESS))
    running.tick()
    assert known(running.instance) == [".", "a"]


def test_a_run_of_one_batch_stops_before_the_scores_while_others_have_no_vectors(folder, instance):
    deployment = Deployment(folder, instance, batches="folders")
    instance.add_dynamic_partitions(PARTITIONS, ["a", "b", "."])
    assert deployment.run(tags={"dagster/partition": "a"}) is None
    assert deployment.failures[0].startswith("2 of 3 batches have images without vectors ('.', 'b')")
    assert deployment.partitions == ["a"]
    assert deployment.run(tags={"dagster/asset_partition_range_start": "b", "dagster/asset_partition_range_end": "."})
    assert deployment.partitions == [".", "b"]


def test_vectors_that_were_lost_are_computed_again(running, tmp_path):
    shutil.rmtree(running.store / "vectors")
    put_photos(running.images / "a", [50])
    assert running.ticks() == [CHAIN]
    assert running.partitions == ["a"]
    assert tables(running) == unpartitioned(running, tmp_path / "whole")


def test_a_backfill_of_all_batches_is_a_single_run(running):
    graph = running.defs.resolve_asset_graph()
    nodes = {node.key.path[-1]: node for node in graph.asset_nodes}
    assert [name for name, node in nodes.items() if node.partitions_def] == ["embeddings"]
    assert {key.path[-1] for key in nodes["neighbours"].parent_keys} == {"raw_images", "embeddings"}
    assert nodes["embeddings"].backfill_policy == dg.BackfillPolicy.single_run()
    assert running.defs.resolve_job_def("deduplicate").backfill_policy == dg.BackfillPolicy.single_run()


def test_a_run_that_names_no_partition_makes_all_of_them(folder, instance, tmp_path):
    deployment = Deployment(folder, instance, batches="folders")
    assert deployment.run() == CHAIN
    assert deployment.partitions == known(instance) == [".", "a", "b"]
    assert instance.get_materialized_partitions(dg.AssetKey("embeddings")) == {".", "a", "b"}
    assert tables(deployment) == unpartitioned(deployment, tmp_path / "whole")
    put_photos(deployment.images / "c", [30])
    assert deployment.ticks() == [CHAIN]
    assert deployment.partitions == ["c"], "the others were embedded by the run before"


def test_a_run_that_names_no_partition_and_finds_no_scan_says_what_is_missing(folder, instance):
    deployment = Deployment(folder, instance, batches="folders")
    assert deployment.run(assets=["embeddings"]) is None
    assert "raw_images" in deployment.failures[0]


def test_without_automation_a_sensor_keeps_the_partitions_and_starts_nothing(folder, instance):
    deployment = Deployment(folder, instance, automation="none", batches="folders")
    assert deployment.sensor.name == "deduplicate_batches_kept"
    assert deployment.tick() == ([], "3 batches")
    assert known(instance) == [".", "a", "b"]
    shutil.rmtree(folder / "images" / "b")
    assert deployment.ticks() == []
    assert known(instance) == [".", "a"]
    shutil.rmtree(folder / "images")
    assert "does not exist" in deployment.tick()[1]
    assert known(instance) == [".", "a"]


def test_a_schedule_embeds_what_is_new_or_changed_since(folder, instance):
    deployment = Deployment(folder, instance, "schedule", cron="0 6 * * *", batches="folders")
    (schedule,) = deployment.defs.schedules

    def tick():
        when = datetime(2030, 1, 1, 6, tzinfo=timezone.utc)
        with dg.build_schedule_context(
            instance=instance, scheduled_execution_time=when, repository_def=deployment.repository
        ) as context:
            (request,) = schedule.evaluate_tick(context).run_requests
        return deployment.run(request)

    assert tick() == CHAIN
    assert deployment.partitions == known(instance) == [".", "a", "b"]
    assert tick() == WITHOUT_EMBEDDINGS
    put(photo(60), folder / "images" / "b" / "new.png")
    assert tick() == CHAIN
    assert deployment.partitions == ["b"]


def test_a_word_for_batches_that_is_not_known_is_one_sentence(tmp_path):
    with pytest.raises(SettingsError, match="batches is 'files'; it may be none, folders"):
        build_dedup_defs(tmp_path, tmp_path / "store", batches="files")
