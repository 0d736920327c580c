"""The web application over one store."""

import socket
from collections.abc import Collection

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Mount, Route

from dedup_assets.core.errors import DedupError
from dedup_assets.core.storage.store import Store
from dedup_assets.explorer import (
    audit,
    collections,
    grid,
    image,
    labels,
    leaks,
    overview,
    pictures,
    plan,
    review,
    run,
    versions,
    whatif,
)
from dedup_assets.explorer.pages import failed, missing, static_files
from dedup_assets.explorer.security import Guard
from dedup_assets.explorer.state import Explorer, explorer_of

_NOUNS = (
    *(overview, grid, image, review, collections, whatif, plan, labels, leaks, versions, audit),
    *(run, pictures),
)


def create_app(store: Store, *, hosts: Collection[str] = ()) -> Starlette:
    """The Explorer of a store. `hosts`: names it may be asked for by, besides localhost and bare addresses."""
    explorer = Explorer(store)
    known = {"localhost", socket.gethostname(), *hosts}
    app = Starlette(
        routes=[
            *(route for noun in _NOUNS for route in noun.routes),
            Route("/api/token", _token),
            Mount("/static", static_files, name="static"),
        ],
        middleware=[
            Middleware(Guard, hosts=known, token=explorer.token),
            Middleware(GZipMiddleware, minimum_size=2000),
        ],
        exception_handlers={DedupError: _mendable, HTTPException: _mendable},
    )
    app.state.explorer = explorer
    return app


def _token(request: Request) -> Response:
    """The token that writes carry; only a page of this server can read it."""
    return JSONResponse({"token": explorer_of(request).token}, headers={"cache-control": "no-store"})


def _mendable(request: Request, error: Exception) -> Response:
    status = error.status_code if isinstance(error, HTTPException) else 409
    if request.url.path.startswith("/api/"):
        return JSONResponse({"error": str(error)}, status)
    return missing(request, error) if status == 404 else failed(request, error)
