"""The plugin as `dg` sees it: listed, scaffolded, checked, loaded from a defs.yaml."""

import contextlib
import os
import pickle
import subprocess
import sys
import traceback
from pathlib import Path

import dagster as dg
import pytest
import yaml
from click.testing import CliRunner
from dagster.components.testing import create_defs_folder_sandbox
from dagster_dg_cli.cli import cli as dg_cli
from jsonschema import Draft202012Validator

from dedup_assets import DedupComponent, build_dedup_defs
from dedup_assets.core.datasets import PLACEMENTS
from dedup_assets.core.detection.products import DEVICES
from dedup_assets.core.engines.base import ENGINES
from dedup_assets.core.errors import SettingsError
from dedup_assets.core.settings import AUTOMATIONS, BATCHES, INPUT_FORMATS, LABEL_POLICIES, LEAKAGE_POLICIES
from dedup_assets_tests.deployment import QUIET
from dedup_assets_tests.pictures import put_photos

TYPE = "dedup_assets.component.DedupComponent"
ROOT = Path(__file__).parent.parent
DG = Path(sys.executable).with_name("dg")
DG_SETTINGS = {"COLUMNS": "200", "DAGSTER_DG_CLI_DISABLE_TELEMETRY": "1"}
PROJECT = """
[project]
name = "photos"
version = "0"
requires-python = ">=3.10"

[tool.dg]
directory_type = "project"

[tool.dg.project]
root_module = "photos"
"""
DEFINITIONS = """
from pathlib import Path

import dagster as dg


@dg.definitions
def defs():
    return dg.load_from_defs_folder(project_root=Path(__file__).parent.parent)
"""


@contextlib.contextmanager
def cars_saying(project, now, instead):
    """The defs.yaml of one instance with other words for some of it, as long as the block lasts; its folder."""
    file = project / "photos" / "defs" / "cars" / "defs.yaml"
    before = file.read_text()
    assert now in before
    file.write_text(before.replace(now, instead))
    try:
        yield file.parent
    finally:
        file.write_text(before)


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """A Dagster project with two scaffolded instances of the component."""
    root = tmp_path_factory.mktemp("project")
    (root / "photos" / "defs").mkdir(parents=True)
    (root / "pyproject.toml").write_text(PROJECT)
    (root / "photos" / "__init__.py").touch()
    (root / "photos" / "defs" / "__init__.py").touch()
    (root / "photos" / "definitions.py").write_text(DEFINITIONS)
    for name in ("animals", "cars"):
        run_dg(root, "scaffold", "defs", TYPE, name)
    return root


def start_dg(folder, *arguments):
    """What `dg ARGUMENTS` prints in a process of its own, in which it ends well."""
    path = os.pathsep.join([str(folder), str(ROOT)])
    environment = {**os.environ, **DG_SETTINGS, "PYTHONPATH": path}
    result = subprocess.run([DG, *arguments], cwd=folder, env=environment, capture_output=True, text=True)
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout


