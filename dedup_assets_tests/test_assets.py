"""The chain as Dagster sees it: graph, run config, metadata, checks, failures."""

import json
import shutil
from pathlib import Path

import dagster as dg
import pytest

from dedup_assets import build_dedup_defs
from dedup_assets.core.lineage.versions import current_version
from dedup_assets.core.project import project_of
from dedup_assets.core.settings import Thresholds
from dedup_assets.core.storage import schema
from dedup_assets.core.storage.store import Store
from dedup_assets.demo import IDENTICAL_KINDS, make_demo_images
from dedup_assets.jobs import APPLY_DECISIONS, run_job
from dedup_assets_tests.pictures import put_photos

CHAIN = ["raw_images", "embeddings", "neighbours", "uniqueness_scores", "duplicates", "deduplicated_dataset"]
QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    folder = tmp_path_factory.mktemp("demo") / "images"
    make_demo_images(folder)
    return folder


@pytest.fixture(scope="module")
def finished(images, tmp_path_factory):
    """One whole run on the demo pictures: (store, result)."""
    store = tmp_path_factory.mktemp("finished") / "store"
    return Store(store), materialise(build_dedup_defs(images, store))


@pytest.fixture
def own_store(finished, tmp_path):
    """A copy of the finished store that a test may change."""
    shutil.copytree(finished[0].folder, tmp_path / "store")
    return Store(tmp_path / "store")


def materialise(defs, assets=None, config=None, **more):
    return defs.resolve_job_def("deduplicate").execute_in_process(
        instance=dg.DagsterInstance.ephemeral(),
        run_config={**QUIET, **(config or {})},
        asset_selection=None if assets is None else [dg.AssetKey(name) for name in assets],
        **more,
    )


def thresholds_config(duplicate, near):
    config = {"duplicate_threshold": duplicate, "near_duplicate_threshold": near}
    return {"ops": {"uniqueness_scores": {"config": config}}}


def metadata_of(result, asset):
    events = result.get_asset_materialization_events()
    found = next(event for event in events if event.materialization.asset_key.path[-1] == asset)
    return {name: value.value for name, value in found.materialization.metadata.items()}


def failure_of(result):
    event = next(event for event in result.all_events if event.is_step_failure)
    return event.step_failure_data.user_failure_data.description


def test_the_graph_is_the_chain_of_the_contract(images, tmp_path):
    graph = build_dedup_defs(images, tmp_path / "s").resolve_asset_graph()
    parents = {node.key.path[-1]: sorted(key.path[-1] for key in node.parent_keys) for node in graph.asset_nodes}
    assert parents == {
        "image_folder": [],
        "raw_images": ["image_folder"],
        "embeddings": ["raw_images"],
        "neighbours": ["embeddings"],
        "uniqueness_scores": ["neighbours"],
        "review_decisions": [],
        "duplicates": ["review_decisions", "uniqueness_scores"],
        "deduplicated_dataset": ["duplicates"],
    }


def test_every_asset_has_a_group_a_description_and_kinds(images, tmp_path):
    graph = build_dedup_defs(images, tmp_path / "s", owners=["team:vision"]).resolve_asset_graph()
    for node in graph.asset_nodes:
        assert node.group_name == "dedup"
        assert node.description
        assert node.kinds
    assert all(graph.get(dg.AssetKey(name)).owners == ["team:vision"] for name in CHAIN)


def test_a_whole_run_materialises_the_chain_in_order(finished):
    events = finished[1].get_asset_materialization_events()
    assert [event.materialization.asset_key.path[-1] for event in events] == CHAIN


def test_the_run_finds_every_planted_copy_and_nothing_else_is_removed(images, finished):
    truth = make_demo_images(images)
    removed = finished[0].read(schema.REMOVALS)
    identical = set(removed.loc[removed["reason"] == "identical", "image_id"])
    pictures = {planted.source or image for image, planted in truth.images.items() if planted.kind in IDENTICAL_KINDS}
    families = [
        {image, *(other for other in truth.of_kind(*IDENTICAL_KINDS) if truth.images[other].source == image)}
        for image in pictures
    ]
    assert identical < set().union(*families)
    assert [len(family & identical) for family in families] == [len(family) - 1 for family in families]
    assert set(removed["reason"]) <= {"identical", "duplicate"}


