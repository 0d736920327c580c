"""Runs that start by themselves, tick by tick, in this process."""

import json
import os
import shutil
import signal
from datetime import datetime, timezone

import dagster as dg
import pytest

from dedup_assets import build_dedup_defs
from dedup_assets.automation import Automation
from dedup_assets.build import JOB, defs_of
from dedup_assets.core.errors import SettingsError
from dedup_assets.core.project import project_of
from dedup_assets.core.settings import Thresholds
from dedup_assets.jobs import run_job
from dedup_assets_tests.deployment import CHAIN, QUIET, Deployment, copied, kill_with_the_store
from dedup_assets_tests.pictures import photo, put, put_photos


@pytest.fixture
def instance():
    with dg.DagsterInstance.ephemeral() as instance:
        yield instance


@pytest.fixture(scope="module")
def once(tmp_path_factory):
    """The folder of a deployment after its first run."""
    folder = tmp_path_factory.mktemp("once")
    put_photos(folder / "images", range(3))
    with dg.DagsterInstance.ephemeral() as instance:
        deployment = Deployment(folder, instance)
        assert deployment.ticks() == [CHAIN], "the images that are there first make one run"
        assert deployment.ticks() == []
    return folder


@pytest.fixture
def running(once, tmp_path, instance):
    """After the first run."""
    return copied(once, tmp_path, instance)


@pytest.mark.parametrize("what", ["new", "changed", "vanished"])
def test_new_changed_and_vanished_files_make_one_run_of_the_chain(running, what):
    if what == "vanished":
        (running.images / "001.png").unlink()
    else:
        put(photo(9), running.images / {"new": "new.png", "changed": "000.png"}[what])
    assert running.ticks() == [CHAIN]
    assert running.ticks() == []


def test_edited_decisions_make_one_run_of_two_steps(running):
    running.decide("000.png,keep")
    assert running.ticks() == [["duplicates", "deduplicated_dataset"]]
    assert running.ticks() == []
    (running.store / "decisions.csv").unlink()
    assert running.ticks() == [["duplicates", "deduplicated_dataset"]]


def test_edited_labels_make_one_run_of_the_chain(running):
    labels = running.images / "annotations.json"
    boxes = {"images": [{"id": 1, "file_name": "000.png", "width": 64, "height": 48}]}
    boxes |= {"categories": [{"id": 1, "name": "cat"}, {"id": 2, "name": "dog"}]}
    for category in (1, 2):
        boxes["annotations"] = [{"id": 1, "image_id": 1, "category_id": category, "bbox": [1, 1, 9, 9]}]
        labels.write_text(json.dumps(boxes))
        assert running.ticks() == [CHAIN]
        assert running.ticks() == []
    labels.unlink()
    assert running.ticks() == [CHAIN]


