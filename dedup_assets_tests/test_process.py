"""Whether a process has ended, as another one is told; where it is not known, it counts as alive."""

import json
import os
import subprocess
import sys

import pytest

from dedup_assets.core.storage.process import has_ended, told

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only Linux tells processes apart")


def other(**changed):
    """What is told of this process, with some of it as of another."""
    facts = dict(zip(("host", "boot", "space", "pid", "began"), json.loads(told(os.getpid())), strict=True))
    return json.dumps(list({**facts, **changed}.values()))


def test_a_process_ends_when_it_is_killed_before_anybody_has_taken_note_of_its_end():
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    said = told(process.pid)
    assert not has_ended(said)
    process.kill()
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    assert has_ended(said)
    process.wait()
    assert has_ended(said)
    assert told(process.pid) == ""


@pytest.mark.parametrize("changed", [{"began": "1"}, {"boot": "of yesterday"}, {"boot": "of yesterday", "space": "x"}])
def test_a_process_that_began_at_another_time_is_another_one(changed):
    assert not has_ended(other())
    assert has_ended(other(**changed))


@pytest.mark.parametrize("changed", [{"host": "elsewhere"}, {"space": "pid:[1]", "pid": 2**30}])
def test_of_processes_of_another_machine_or_container_nothing_is_known(changed):
    assert not has_ended(other(**changed))
    assert not has_ended("")