def test_blocking_checks_pass_and_say_what_they_found(finished):
    checks = {check.check_name: check for check in finished[1].get_asset_check_evaluations()}
    for name in (
        "n_minus_one_zeros",
        "range_holds_no_keeper",
        "every_readable_image_has_one_score",
        "every_removal_has_a_survivor",
        "kept_and_removed_are_all",
    ):
        assert checks[name].passed
        assert checks[name].description
    assert not checks["all_images_readable"].passed  # three broken files are planted
    assert checks["all_images_readable"].severity == dg.AssetCheckSeverity.WARN


def test_a_broken_rule_stops_the_chain_before_the_dataset(images, own_store):
    scores = own_store.read(schema.SCORES)
    scores.loc[scores["keeper_id"].isna().idxmax(), "uniqueness"] = 0.0
    own_store.replace({schema.SCORES: scores})
    defs = build_dedup_defs(images, own_store.folder)
    result = materialise(defs, ["uniqueness_scores", "duplicates", "deduplicated_dataset"], raise_on_error=False)
    made = [event.materialization.asset_key.path[-1] for event in result.get_asset_materialization_events()]
    assert not result.success
    assert "deduplicated_dataset" not in made


def test_metadata_tells_counts_thresholds_and_embedder(finished):
    scores = metadata_of(finished[1], "uniqueness_scores")
    assert (scores["duplicate_threshold"], scores["near_duplicate_threshold"]) == (0.0001, 0.05)
    assert scores["duplicates"] + scores["near_duplicates"] + scores["unique"] == scores["dagster/row_count"]
    assert metadata_of(finished[1], "embeddings")["embedder"].startswith("thumbnail-")
    assert "| uniqueness | images |" in scores["histogram"]


def test_names_that_mean_something_in_a_table_leave_its_rows_whole(tmp_path):
    put_photos(tmp_path / "images", range(2))
    (tmp_path / "images" / "a|b`c.jpg").write_text("no picture")
    result = materialise(build_dedup_defs(tmp_path / "images", tmp_path / "store"))
    checks = {check.check_name: check for check in result.get_asset_check_evaluations()}
    _, _, row = checks["all_images_readable"].metadata["files"].value.splitlines()
    assert row.startswith("| `a¦b'c.jpg` | unreadable |")
    assert row.count("|") == 4


def test_metadata_shows_pairs_side_by_side_as_inline_thumbnails(finished):
    shown = metadata_of(finished[1], "duplicates")["removed_beside_keeper"]
    assert shown.count("data:image/jpeg;base64,") == 2 * (shown.count("\n") - 1)
    assert len(shown) < 200_000  # it lies in the event log


def test_the_thresholds_of_the_project_are_the_defaults_of_the_run_config(images, tmp_path):
    defs = build_dedup_defs(images, tmp_path / "s", duplicate_threshold=0.002, near_duplicate_threshold=0.03)
    scores = metadata_of(materialise(defs), "uniqueness_scores")
    assert (scores["duplicate_threshold"], scores["near_duplicate_threshold"]) == (0.002, 0.03)


def test_thresholds_come_in_as_run_config_and_are_compared_with_the_projects_own(images, own_store):
    defs = build_dedup_defs(images, own_store.folder)
    result = materialise(defs, CHAIN[3:], thresholds_config(0.00005, 0.02))
    checks = {check.check_name: check for check in result.get_asset_check_evaluations()}
    assert metadata_of(result, "uniqueness_scores")["near_duplicate_threshold"] == 0.02
    assert not checks["thresholds_as_configured"].passed
    assert "0.02" in checks["thresholds_as_configured"].description


def test_moving_a_threshold_does_not_search_neighbours_again(images, own_store):
    before = own_store.step("neighbours")
    materialise(build_dedup_defs(images, own_store.folder), None, thresholds_config(0.00005, 0.08))
    assert own_store.step("neighbours") == before


