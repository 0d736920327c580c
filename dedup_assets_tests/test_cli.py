"""The command line, as a user runs it: exit codes, summaries, one clear line for what goes wrong."""

import gc
import json
import os
import re
import subprocess
import sys
import weakref
from datetime import datetime, timedelta
from pathlib import Path

import click
import pytest
from click.testing import CliRunner
from PIL import Image

from dedup_assets import cli as cli_module
from dedup_assets.cli import cli, run_command
from dedup_assets.demo import make_demo_images
from dedup_assets_tests.pictures import photo, put


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    folder = tmp_path_factory.mktemp("cli") / "images"
    make_demo_images(folder)
    return folder


def state(images):
    return {path: (path.stat().st_mtime_ns, path.stat().st_size, path.stat().st_nlink) for path in images.rglob("*")}


@pytest.fixture(scope="module")
def first_run(images, tmp_path_factory):
    """The store of a run over the images, what it printed, and the images before and after."""
    folder, before = tmp_path_factory.mktemp("cli_store") / "store", state(images)
    code, out, _ = call("run", images, "--store", folder)
    assert code == 0
    return folder, out, before, state(images)


@pytest.fixture(scope="module")
def store(first_run):
    return first_run[0]


def call(*arguments):
    """Exit code, standard output and standard error of `dedup-assets ARGUMENTS`, in this process."""
    runner = CliRunner()

    @click.command(context_settings={"ignore_unknown_options": True, "help_option_names": []})
    @click.argument("rest", nargs=-1, type=click.UNPROCESSED)
    def entry(rest):
        sys.argv = ["dedup-assets", *rest]
        sys.exit(run_command())

    before = sys.argv
    try:
        result = runner.invoke(entry, [str(argument) for argument in arguments])
    finally:
        sys.argv = before
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result.exit_code, result.stdout, result.stderr


def walk(command, path=()):
    yield path, command
    for name, inner in getattr(command, "commands", {}).items():
        yield from walk(inner, (*path, name))


@pytest.mark.parametrize(
    ("path", "command"), list(walk(cli)), ids=lambda value: " ".join(value) if isinstance(value, tuple) else ""
)
def test_every_command_and_option_explains_itself(path, command):
    code, out, _ = call(*path, "--help")
    assert code == 0
    assert command.help.split("\n")[0][:40] in " ".join(out.split())
    for parameter in command.params:
        assert isinstance(parameter, click.Argument) or parameter.help, parameter.name


def test_a_run_ends_with_the_numbers_and_what_to_do_next(first_run):
    for word in (
        "images",
        "unreadable",
        "duplicates",
        "near duplicates",
        "kept",
        "explore",
        "why IMAGE",
        "decisions.csv",
    ):
        assert word in first_run[1]


def test_a_second_run_decodes_nothing_and_says_so(images, store):
    _, out, _ = call("run", images, "--store", store)
    assert "none was decoded" in out


def test_a_run_says_how_its_dataset_differs_from_the_one_before(tmp_path):
    for number in range(3):
        put(photo(number), tmp_path / "images" / f"{number}.png")
    _, out, _ = call("run", tmp_path / "images", "--store", tmp_path / "store")
    assert "differ" not in out
    (tmp_path / "images" / "0.png").unlink()
    put(photo(7), tmp_path / "images" / "7.png")
    put(photo(8), tmp_path / "images" / "8.png")
    code, out, _ = call("run", tmp_path / "images", "--store", tmp_path / "store")
    assert code == 0
    before, kinds = re.search(r"differ +3  from (\S+): (.*)", out).groups()
    assert kinds == "2 added, 1 vanished"
    asked = re.search(r"what differs +dedup-assets (diff \S+)", out)[1].split()
    assert asked == ["diff", before]
    assert "0.png: no longer in the folder" in call(*asked, "--store", tmp_path / "store")[1]
    told = json.loads(call("run", tmp_path / "images", "--store", tmp_path / "store", "--json")[1])
    assert told["differs"] == {}


