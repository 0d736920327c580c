"""The plugin as `dg` sees it: listed, scaffolded, checked, loaded from a defs.yaml."""

import os
import subprocess
import sys
import traceback
from pathlib import Path

import dagster as dg
import pytest
import yaml
from dagster.components.testing import create_defs_folder_sandbox

from dedup_assets import DedupComponent

TYPE = "dedup_assets.component.DedupComponent"
DG = Path(sys.executable).with_name("dg")
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


def run_dg(folder, *arguments):
    environment = {**os.environ, "COLUMNS": "200", "DAGSTER_DG_CLI_DISABLE_TELEMETRY": "1", "PYTHONPATH": str(folder)}
    result = subprocess.run([DG, *arguments], cwd=folder, env=environment, capture_output=True, text=True)
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout


def attributes(**more):
    return {"type": TYPE, "attributes": {"images": "images", "store": "store", **more}}


def load(tmp_path, **more):
    """The definitions of one instance with these attributes, and the folder of its defs.yaml."""
    with create_defs_folder_sandbox() as sandbox:
        path = sandbox.scaffold_component(component_cls=DedupComponent, defs_yaml_contents=attributes(**more))
        with sandbox.load_component_and_build_defs(defs_path=path) as (component, defs):
            return component, defs, path


def test_dg_lists_the_component(project):
    assert TYPE in run_dg(project, "list", "components")


def test_scaffolding_writes_the_attributes_most_people_set(project):
    written = yaml.safe_load((project / "photos" / "defs" / "animals" / "defs.yaml").read_text())
    assert written["type"] == TYPE
    assert written["attributes"]["key_prefix"] == ["animals"]
    assert written["attributes"]["duplicate_threshold"] == 0.0001
    assert written["attributes"]["near_duplicate_threshold"] == 0.05
    assert {"images", "store", "owners"} <= set(written["attributes"])


def test_dg_checks_two_instances_in_one_project(project):
    assert "All definitions loaded successfully" in run_dg(project, "check", "defs")


def test_two_instances_bring_the_chain_twice(project):
    listed = run_dg(project, "list", "defs", "--json")
    assert listed.count("/uniqueness_scores") >= 2


def test_an_attribute_that_does_not_exist_is_named(project):
    file = project / "photos" / "defs" / "cars" / "defs.yaml"
    before = file.read_text()
    file.write_text(before + "  threshold: 3\n")
    try:
        with pytest.raises(AssertionError, match="threshold"):
            run_dg(project, "check", "defs")
    finally:
        file.write_text(before)


def test_the_attributes_of_the_component_reach_the_assets(tmp_path):
    _, defs, _ = load(tmp_path, key_prefix=["zoo"], owners=["team:zoo"], group_name="animals")
    node = defs.resolve_asset_graph().get(dg.AssetKey(["zoo", "uniqueness_scores"]))
    assert (node.group_name, list(node.owners)) == ("animals", ["team:zoo"])
    assert defs.resolve_job_def("zoo_deduplicate")


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
    with pytest.raises(Exception, match="Error while building definitions") as raised:
        load(tmp_path, automation="schedule")
    said = "".join(traceback.format_exception(raised.value))
    assert "SettingsError: automation is 'schedule' but there is no cron; add one" in said


def test_every_attribute_of_the_component_explains_itself():
    fields = DedupComponent.model_fields
    assert not [name for name, field in fields.items() if not field.description]


def test_a_threshold_out_of_range_is_named_with_its_file(project):
    file = project / "photos" / "defs" / "cars" / "defs.yaml"
    before = file.read_text()
    file.write_text(before.replace("near_duplicate_threshold: 0.05", "near_duplicate_threshold: 3"))
    try:
        with pytest.raises(AssertionError, match=r"near_duplicate_threshold.*\n.*less than or equal to 1"):
            run_dg(project, "check", "defs")
    finally:
        file.write_text(before)