def test_thresholds_out_of_order_fail_with_one_sentence(images, own_store):
    defs = build_dedup_defs(images, own_store.folder)
    result = materialise(defs, ["uniqueness_scores"], thresholds_config(0.05, 0.01), raise_on_error=False)
    assert failure_of(result).startswith("duplicate_threshold (0.05) must be smaller than near_duplicate_threshold")


@pytest.mark.parametrize("prefix", [None, "animals"])
def test_thresholds_that_cannot_be_are_told_before_any_image_is_read(images, tmp_path, prefix):
    defs = build_dedup_defs(images, tmp_path / "s", **({"key_prefix": prefix} if prefix else {}))
    op = "uniqueness_scores" if prefix is None else f"{prefix}__uniqueness_scores"
    job = defs.resolve_job_def("deduplicate" if prefix is None else f"{prefix}_deduplicate")
    config = {**QUIET, "ops": {op: {"config": {"duplicate_threshold": 0.2}}}}
    result = job.execute_in_process(instance=dg.DagsterInstance.ephemeral(), run_config=config, raise_on_error=False)
    assert failure_of(result).startswith("duplicate_threshold (0.2) must be smaller than near_duplicate_threshold")
    assert not Store(tmp_path / "s").exists()


def test_a_missing_folder_fails_with_one_sentence(tmp_path):
    result = materialise(build_dedup_defs(tmp_path / "nowhere", tmp_path / "s"), raise_on_error=False)
    assert failure_of(result).startswith("the image folder")


def test_run_config_of_a_wrong_type_is_refused_before_the_launch(images, tmp_path):
    with pytest.raises(dg.DagsterInvalidConfigError):
        materialise(build_dedup_defs(images, tmp_path / "s"), ["uniqueness_scores"], thresholds_config("much", 0.05))


def test_a_second_run_decodes_nothing_and_keeps_every_data_version(images, own_store):
    def versions(result):
        return {
            event.materialization.asset_key.path[-1]: event.materialization.tags["dagster/data_version"]
            for event in result.get_asset_materialization_events()
        }

    defs = build_dedup_defs(images, own_store.folder)
    first, second = materialise(defs), materialise(defs)
    assert versions(first) == versions(second)
    assert metadata_of(second, "raw_images")["decoded_this_time"] == 0
    assert not any(metadata_of(second, asset)["changed"] for asset in CHAIN)
    assert metadata_of(second, "duplicates")["newly_removed"] == 0


def test_a_run_with_nothing_to_do_opens_the_database_twice_for_each_asset_and_check_at_most(
    images, own_store, monkeypatch
):
    openings, opened = [], Store._open
    monkeypatch.setattr(Store, "_open", lambda store, write: openings.append(write) or opened(store, write))
    result = materialise(build_dedup_defs(images, own_store.folder))
    done = len(result.get_asset_materialization_events()) + len(result.get_asset_check_evaluations())
    assert done >= len(CHAIN)
    assert len(openings) <= 2 * done


def test_the_folder_is_observed_with_a_version_that_changes_with_its_files(images, tmp_path):
    folder = tmp_path / "images"
    shutil.copytree(images, folder)
    observe = dg.define_asset_job("observe", selection=["image_folder"])
    defs = dg.Definitions.merge(build_dedup_defs(folder, tmp_path / "s"), dg.Definitions(jobs=[observe]))

    def observed():
        result = defs.resolve_job_def("observe").execute_in_process(
            instance=dg.DagsterInstance.ephemeral(), run_config=QUIET
        )
        (event,) = result.get_asset_observation_events()
        return event.asset_observation_data.asset_observation.data_version

    before = observed()
    assert observed() == before
    next(folder.rglob("*.jpg")).unlink()
    assert observed() != before