def test_a_run_for_scripts_prints_one_json_object(images, store):
    code, out, _ = call("run", images, "--store", store, "--json")
    told = json.loads(out)
    assert code == 0
    assert told["kept"] + told["duplicates"] + told["unreadable"] == told["images"]


def test_why_names_the_keeper_the_ground_and_the_run(store):
    code, out, _ = call("why", "scans/kitty.jpg", "--store", store)
    assert code == 0
    assert "scans/kitty.jpg was removed: it shows exactly the pixels of camera_roll/cat.jpg" in out
    assert "Dagster run" in out
    assert "camera_roll/cat.jpg stays." in out


def test_why_knows_kept_and_unreadable_images_too(store):
    assert "is kept" in call("why", "camera_roll/cat.jpg", "--store", store)[1]
    assert "cannot be used" in call("why", "downloads/horse_incomplete.jpg", "--store", store)[1]


def test_why_takes_a_path_as_well_as_an_image_id(images, store):
    assert call("why", images / "scans" / "kitty.jpg", "--store", store)[0] == 0


def test_why_answers_scripts_in_json(store):
    told = json.loads(call("why", "scans/kitty.jpg", "--store", store, "--json")[1])
    assert told["fate"] == "removed"
    assert told["survivor"] == "camera_roll/cat.jpg"
    assert told["chain"][0]["duplicate_threshold"] == 0.0001


def test_why_suggests_names_for_one_it_does_not_know(store):
    code, _, err = call("why", "kitty.jpg", "--store", store)
    assert code == 1
    assert "did you mean 'scans/kitty.jpg'" in err


def test_status_tells_what_the_store_holds(store):
    code, out, _ = call("status", "--store", store)
    assert code == 0
    assert "kept" in out
    assert re.search(r"written +\d{4}-\d\d-\d\d \d\d:\d\d UTC", out)
    told = json.loads(call("status", "--store", store, "--json")[1])
    assert told["images"] == 51
    assert datetime.fromisoformat(told["finished_at"]).utcoffset() == timedelta(0)


def test_plan_tells_that_nothing_would_change_or_what(images, store):
    code, out, _ = call("plan", "--store", store)
    assert code == 0
    assert "A run would change nothing; the dataset stays deduplicated/" in out
    code, out, _ = call("plan", "--store", store, "--duplicate-threshold", "0.02")
    assert "would leave" in out
    assert "more (--all names them)" in out
    assert "Nothing was written" in out
    told = json.loads(call("plan", "--quick", "--json", "--store", store)[1])
    assert told["to_read"] == 0
    assert told["outcome"] is None


def test_a_run_that_a_check_stops_says_what_to_do_and_the_status_that_the_dataset_is_older(tmp_path):
    for number, split in enumerate(["train", "test"]):
        put(photo(number), tmp_path / "images" / split / f"{number}.png")
    given = (tmp_path / "images", "--store", tmp_path / "store", "--leakage", "block")
    assert call("run", *given)[0] == 0
    put(photo(0, (256, 192)), tmp_path / "images" / "train" / "large.png")
    put(photo(0, (256, 192)).crop((6, 6, 250, 188)), tmp_path / "images" / "test" / "part.png")
    code, _, err = call("run", *given)
    assert code == 1
    assert re.search(r"no_picture_in_two_splits .*The dataset was not written; 'dedup-assets plan' tells", err)
    assert "decide which of them leave" in call("plan", "--store", tmp_path / "store")[1]
    assert "The dataset is older than the other numbers" in call("status", "--store", tmp_path / "store")[1]


def test_plan_works_before_the_first_run_and_says_when_it_cannot(images, tmp_path):
    code, out, _ = call("plan", images, "--quick", "--store", tmp_path / "store")
    assert code == 0
    assert re.search(r"new +51 +files", out)
    assert not (tmp_path / "store").exists()
    assert "there is no store at" in call("plan", "--store", tmp_path / "store")[2]


