"""The README: every line it tells people to run is run here, and what it shows is what comes out."""

import re
import subprocess
import sys
from pathlib import Path

import dagster as dg
import pytest
import yaml

from dedup_assets import DedupComponent
from dedup_assets.core.scoring.decisions import read_decisions
from dedup_assets_tests.test_cli import call

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
SETUP = "pip install uv && uv run "


def blocks(language):
    """The fenced blocks of one language."""
    return re.findall(rf"```{language}\n(.*?)```", README, flags=re.DOTALL)


def commands():
    """(command, output shown) of every console line."""
    found = []
    for block in blocks("console"):
        for part in block.split("$ ")[1:]:
            command, _, shown = part.partition("\n")
            found.append((command.strip(), shown.strip("\n")))
    return found


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder in which the demo has run, and what it printed."""
    folder = tmp_path_factory.mktemp("readme")
    return folder, run("dedup-assets demo", folder)


def run(command, folder):
    assert command.startswith("dedup-assets ")
    arguments = command.split()[1:]
    code = "import sys; from dedup_assets.cli import main; sys.exit(main())"
    result = subprocess.run([sys.executable, "-c", code, *arguments], cwd=folder, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    return result.stdout.strip("\n")


def steady(text, folder):
    """The output without what differs between machines: the folder, and the version made from encoded bytes."""
    text = text.replace(f"{folder}/", "")
    return re.sub(r"deduplicated/[0-9a-f]{12}", "deduplicated/VERSION", text)


def test_the_two_set_up_lines_stand_alone():
    shown = [command for command, _ in commands() if command.startswith(SETUP)]
    assert shown == [f"{SETUP}dedup-assets demo", f"{SETUP}pytest"]


def test_the_demo_prints_what_the_readme_shows(folder):
    (shown,) = [output for command, output in commands() if command == f"{SETUP}dedup-assets demo"]
    assert steady(folder[1], folder[0]) == steady(shown, folder[0])


def test_every_other_command_of_the_tool_works(folder, monkeypatch):
    monkeypatch.chdir(folder[0])
    for command, _ in commands():
        if command.startswith("dedup-assets "):
            here = command.replace("/data/photos_dedup", "own_store").replace("/data/photos", "demo_images")
            here = here.replace("downloads/cat.jpg", "downloads/coffee.jpg")
            code, out, err = call(*here.split()[1:])
            assert (code, bool(out)) == (0, True), err


def test_the_code_location_of_workspace_yaml_loads():
    location = yaml.safe_load((ROOT / "workspace.yaml").read_text())["load_from"][0]["python_module"]
    module = __import__(location, fromlist=["defs"])
    assert isinstance(module.defs, dg.Definitions)
    assert module.defs.executor is dg.in_process_executor


def test_the_component_shown_is_valid():
    (block,) = blocks("yaml")
    shown = yaml.safe_load(block)
    assert shown["type"] == f"{DedupComponent.__module__}.{DedupComponent.__name__}"
    assert DedupComponent(**shown["attributes"])


def test_the_python_shown_runs():
    block, _ = blocks("python")
    scope = {}
    exec(block, scope)
    assert isinstance(scope["defs"], dg.Definitions)


def test_the_notebook_shown_runs(folder, capsys):
    _, block = blocks("python")
    here = block.replace("/data/photos_dedup", str(folder[0] / "dedup_store" / "demo"))
    here = here.replace("/data/photos", str(folder[0] / "demo_images")).replace("cat.jpg", "coffee.jpg")
    exec(here, {})
    told = capsys.readouterr().out
    assert "51 images under" in told
    assert "downloads/coffee.jpg" in told


def test_the_decisions_shown_can_be_read(tmp_path):
    (block,) = blocks("csv")
    file = tmp_path / "decisions.csv"
    file.write_text(block)
    assert [decision.decision for decision in read_decisions(file)] == ["remove", "not_duplicate", "discard", "keep"]


def test_the_table_of_assets_is_the_chain():
    listed = re.findall(r"^\| `(\w+)` \|", README, flags=re.MULTILINE)
    from dedup_assets import build_dedup_defs

    graph = build_dedup_defs("images", "store").resolve_asset_graph()
    assert sorted(listed) == sorted(key.path[-1] for key in graph.get_all_asset_keys())


def test_pictures_and_pages_linked_are_in_the_repository():
    links = [link for link in re.findall(r"\]\(([^)]+)\)", README) if "://" not in link]
    assert links
    assert not [link for link in links if not (ROOT / link.partition("#")[0]).is_file()]