def run_dg(folder, *arguments):
    """The same in this process, which has imported most of it already."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.syspath_prepend(folder)
        patch.setenv("DAGSTER_IS_DEV_CLI", "1")  # dg sets it itself, and leaves it so
        for name in [name for name in sys.modules if name.partition(".")[0] == "photos"]:
            patch.delitem(sys.modules, name)
        result = CliRunner().invoke(dg_cli, [str(argument) for argument in arguments], env=DG_SETTINGS)
    assert result.exit_code == 0, result.output
    return result.stdout


def attributes(**more):
    return {"type": TYPE, "attributes": {"images": "images", "store": "store", **more}}


def load(tmp_path, **more):
    """The definitions of one instance with these attributes, and the folder of its defs.yaml."""
    with create_defs_folder_sandbox() as sandbox:
        path = sandbox.scaffold_component(component_cls=DedupComponent, defs_yaml_contents=attributes(**more))
        with sandbox.load_component_and_build_defs(defs_path=path) as (component, defs):
            return component, defs, path


def failure(tmp_path, **more):
    """What is told when the definitions of an instance with these attributes cannot be built."""
    with pytest.raises(Exception, match="Error while building definitions") as raised:
        load(tmp_path, **more)
    return "".join(traceback.format_exception(raised.value))


def test_dg_lists_the_component(project):
    assert TYPE in start_dg(project, "list", "components")


def test_scaffolding_writes_the_attributes_most_people_set(project):
    written = yaml.safe_load((project / "photos" / "defs" / "animals" / "defs.yaml").read_text())
    assert written["type"] == TYPE
    assert written["attributes"]["key_prefix"] == ["animals"]
    assert written["attributes"]["duplicate_threshold"] == 0.0001
    assert written["attributes"]["near_duplicate_threshold"] == 0.05
    assert {"images", "store", "owners"} <= set(written["attributes"])


def test_dg_checks_two_instances_in_one_project(project):
    assert "All definitions loaded successfully" in start_dg(project, "check", "defs")


def test_two_instances_bring_the_chain_twice(project):
    listed = run_dg(project, "list", "defs", "--json")
    assert listed.count("/uniqueness_scores") >= 2


def test_an_attribute_that_does_not_exist_is_named(project):
    with (
        cars_saying(project, "automation: none", "automation: none\n  threshold: 3"),
        pytest.raises(AssertionError, match="threshold"),
    ):
        run_dg(project, "check", "defs")


def test_a_code_location_keeps_its_own_executor(tmp_path):
    @dg.asset
    def theirs(): ...

    _, defs, _ = load(tmp_path, key_prefix="zoo")
    others = dg.Definitions(assets=[theirs], jobs=[dg.define_asset_job("own", [theirs])])
    for executor, name in ((None, "multi_or_in_process_executor"), (dg.multiprocess_executor, "multiprocess")):
        both = dg.Definitions.merge(defs, others, dg.Definitions(executor=executor))
        assert both.resolve_job_def("own").executor_def.name == name
        for job in ("zoo_deduplicate", "zoo_deduplicate_plan"):
            assert both.resolve_job_def(job).executor_def.name == "in_process"


def test_two_folders_of_images_cannot_share_a_store_in_one_code_location(tmp_path):
    def both(first, second):
        instances = [
            build_dedup_defs(tmp_path / images, tmp_path / "store", key_prefix=prefix)
            for prefix, images in (("a", first), ("b", second))
        ]
        return dg.Definitions.merge(*instances)

    with pytest.raises(SettingsError) as raised:
        both("dogs", "cats")
    assert str(raised.value) == (
        f"'{tmp_path / 'cats'}' and '{tmp_path / 'dogs'}' both name the store '{tmp_path / 'store'}'; "
        "give each place of images a store of its own, in its attribute 'store'"
    )
    (key,) = both("cats", "cats").resources
    assert type(pickle.loads(pickle.dumps(key))) is str, "events name it from process to process"


def test_the_attributes_of_the_component_reach_the_assets(tmp_path):
    _, defs, _ = load(tmp_path, key_prefix=["zoo"], owners=["team:zoo"], group_name="animals")
    node = defs.resolve_asset_graph().get(dg.AssetKey(["zoo", "uniqueness_scores"]))
    assert (node.group_name, list(node.owners)) == ("animals", ["team:zoo"])
    assert defs.resolve_job_def("zoo_deduplicate")


@pytest.mark.parametrize(
    ("key_prefix", "parts", "job"),
    [
        ("street-cats", ["street-cats"], "street_cats_deduplicate"),
        (["zoo", "cats.v2"], ["zoo", "cats.v2"], "zoo_cats_v2_deduplicate"),
        ("zoo/cats", ["zoo", "cats"], "zoo_cats_deduplicate"),
        ("", [], "deduplicate"),
    ],
)
def test_a_prefix_is_whatever_the_key_of_an_asset_may_be(tmp_path, key_prefix, parts, job):
    _, defs, _ = load(tmp_path, key_prefix=key_prefix, automation="eager", batches="folders")
    assert dg.AssetKey([*parts, "uniqueness_scores"]) in defs.resolve_asset_graph().get_all_asset_keys()
    assert defs.resolve_job_def(job)
    assert [sensor.name for sensor in defs.sensors] == [f"{job}_when_changed"]


@pytest.mark.parametrize("key_prefix", ["my photos", "café", ["zoo", ""]])
def test_a_prefix_that_cannot_be_one_is_named(tmp_path, key_prefix):
    assert "parts are letters, digits, '_', '-' and '.'" in failure(tmp_path, key_prefix=key_prefix)


def test_the_automation_of_the_component_is_a_sensor_or_a_schedule(tmp_path):
    _, defs, _ = load(tmp_path, key_prefix=["zoo"], automation="eager")
    assert [sensor.name for sensor in defs.sensors] == ["zoo_deduplicate_when_changed"]
    _, defs, _ = load(tmp_path, automation="schedule", cron="0 6 * * *", timezone="Europe/Berlin")
    assert [schedule.cron_schedule for schedule in defs.schedules] == ["0 6 * * *"]
    _, defs, _ = load(tmp_path)
    assert not defs.sensors
    assert not defs.schedules


def test_the_batches_of_the_component_are_partitions_named_after_it(tmp_path):
    _, defs, _ = load(tmp_path, key_prefix=["zoo"], batches="folders")
    node = defs.resolve_asset_graph().get(dg.AssetKey(["zoo", "embeddings"]))
    assert node.partitions_def == dg.DynamicPartitionsDefinition(name="zoo_deduplicate_batches")
    assert [sensor.name for sensor in defs.sensors] == ["zoo_deduplicate_batches_kept"]


def test_an_automation_that_does_not_hold_together_is_one_sentence(tmp_path):
    assert "SettingsError: automation is 'schedule' but there is no cron; add one" in failure(
        tmp_path, automation="schedule"
    )


def test_every_attribute_explains_itself_in_the_schema_that_editors_and_dg_read():
    schema = DedupComponent.model().model_json_schema()["properties"]
    assert set(schema) == set(DedupComponent.model_fields)
    assert not [name for name, said in schema.items() if not said.get("description")]


@pytest.mark.parametrize(
    ("attribute", "words"),
    [
        ("automation", AUTOMATIONS),
        ("batches", BATCHES),
        ("engine", ENGINES),
        ("input_format", INPUT_FORMATS),
        ("labels", LABEL_POLICIES),
        ("leakage", LEAKAGE_POLICIES),
        ("placement", PLACEMENTS),
        ("search_device", DEVICES),
    ],
)
def test_the_schema_holds_the_words_an_attribute_may_be_and_lets_templates_be(attribute, words):
    schema = Draft202012Validator(DedupComponent.model().model_json_schema())

    def told(value):
        return [error.message for error in schema.iter_errors({"images": "images", attribute: value})]

    assert told("eagre") == [f"'eagre' is not one of {[*words]}"]
    assert [told(word) for word in (*words, "{{ env.WORD }}")] == [[]] * (len(words) + 1)


def test_dg_knows_the_component_by_its_short_name_too(project):
    with cars_saying(project, TYPE, "dedup_assets.DedupComponent") as folder:
        run_dg(project, "check", "yaml", folder)


def test_dg_names_a_word_that_an_attribute_cannot_be(project):
    with (
        cars_saying(project, "automation: none", "automation: eagre") as folder,
        pytest.raises(AssertionError, match=r"'eagre' is not one of \['none', 'eager', 'schedule'\]"),
    ):
        run_dg(project, "check", "yaml", folder)


def test_numbers_and_switches_may_come_from_the_environment(tmp_path, monkeypatch):
    settings = {"NEAR": "0.1", "PIXELS": "1000", "WORKERS": "2", "CPUS": "0.5", "STAGE": "false"}
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    component, _, _ = load(
        tmp_path,
        near_duplicate_threshold="{{ env.NEAR }}",
        max_pixels="{{ env.PIXELS }}",
        workers="{{ env.WORKERS }}",
        ray_cpus="{{ env.CPUS }}",
        second_stage="{{ env.STAGE }}",
    )
    assert component.near_duplicate_threshold == 0.1
    assert (component.max_pixels, component.workers, component.ray_cpus) == (1000, 2, 0.5)
    assert component.second_stage is False


def test_a_number_from_the_environment_out_of_bounds_is_one_sentence(tmp_path, monkeypatch):
    monkeypatch.setenv("NEAR", "3")
    assert "SettingsError: near_duplicate_threshold is 3.0; it must be between 0 and 1" in failure(
        tmp_path, near_duplicate_threshold="{{ env.NEAR }}"
    )


def test_a_store_that_the_environment_does_not_name_is_not_taken_for_the_default(tmp_path):
    assert "SettingsError: store is given but empty; set the environment variable" in failure(
        tmp_path, store="{{ env.NO_SUCH_VARIABLE }}"
    )


def test_a_store_in_a_bucket_is_refused(tmp_path):
    assert "SettingsError: the store is 's3://bucket/store'" in failure(tmp_path, store="s3://bucket/store")


def test_paths_start_at_the_home_folder_or_at_the_file_that_names_them(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    put_photos(tmp_path / "photos", range(2))
    _, defs, path = load(tmp_path, images="~/photos", store="store", dataset_target="~/clean", decisions="~/said.csv")
    result = defs.resolve_job_def("deduplicate").execute_in_process(
        instance=dg.DagsterInstance.ephemeral(), run_config=QUIET
    )
    assert result.success
    assert (path / "store" / "dedup.duckdb").is_file()
    assert len(list((tmp_path / "clean" / "deduplicated").glob("*/manifest.csv"))) == 1


def test_a_threshold_out_of_range_is_named_with_its_file(project):
    with (
        cars_saying(project, "near_duplicate_threshold: 0.05", "near_duplicate_threshold: 3"),
        pytest.raises(AssertionError, match=r"near_duplicate_threshold.*\n.*less than or equal to 1"),
    ):
        run_dg(project, "check", "defs")