def test_plan_ends_with_1_when_a_run_would_stop(store, tmp_path):
    (tmp_path / "decisions.csv").write_text("image_id,decision\nscans/kitty.jpg,destroy\n")
    code, out, _ = call("plan", "--store", store, "--decisions", tmp_path / "decisions.csv")
    assert code == 1
    assert "A run would stop, and leave the dataset as it is: decisions.csv line 2: unknown decision" in out


@pytest.mark.parametrize("suffix", [".csv", ".parquet", ".json", ".txt"])
def test_export_writes_the_format_that_the_name_asks_for(store, tmp_path, suffix):
    target = tmp_path / f"removed{suffix}"
    code, out, _ = call("export", "removed", "--store", store, "-o", target)
    assert code == 0
    assert target.stat().st_size > 0
    assert str(target) in out


def test_export_into_a_folder_that_is_not_there_is_one_line(store, tmp_path):
    code, out, err = call("export", "kept", "--store", store, "-o", tmp_path / "nowhere" / "x.csv")
    assert (code, out, err.count("\n")) == (1, "", 1)
    assert err.startswith(f"error: cannot write '{tmp_path / 'nowhere' / 'x.csv'}': there is no folder")


def test_export_prints_csv_without_a_file(store):
    _, out, _ = call("export", "kept", "--store", store)
    assert out.splitlines()[0].startswith("image_id,file_hash,")


def test_nothing_of_the_users_is_changed(first_run):
    _, _, before, after = first_run
    assert after == before


def broken_folder(folder):
    folder.mkdir()
    (folder / "a.jpg").write_text("no picture")
    return folder


def one_file(folder):
    folder.mkdir()
    Image.new("RGB", (40, 40), "red").save(folder / "a.png")
    return folder


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (lambda tmp: ("run", tmp / "nowhere"), "does not exist"),
        (lambda tmp: ("run", one_file(tmp / "x") / "a.png"), "is a file, not a folder"),
        (lambda tmp: ("run", tmp), "there are no images under"),
        (lambda tmp: ("run", broken_folder(tmp / "x")), "none of the 1 images"),
        (lambda tmp: ("run", one_file(tmp / "x"), "--duplicate-threshold", "0.05"), "must be smaller than"),
        (lambda tmp: ("run", one_file(tmp / "x"), "--near-duplicate-threshold", "1.5"), "between 0 and 1"),
        (lambda tmp: ("run", one_file(tmp / "x"), "--duplicate-threshold", "nan"), "between 0 and 1"),
        (lambda tmp: ("run", one_file(tmp / "x"), "--embedder", "magic"), "there is no embedder 'magic'"),
        (lambda tmp: ("run", one_file(tmp / "x"), "--placement", "beam"), "placement is 'beam'"),
        (lambda tmp: ("run", one_file(tmp / "x"), "--name", "a/b"), "cannot be a folder name"),
        (lambda tmp: ("run", one_file(tmp / "x"), "--keeper-order", "beauty"), "keeper_order has 'beauty'"),
        (lambda tmp: ("why", "a.jpg"), "there is no store at"),
        (lambda tmp: ("status",), "there is no store at"),
    ],
)
def test_what_goes_wrong_is_one_line_and_exit_code_1(arguments, sentence, tmp_path):
    code, _, err = call(*arguments(tmp_path), "--store", tmp_path / "store")
    assert code == 1
    assert err.startswith("error: ")
    assert sentence in err
    assert err.count("\n") == 1


def test_a_broken_decisions_file_names_the_line_and_changes_nothing(images, store, tmp_path):
    decisions = tmp_path / "decisions.csv"
    decisions.write_text("image_id,decision\nscans/kitty.jpg,destroy\n")
    before = call("export", "removed", "--store", store)[1]
    code, _, err = call("run", images, "--store", store, "--decisions", decisions)
    assert code == 1
    assert "decisions.csv line 2: unknown decision 'destroy'" in err
    assert call("export", "removed", "--store", store)[1] == before


def test_wrong_usage_is_exit_code_2():
    assert call("run")[0] == 2
    assert call("runn")[0] == 2
    assert call("export", "everything")[0] == 2


