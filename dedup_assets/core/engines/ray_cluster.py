"""The connection to a Ray cluster: one that is there, or one on this machine for as long as this process lives."""

import importlib.util
import os
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

from dedup_assets.core.engines.base import RaySettings
from dedup_assets.core.engines.local import worker_count
from dedup_assets.core.errors import EngineError

_HERE = "local"  # as Ray itself calls it
_QUIET: dict[str, Any] = {"logging_level": "ERROR", "log_to_driver": False}
_CLIENT_PORT = 10001
# Under `uv run` Ray would copy the current folder, images and all, to every worker, and make an environment there.
_SWITCHED_OFF = ("RAY_USAGE_STATS_ENABLED", "RAY_ENABLE_UV_RUN_RUNTIME_ENV")
_connected: list[str] = []  # by this module, not by a resource
_REACH_SECONDS = 5.0
_SETTINGS = b"\x04"  # the kind of the first frame, after three bytes for its length (RFC 9113)
_HTTP2_BEGINS = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes(3) + _SETTINGS + bytes(5)
_OBJECT_STORE_BYTES = 2 << 30  # at most, of a cluster on this machine; what is more goes to disk
_OBJECT_STORE_SHARE = 0.15
_STARTS = 3  # a busy machine may need more than the half minute that Ray gives it


def check_installed() -> None:
    """Raise EngineError unless Ray can be imported. Imports nothing."""
    if any(importlib.util.find_spec(package) is None for package in ("ray", "pandas")):
        raise EngineError("the engine 'ray' needs Ray, which is not installed: pip install 'dedup-assets[ray]'")


def connect(settings: RaySettings, workers: int | None, say: Callable[[str], None]) -> Any:  # noqa: ANN401 - a module
    """Ray itself, connected to the cluster; `say` is told which. A connection that is open already is used: a Dagster
    resource may have made it. Otherwise it stays open for as long as this process lives.

    Raises EngineError naming the address when it cannot be reached.
    """
    check_installed()
    for name in _SWITCHED_OFF:
        os.environ.setdefault(name, "0")
    import ray

    if ray.is_initialized():
        if not _connected:
            say(f"using the Ray cluster that this run is connected to: {_size(ray)}")
        return ray
    address = settings.address or os.environ.get("RAY_ADDRESS") or _HERE
    if address == _HERE:
        _start(ray, workers)
    else:
        _check_reachable(address)
        try:
            ray.init(address, **_QUIET)
        except Exception as error:
            raise EngineError(f"cannot use the Ray cluster at '{address}' ({_reason(error)}); {_HINT}") from error
    _connected.append(address)
    where = "started on this machine" if address == _HERE else f"at {address}"
    say(f"using a Ray cluster {where}: {_size(ray)}")
    return ray


def _size(ray: Any) -> str:  # noqa: ANN401 - a module
    there: dict[str, float] = ray.cluster_resources()
    return f"{there.get('CPU', 0):g} CPUs, {there.get('GPU', 0):g} GPUs"


def _start(ray: Any, workers: int | None) -> None:  # noqa: ANN401 - a module
    """Start a cluster on this machine, of as many CPUs as `workers`, or all."""
    for attempt in range(_STARTS):
        try:
            ray.init(
                _HERE,
                num_cpus=worker_count(workers),
                object_store_memory=_object_store(),
                include_dashboard=False,
                **_QUIET,
            )
        except Exception as error:
            ray.shutdown()
            if "timed out" not in str(error) or attempt == _STARTS - 1:
                raise EngineError(
                    f"cannot start a Ray cluster on this machine ({_reason(error)}); it may be too busy or out of "
                    "memory, the engine 'local' needs less"
                ) from error
        else:
            return


def slots(ray: Any, settings: RaySettings, gpus: float = 0.0) -> int:  # noqa: ANN401 - a module
    """Tasks that the cluster does at a time, at least one; it may grow when asked for more."""
    there = ray.cluster_resources()
    counts = [there.get(kind, 0.0) / each for kind, each in (("CPU", settings.cpus), ("GPU", gpus)) if each > 0]
    return max(1, int(min(counts))) if counts else 1


@contextmanager
def explained(what: str) -> Iterator[None]:
    """Turn what Ray raises of lost workers and missing packages into one sentence."""
    import ray

    try:
        yield
    except ray.exceptions.RayActorError:
        raise
    except ray.exceptions.RayError as error:
        said = [line.strip() for line in str(error).splitlines() if line.strip()] or [type(error).__name__]
        raise EngineError(f"the Ray cluster could not do {what}: {said[-1]}; its logs tell more") from error


_HINT = (
    "see that the cluster runs, that its address and port are right, that RAY_AUTH_MODE=token is set here where it "
    "asks for a token, and that Python and Ray are of the same versions there, "
    "or leave the address out to use this machine"
)


def _check_reachable(address: str) -> None:
    """Ray itself would try for minutes before it says so."""
    if address == "auto":
        return
    parts = urlsplit(address if "://" in address else f"//{address}")
    try:
        host, port = parts.hostname, parts.port or (_CLIENT_PORT if parts.scheme == "ray" else None)
    except ValueError:
        host, port = None, None
    if not host or not port:
        raise EngineError(
            f"'{address}' is no address of a Ray cluster; give ray://HOST:10001, HOST:6379, auto or local"
        )
    try:
        answers = _speaks_http2(host, port)
    except OSError as error:
        raise EngineError(f"cannot reach a Ray cluster at '{address}' ({error.strerror or error}); {_HINT}") from error
    if not answers:
        raise EngineError(
            f"what answers at '{address}' is no Ray cluster; its ports are 10001 for ray://HOST:10001 and 6379 for "
            "HOST:6379 unless it was started with others, and its dashboard is none of them"
        )


def _speaks_http2(host: str, port: int) -> bool:
    """Whether what listens there begins as every gRPC server does. Raises OSError when nothing answers.

    Behind TLS that cannot be seen, and counts as true.
    """
    with socket.create_connection((host, port), _REACH_SECONDS) as connection:
        if os.environ.get("RAY_USE_TLS", "0") != "0":
            return True
        connection.sendall(_HTTP2_BEGINS)
        with connection.makefile("rb") as answer:
            return answer.read(9)[3:4] == _SETTINGS


def _object_store() -> int:
    try:
        memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):
        return _OBJECT_STORE_BYTES
    return max(80 << 20, min(_OBJECT_STORE_BYTES, int(memory * _OBJECT_STORE_SHARE)))


def _reason(error: BaseException) -> str:
    """The first line of what Ray said, and of its cause, which often says more."""
    if "Authentication" in f"{error} {error.__cause__}":
        return "it asks for a token: set RAY_AUTH_MODE=token, and RAY_AUTH_TOKEN_PATH to the token's file"
    words = [str(said).strip().splitlines()[0] for said in (error, error.__cause__) if str(said or "").strip()]
    return "; ".join(dict.fromkeys(words)) or type(error).__name__
