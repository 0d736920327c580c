"""Serving the Explorer until it is stopped."""

import contextlib
import socket
from collections.abc import AsyncIterator, Callable

import uvicorn
from starlette.applications import Starlette

from dedup_assets.core.errors import DedupError
from dedup_assets.core.settings import EXPLORER_PORT
from dedup_assets.core.storage.store import Store
from dedup_assets.explorer.app import create_app

DEFAULT_HOST = "127.0.0.1"
_TRIED_PORTS = 20


def serve(
    store: Store,
    host: str = DEFAULT_HOST,
    port: int | None = None,
    on_ready: Callable[[str], None] = lambda _: None,
) -> None:
    """Serve the Explorer of a store until interrupted; `on_ready` is given its address once it answers.

    Without a `port` the first free one from EXPLORER_PORT on is taken; 0 means any. Raises DedupError when the store is
    not there or the port is taken.
    """
    app = create_app(store, hosts=[host])
    app.state.explorer.snapshot()
    listener = _listen(host, port)
    shown = f"[{host}]" if ":" in host else host
    address = f"http://{shown}:{listener.getsockname()[1]}/"

    @contextlib.asynccontextmanager
    async def announced(_: Starlette) -> AsyncIterator[None]:
        on_ready(address)
        yield

    app.router.lifespan_context = announced
    config = uvicorn.Config(app, log_level="warning", access_log=False, server_header=False)
    with listener:
        uvicorn.Server(config).run(sockets=[listener])


def _listen(host: str, port: int | None) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    wanted = range(EXPLORER_PORT, EXPLORER_PORT + _TRIED_PORTS) if port is None else [port]
    for candidate in wanted:
        listener = socket.socket(family, socket.SOCK_STREAM)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((host, candidate))
        except OSError as error:
            listener.close()
            reason = error.strerror
            continue
        listener.listen(128)
        return listener
    raise DedupError(f"cannot listen on {host} port {wanted[-1]} ({reason}); name another with --port")
