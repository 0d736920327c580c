"""Whether a process has ended, asked from another process, maybe after the machine was started anew.

A process is told by its machine, the start of that machine, its own number and when it began: numbers are given again.
Only Linux tells all of that; of a process on another system, machine or in another container nothing is known.
"""

import json
import socket
from pathlib import Path

_PROC = Path("/proc")


def told(pid: int) -> str:
    """The process as `has_ended` takes it; '' where too little can be known of it."""
    began = _began(pid)
    return json.dumps([*_here(), pid, began]) if began and all(_here()) else ""


def has_ended(process: str) -> bool:
    """Whether it is sure that the process has ended. False where nothing is known."""
    if not process or not all(_here()):
        return False
    host, boot, space, pid, began = json.loads(process)
    host_now, boot_now, space_now = _here()
    if host != host_now:
        return False
    if boot != boot_now:
        return True
    return bool(space == space_now and began != _began(pid))


def _here() -> tuple[str, str, str]:
    """The name of the machine, its last start, and the space in which its processes have the numbers seen here."""
    try:
        boot = (_PROC / "sys/kernel/random/boot_id").read_text().strip()
        return socket.gethostname(), boot, str((_PROC / "self/ns/pid").readlink())
    except OSError:
        return socket.gethostname(), "", ""


def _began(pid: int) -> str:
    """When a process began, in ticks since the start of the machine; '' for one that is not there, or only its name."""
    try:
        facts = (_PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()
    except OSError:
        return ""
    return "" if facts[0] in "ZX" else facts[19]
