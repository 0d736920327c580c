"""In Dagster: a resource of dagster-ray makes the connection, and the assets use it."""

import importlib.util

import dagster as dg
import pytest

from dedup_assets import build_dedup_defs
from dedup_assets.core.engines import ray as ray_engine
from dedup_assets.core.engines import ray_cluster
from dedup_assets.core.storage import schema
from dedup_assets.core.storage.store import Store
from dedup_assets_tests.pictures import put_photos

USES_RAY = {"raw_images", "embeddings", "neighbours", "uniqueness_scores"}


def needing(defs, key):
    """The assets that need a resource."""
    nodes = [asset for asset in defs.assets if isinstance(asset, dg.AssetsDefinition)]
    return {asset.key.path[-1] for asset in nodes if key in asset.required_resource_keys}


def test_only_assets_that_use_the_cluster_wait_for_it(tmp_path):
    defs = build_dedup_defs(tmp_path, tmp_path / "store", engine="ray", ray_resource="ray")
    assert needing(defs, "ray") == USES_RAY


def test_the_local_engine_needs_no_resource(tmp_path):
    assert needing(build_dedup_defs(tmp_path, tmp_path / "store", ray_resource="ray"), "ray") == set()


@pytest.mark.slow
@pytest.mark.skipif(importlib.util.find_spec("dagster_ray") is None, reason="pip install 'dedup-assets[ray]'")
def test_a_run_uses_the_connection_of_the_resource(tmp_path, monkeypatch):
    import ray
    from dagster_ray import LocalRay

    monkeypatch.setattr(ray_engine, "_PIECES_WORTH_A_CLUSTER", 1)
    monkeypatch.setattr(ray_engine, "_POOLED", ())
    put_photos(tmp_path / "images", range(6))
    quiet = {"num_cpus": 1, "include_dashboard": False, "log_to_driver": False, "logging_level": "ERROR"}
    resources = dg.Definitions(resources={"cluster": LocalRay(ray_init_options=quiet)})
    chain = build_dedup_defs(
        tmp_path / "images",
        tmp_path / "store",
        engine="ray",
        ray_resource="cluster",
        ray_address="ray://nowhere.invalid:10001",  # which is not asked: the resource is connected already
    )
    monkeypatch.setattr(ray_cluster, "_connected", [])
    try:
        with dg.DagsterInstance.ephemeral() as instance:
            job = dg.Definitions.merge(chain, resources).resolve_job_def("deduplicate")
            result = job.execute_in_process(instance=instance)
            logged = [entry.user_message for entry in instance.all_logs(result.run_id)]
    finally:
        ray.shutdown()
    assert result.success
    assert len(Store(tmp_path / "store").read(schema.SCORES)) == 6
    assert any("using the Ray cluster that this run is connected to: 1 CPUs" in line for line in logged)