def test_the_store_variable_names_the_store(tmp_path, monkeypatch):
    monkeypatch.setenv("DEDUP_STORE", str(tmp_path / "by_variable"))
    assert call("run", one_file(tmp_path / "x"))[0] == 0
    assert (tmp_path / "by_variable" / "dedup.duckdb").is_file()


def test_the_demo_makes_its_pictures_and_runs_on_them(tmp_path):
    code, out, _ = call("demo", "--folder", tmp_path / "pictures", "--store", tmp_path / "store")
    assert code == 0
    assert "files in" in out
    assert "kept" in out


@pytest.mark.parametrize(
    ("code", "arguments"), [(0, ["--version"]), (0, ["plan", "--help"]), (1, ["status"]), (2, ["why"])]
)
def test_the_module_does_what_the_command_does(code, arguments, tmp_path):
    ended = [
        subprocess.run([*start, *arguments], cwd=tmp_path, capture_output=True, text=True)
        for start in ([Path(sys.executable).with_name("dedup-assets")], [sys.executable, "-m", "dedup_assets"])
    ]
    said = [(run.stdout + run.stderr).replace("python -m dedup_assets", "dedup-assets").split() for run in ended]
    assert [run.returncode for run in ended] == [code, code]
    assert said[0] == said[1] != []


def test_a_run_that_is_told_to_stop_says_that_it_goes_on_next_time(tmp_path):
    code = """
import os, signal
from dedup_assets.core.steps import embeddings
embeddings._embed = lambda *_: os.kill(os.getpid(), signal.SIGINT)
from dedup_assets.cli import main
main()
"""
    images = one_file(tmp_path / "x")
    run = [sys.executable, "-c", code, "run", str(images), "--store", str(tmp_path / "store")]
    ended = subprocess.run(run, capture_output=True, text=True, check=False)
    assert ended.returncode == 130
    assert ended.stderr.splitlines()[-1] == "stopped; what was finished is kept, run again to go on"
    assert "Traceback" not in ended.stderr
    assert call("run", images, "--store", tmp_path / "store")[0] == 0


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full, the disk that is always full, here")
def test_what_cannot_be_printed_for_want_of_room_is_one_line(store):
    status = [sys.executable, "-m", "dedup_assets", "status", "--store", str(store)]
    with Path("/dev/full").open("w") as full:
        ended = subprocess.run(status, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert ended.returncode == 1
    assert ended.stderr.startswith("error: there is no room for what the command writes or prints (")
    assert ended.stderr.count("\n") == 1


def test_what_nobody_reads_is_no_error(store):
    status = [sys.executable, "-m", "dedup_assets", "status", "--store", str(store)]
    read, write = os.pipe()
    os.close(read)
    ended = subprocess.run(status, stdout=write, stderr=subprocess.PIPE, text=True, check=False)
    os.close(write)
    assert (ended.returncode, ended.stderr) == (1, "")


def test_garbage_is_collected_once_everything_is_imported(monkeypatch):
    monkeypatch.setattr(cli_module, "_FIRST", 3)
    frozen = cli_module.FrozenImports()
    gc.callbacks.append(frozen)
    try:
        for _ in range(3):
            gc.collect()
            assert gc.get_count()[0] < 100
        assert gc.get_freeze_count() > 1000
        assert frozen in gc.callbacks
        loop = Loop()
        loop.itself, gone = loop, weakref.ref(loop)
        del loop
        gc.collect()
        assert gone() is None
        assert frozen not in gc.callbacks
    finally:
        gc.unfreeze()


class Loop:
    """Refers to itself: only a collection ends it."""


def test_nothing_is_said_after_the_end(images, store):
    code = "import torch; from dedup_assets.cli import main; main()"
    run = [sys.executable, "-c", code, "run", str(images), "--store", str(store)]
    ended = subprocess.run(run, capture_output=True, text=True, check=True)
    assert "kept" in ended.stdout
    assert "leaked" not in ended.stderr