def test_a_decision_reruns_duplicates_and_the_dataset_alone(images, own_store):
    pair = own_store.read(schema.PAIRS, "distance > 0.0001 AND distance <= 0.05").iloc[0]
    own_store.decisions_file.write_text(f"image_id,decision,duplicate_of\n{pair['image_b']},remove,{pair['image_a']}\n")
    before = {name: own_store.step(name) for name in CHAIN}
    result = run_job(project_of(images, own_store.folder), Thresholds(), assets=APPLY_DECISIONS)
    assert result.materialised == APPLY_DECISIONS
    assert {name for name in CHAIN if own_store.step(name) != before[name]} == set(APPLY_DECISIONS)
    removed = own_store.read(schema.REMOVALS, "reason = 'reviewed'")
    assert removed["image_id"].tolist() == [pair["image_b"]]
    assert removed["run_id"].tolist() == [result.run_id]


def test_decisions_that_wait_are_told_and_the_dataset_tells_what_they_changed(images, own_store):
    alone = own_store.read(schema.SCORES, "label IS NULL AND group_id IS NULL").iloc[0]["image_id"]
    own_store.decisions_file.write_text(f"image_id,decision\n{alone},discard\n")
    standing = current_version(own_store)
    observe = dg.define_asset_job("observe", selection=["review_decisions"])
    defs = dg.Definitions.merge(build_dedup_defs(images, own_store.folder), dg.Definitions(jobs=[observe]))

    def observed():
        result = defs.resolve_job_def("observe").execute_in_process(
            instance=dg.DagsterInstance.ephemeral(), run_config=QUIET
        )
        (event,) = result.get_asset_observation_events()
        said = event.asset_observation_data.asset_observation.metadata
        return [said[name].value for name in ("decisions", "waiting_to_be_applied", "applied_but_no_longer_written")]

    assert observed() == [1, 1, 0]
    said = metadata_of(materialise(defs, APPLY_DECISIONS), "deduplicated_dataset")
    assert observed() == [1, 0, 0]
    assert said["version_before"] == standing
    assert (said["images_removed"], said["images_added"]) == (1, 0)
    assert f"| `{alone}` | removed | discarded by reviewer |" in said["difference"]
    again = metadata_of(materialise(defs, APPLY_DECISIONS), "deduplicated_dataset")
    assert (again["images_removed"], "difference" in again) == (0, False)
    own_store.decisions_file.write_text("image_id,decision\n")
    assert observed() == [0, 0, 1]


def test_a_decision_that_leaves_no_survivor_stops_before_the_dataset(images, own_store):
    before = own_store.step("deduplicated_dataset")
    scores = own_store.read(schema.SCORES)
    alone = scores[scores["label"].isna() & scores["group_id"].isna()].iloc[0]["image_id"]
    own_store.decisions_file.write_text(f"image_id,decision\n{alone},remove\n")
    defs = build_dedup_defs(images, own_store.folder)
    result = materialise(defs, APPLY_DECISIONS, raise_on_error=False)
    assert f"no copy of '{alone}'" in failure_of(result)
    assert own_store.step("deduplicated_dataset") == before


def test_two_projects_live_in_one_code_location(images, tmp_path):
    defs = dg.Definitions.merge(
        *(build_dedup_defs(images, tmp_path / name, key_prefix=name, placement="none") for name in ("animals", "cars"))
    )
    for name in ("animals", "cars"):
        job = defs.resolve_job_def(f"{name}_deduplicate")
        result = job.execute_in_process(instance=dg.DagsterInstance.ephemeral(), run_config=QUIET)
        keys = [event.materialization.asset_key.path for event in result.get_asset_materialization_events()]
        assert keys == [[name, asset] for asset in CHAIN]
    rows = [Store(tmp_path / name).read(schema.SCORES) for name in ("animals", "cars")]
    assert rows[0].equals(rows[1])


def test_a_dataset_summary_names_run_thresholds_and_embedder(finished):
    folder = metadata_of(finished[1], "deduplicated_dataset")["folder"]
    summary = json.loads(Path(folder, "summary.json").read_text(encoding="utf-8"))
    assert summary["thresholds"] == {"duplicate": 0.0001, "near_duplicate": 0.05}
    assert summary["run_id"] == finished[1].run_id
    assert summary["embedder"].startswith("thumbnail-")