@pytest.mark.parametrize(
    ("settings", "made"),
    [
        ({"max_pixels": 10**6}, CHAIN),
        ({"second_stage": False}, CHAIN[2:]),
        ({"keeper_order": ["bytes", "image_id"]}, CHAIN[2:]),
        ({"near_duplicate_threshold": 0.02}, CHAIN[3:]),
        ({"labels": "union"}, CHAIN[4:]),
        ({"dataset_name": "cleaned"}, CHAIN[5:]),
        ({"drift_bound": 0.1}, None),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_a_changed_setting_makes_its_step_and_those_below_once(running, settings, made):
    running.configure(**settings)
    assert running.ticks() == ([made] if made else [])
    assert running.ticks() == []


def test_a_changed_setting_and_edited_decisions_are_one_run(running):
    running.configure(dataset_name="cleaned")
    running.decide("000.png,keep")
    assert running.ticks() == [["duplicates", "deduplicated_dataset"]]
    assert running.ticks() == []


def test_a_changed_setting_that_a_person_ran_already_is_not_run_again(running):
    running.configure(near_duplicate_threshold=0.02)
    assert running.run() == CHAIN
    assert running.ticks() == []


def test_thresholds_that_a_person_chose_stand_until_something_changes(running):
    run_job(project_of(running.images, running.store, workers=1), Thresholds(0.0001, 0.02), assets=CHAIN[3:])
    assert running.ticks() == []
    running.decide("000.png,keep")
    assert running.ticks() == [["duplicates", "deduplicated_dataset"]]
    put_photos(running.images, [8])
    assert running.ticks() == [CHAIN]
    assert "used 0.0001 and 0.05" in running.checks["thresholds_as_configured"].description


def test_a_half_copied_file_waits(running):
    target = running.images / "large.png"
    whole = (running.images / "000.png").read_bytes()
    for size in (100, 200, len(whole)):
        target.write_bytes(whole[:size])
        assert running.tick()[0] == []
    assert "letting it settle" in running.tick()[1]
    assert running.ticks() == [CHAIN]


def test_two_changes_between_two_ticks_are_one_run(running):
    put_photos(running.images, [5])
    running.decide("000.png,keep")
    assert running.ticks() == [CHAIN]


def test_a_broken_decisions_file_fails_once_and_the_mended_one_runs_again(running):
    running.decide("000.png,perhaps")
    assert running.ticks(6) == [None]
    running.decide("000.png,keep")
    assert running.ticks() == [["duplicates", "deduplicated_dataset"]]


def test_new_files_beside_broken_decisions_are_scored_again_with_the_mended_ones(running):
    running.decide("000.png,perhaps")
    put_photos(running.images, [6])
    assert running.ticks(6) == [None]
    running.decide("000.png,keep")
    assert running.ticks() == [CHAIN]


def asked_for(running):
    """The tags of the run that the sensor asks for."""
    running.settled()
    (request,) = [request for _ in range(3) for request in running.tick()[0]]
    return {**request.tags, "dagster/run_key": request.run_key}


def test_a_run_that_was_killed_is_started_again(running):
    put_photos(running.images, [6])
    job = running.defs.resolve_job_def("deduplicate")
    killed = running.instance.create_run_for_job(job, tags=asked_for(running), status=dg.DagsterRunStatus.STARTED)
    assert running.ticks() == []
    running.instance.report_run_failed(killed)
    assert running.ticks() == [CHAIN]
    assert running.ticks() == []


def test_a_run_that_ended_together_with_dagster_is_started_again(running):
    put_photos(running.images, [6])

    def stop(*_):
        os.kill(os.getpid(), signal.SIGINT)

    job = defs_of(project_of(running.images, running.store), Thresholds(), on_progress=stop).resolve_job_def(JOB)
    with pytest.raises(dg.DagsterExecutionInterruptedError):
        job.execute_in_process(instance=running.instance, run_config=QUIET, tags=asked_for(running))
    (run,) = running.instance.get_runs(limit=1)
    assert run.status == dg.DagsterRunStatus.FAILURE
    assert running.ticks() == [CHAIN]
    assert running.ticks() == []


def test_a_run_that_a_person_cancelled_is_not_started_again(running):
    put_photos(running.images, [6])
    job = running.defs.resolve_job_def("deduplicate")
    going = running.instance.create_run_for_job(job, tags=asked_for(running), status=dg.DagsterRunStatus.STARTED)
    running.instance.report_run_canceled(going)
    assert running.ticks() == []


def test_a_folder_that_is_gone_fails_one_run_and_needs_none_when_it_is_back(running):
    away = running.images.with_name("away")
    running.images.rename(away)
    assert running.ticks(4) == [None]
    away.rename(running.images)
    assert running.ticks(4) == []


def test_a_change_that_a_person_ran_already_is_not_run_again(running):
    put_photos(running.images, [7])
    running.settled()
    run_job(project_of(running.images, running.store, workers=1), Thresholds())
    assert running.ticks() == []


def test_a_change_during_a_run_waits_for_its_end_and_is_not_lost(running):
    put_photos(running.images, [8])
    job = running.defs.resolve_job_def("deduplicate")
    going = running.instance.create_run_for_job(job, status=dg.DagsterRunStatus.STARTED)
    assert running.ticks() == []
    assert f"run {going.run_id[:8]} goes on" in running.tick()[1]
    running.instance.report_run_canceled(going)
    assert running.ticks() == [CHAIN]


@pytest.mark.parametrize("automation", [{"automation": "eager"}, {"automation": "none", "batches": "folders"}])
def test_a_run_that_was_killed_with_the_machine_ends_at_the_next_tick(once, tmp_path, instance, automation):
    deployment = copied(once, tmp_path, instance)
    deployment.configure(**automation)
    job = deployment.defs.resolve_job_def("deduplicate")
    killed, going = (instance.create_run_for_job(job, status=dg.DagsterRunStatus.STARTED) for _ in range(2))
    kill_with_the_store(project_of(deployment.images, deployment.store).store, killed.run_id)
    deployment.tick()
    assert instance.get_run_by_id(killed.run_id).status == dg.DagsterRunStatus.FAILURE
    assert instance.get_run_by_id(going.run_id).status == dg.DagsterRunStatus.STARTED


def test_a_change_while_another_program_has_the_store_waits(running):
    put_photos(running.images, [8])
    store = project_of(running.images, running.store).store
    running.settled()
    with store.exclusively(lease=store.lease("elsewhere")):
        assert [running.tick()[0] for _ in range(3)] == [[]] * 3
    assert running.ticks() == [CHAIN]


def test_a_tick_that_is_evaluated_twice_asks_for_the_same_run(running):
    put_photos(running.images, [8])
    running.settled()
    running.tick()
    before = running.cursor
    (first,) = running.tick()[0]
    running.cursor, running.keys = before, set()
    (second,) = running.tick()[0]
    assert first.run_key == second.run_key


def test_a_run_is_asked_for_with_what_was_seen(running):
    put_photos(running.images, [8])
    running.settled()
    running.tick()
    with dg.build_sensor_context(
        instance=running.instance, cursor=running.cursor, repository_def=running.repository
    ) as context:
        result = running.sensor.evaluate_tick(context)
    versions = {event.asset_key.path[-1]: event.tags["dagster/data_version"] for event in result.asset_events}
    assert versions["image_folder"] == project_of(running.images, running.store).images.listing().version
    (request,) = result.run_requests
    assert request.tags["dedup_assets/started_by"] == "eager"
    assert len(result.cursor) < 500


def test_automatic_runs_use_the_thresholds_of_the_component_and_a_difference_is_a_warning(once, tmp_path, instance):
    deployment = copied(once, tmp_path, instance)
    other = {"duplicate_threshold": 0.0001, "near_duplicate_threshold": 0.02}
    deployment.run(ops={"uniqueness_scores": {"config": other}})
    said = deployment.checks["thresholds_as_configured"]
    assert not said.passed
    assert said.description.startswith("used 0.0001 and 0.02; configured are 0.0001 and 0.05")

    put_photos(deployment.images, [8])
    assert deployment.ticks() == [CHAIN]
    said = deployment.checks["thresholds_as_configured"]
    assert not said.passed
    assert "used 0.0001 and 0.05" in said.description
    assert "the run before used 0.0001 and 0.02" in said.description

    put_photos(deployment.images, [9])
    assert deployment.ticks() == [CHAIN]
    assert deployment.checks["thresholds_as_configured"].passed


def test_most_of_a_delivery_being_there_already_is_a_warning_and_a_number(once, tmp_path, instance):
    deployment = copied(once, tmp_path, instance, drift_bound=0.3)
    for number in range(10):
        source = deployment.images / f"{number % 3:03d}.png"
        target = deployment.images / "again" / f"{number}.png"
        target.parent.mkdir(exist_ok=True)
        shutil.copy(source, target) if number < 6 else put(photo(50 + number), target)
    assert deployment.ticks() == [CHAIN]
    said = deployment.checks["few_duplicates_among_new_images"]
    assert not said.passed
    assert said.severity == dg.AssetCheckSeverity.WARN
    assert "6 of 10 in all folders (60%), 6 of 10 in 'again' (60%)" in said.description
    event = instance.get_latest_materialization_event(dg.AssetKey("uniqueness_scores"))
    numbers = {name: value.value for name, value in event.asset_materialization.metadata.items()}
    assert (numbers["new_images"], numbers["new_duplicates"]) == (10, 6)
    assert numbers["new_duplicate_share"] == numbers["new_duplicate_share/again"] == 0.6


def test_nothing_but_the_sensor_starts_a_run(running):
    """No asset has a condition that Dagster's own daemon would answer beside the sensor."""
    assert dg.evaluate_automation_conditions(running.defs, running.instance).total_requested == 0
    put_photos(running.images, [8])
    assert dg.evaluate_automation_conditions(running.defs, running.instance).total_requested == 0


# ---- why not Dagster's own condition


def eager_pair():
    @dg.observable_source_asset
    def source():
        return dg.DataVersion("never asked")

    @dg.asset(deps=[source], automation_condition=dg.AutomationCondition.eager())
    def result():
        pass

    return dg.Definitions([source, result])


def observe(instance, version):
    observation = dg.AssetObservation("source", tags={"dagster/data_version": version})
    instance.report_runless_asset_event(observation)


@pytest.mark.filterwarnings("ignore")
def test_dagsters_eager_condition_forgets_a_change_made_during_a_run(instance):
    """The reason for a sensor of our own. Should this fail one day, the condition may take its place."""
    defs = eager_pair()

    def evaluate(cursor=None):
        return dg.evaluate_automation_conditions(defs, instance, cursor=cursor)

    observe(instance, "1")
    first = evaluate()
    defs.resolve_implicit_global_asset_job_def().execute_in_process(instance=instance, run_config=QUIET)
    settled = evaluate(first.cursor)
    observe(instance, "2")
    asked = evaluate(settled.cursor)
    assert asked.total_requested == 1
    job = defs.resolve_implicit_global_asset_job_def()
    observe(instance, "3")  # the run has listed the folder already, and has not ended yet
    job.execute_in_process(instance=instance, run_config=QUIET)
    after = evaluate(asked.cursor)
    assert after.total_requested == 0


# ---- the clock


def test_the_schedule_runs_the_whole_chain_on_its_cron(tmp_path):
    instance = dg.DagsterInstance.local_temp(str(tmp_path))
    put_photos(tmp_path / "images", range(2))
    defs = build_dedup_defs(
        tmp_path / "images", tmp_path / "store", automation="schedule", cron="0 6 * * *", timezone="Europe/Berlin"
    )
    (schedule,) = defs.schedules
    assert (schedule.cron_schedule, schedule.execution_timezone) == ("0 6 * * *", "Europe/Berlin")
    assert schedule.default_status == dg.DefaultScheduleStatus.RUNNING
    assert not defs.sensors

    def tick():
        when = datetime(2030, 1, 1, 5, tzinfo=timezone.utc)
        with dg.build_schedule_context(
            instance=instance, scheduled_execution_time=when, repository_def=defs.get_repository_def()
        ) as context:
            return schedule.evaluate_tick(context)

    (request,) = tick().run_requests
    assert request.asset_selection is None
    assert request.job_name in (None, "deduplicate")
    job = defs.resolve_job_def("deduplicate")
    instance.create_run_for_job(job, status=dg.DagsterRunStatus.STARTED)
    assert tick().run_requests
    instance.create_run_for_job(job, status=dg.DagsterRunStatus.NOT_STARTED)
    assert tick().run_requests == []
    assert "has not begun yet" in tick().skip_message


# ---- the setting


def test_nothing_starts_by_itself_unless_told(tmp_path):
    defs = build_dedup_defs(tmp_path, tmp_path / "store")
    assert not defs.sensors
    assert not defs.schedules


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"mode": "always"}, "automation is 'always'; it must be one of none, eager, schedule"),
        ({"mode": "schedule"}, "automation is 'schedule' but there is no cron"),
        ({"mode": "eager", "cron": "0 6 * * *"}, "cron is '0 6 * * *' but automation is 'eager'"),
        ({"timezone": "UTC"}, "timezone is 'UTC' but automation is 'none'"),
        ({"mode": "schedule", "cron": "61 * * * *"}, "cron '61 * * * *' is not a cron schedule"),
        ({"mode": "schedule", "cron": "daily"}, "cron 'daily' is not a cron schedule"),
        ({"mode": "schedule", "cron": "0 6 * * *", "timezone": "Mars"}, "timezone 'Mars' is not known"),
        ({"mode": "schedule", "cron": "0 6 * * *", "timezone": "../x"}, "timezone '../x' is not known"),
    ],
)
def test_settings_that_do_not_go_together_are_one_clear_sentence(settings, sentence):
    with pytest.raises(SettingsError) as raised:
        Automation(**settings)
    assert str(raised.value).startswith(sentence)


def test_two_datasets_have_a_sensor_each(tmp_path):
    defs = dg.Definitions.merge(
        *(
            build_dedup_defs(tmp_path / name, tmp_path / f"{name}_store", key_prefix=name, automation="eager")
            for name in "ab"
        )
    )
    assert sorted(sensor.name for sensor in defs.sensors) == [
        "a_deduplicate_when_changed",
        "b_deduplicate_when_changed",
    ]
    pools = {node.pools.pop() for node in defs.resolve_asset_graph().asset_nodes if node.is_materializable}
    assert len(pools) == 2
