"""Pictures by content: nothing but what the store's images table holds can be asked for, and no path is ever taken."""

import hashlib
import re
from urllib.parse import quote

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from dedup_assets.core.errors import SourceError
from dedup_assets.core.exploring.thumbnails import cached_thumbnail, thumbnail
from dedup_assets.core.sources.base import InMemory, Readable
from dedup_assets.explorer.state import explorer_of

SIDES = (320, 1280, 4096)
_HASH = re.compile(r"[0-9a-f]{64}")
_FOR_EVER = {"cache-control": "private, max-age=31536000, immutable"}
_SHOWN_BY_BROWSERS = {"JPEG": "image/jpeg", "MPO": "image/jpeg", "PNG": "image/png", "GIF": "image/gif"} | {
    "WEBP": "image/webp",
    "BMP": "image/bmp",
}


class AbsentError(Exception):
    """A picture cannot be had."""


def thumb(request: Request) -> Response:
    """A JPEG no larger than the side asked for; kept in the store."""
    side, content_hash = int(request.path_params["side"]), str(request.path_params["hash"])
    try:
        data = _small(request, content_hash, side)
    except AbsentError as error:
        return _none(str(error))
    return Response(data, media_type="image/jpeg", headers=_FOR_EVER)


def laid_over(request: Request) -> Response:
    """How the `second` picture lies on the `first`: the six numbers of an affine map of unit squares, row by row."""
    from dedup_assets.core.exploring.overlay import overlay

    try:
        first, second = (_small(request, request.query_params.get(name, ""), 1280) for name in ("first", "second"))
    except AbsentError as error:
        raise HTTPException(404, str(error)) from error
    found = overlay(first, second)
    numbers = found.matrix[:2].ravel().tolist()
    answer = {"matrix": numbers, "moved": found.moved, "mirrored": found.mirrored, "turned": found.turned}
    return JSONResponse(answer, headers={"cache-control": "private, max-age=3600"})


def original(request: Request) -> Response:
    """The file itself, byte for byte; formats no browser shows are downloaded."""
    content_hash = str(request.path_params["hash"])
    gallery = explorer_of(request).snapshot().gallery
    row = gallery.row_of_hash.get(content_hash) if _HASH.fullmatch(content_hash) else None
    data = _read(_file(request, content_hash), content_hash) if row is not None else None
    if row is None or data is None:
        return _none("The file is gone, or not the one that was scanned.")
    kind = _SHOWN_BY_BROWSERS.get(str(gallery.images["format"].iloc[row]))
    name = quote(str(gallery.ids[row]).rpartition("/")[2])
    headers = {"content-disposition": f"{'inline' if kind else 'attachment'}; filename*=utf-8''{name}", **_FOR_EVER}
    return Response(data, media_type=kind or "application/octet-stream", headers=headers)


def _small(request: Request, content_hash: str, side: int) -> bytes:
    """The JPEG of that side. Raises AbsentError with the reason where there is none."""
    explorer = explorer_of(request)
    if side not in SIDES or not _HASH.fullmatch(content_hash):
        raise AbsentError("There is no such picture.")
    if content_hash not in explorer.snapshot().gallery.row_of_hash:
        raise AbsentError("The store has no such picture.")
    data = cached_thumbnail(explorer.store, content_hash, side)
    if data is not None:
        return data
    file = _file(request, content_hash)
    read = _read(file, content_hash)
    if read is None:
        raise AbsentError("The file is gone, or not the one that was scanned.")
    try:
        return thumbnail(explorer.store, InMemory(file.suffix, read), content_hash, side)
    except Exception as error:  # decoders raise nearly anything; the page shows that the picture cannot be shown
        raise AbsentError("The picture cannot be shown.") from error


def _file(request: Request, content_hash: str) -> Readable:
    snapshot = explorer_of(request).snapshot()
    return snapshot.project.images.file(str(snapshot.gallery.ids[snapshot.gallery.row_of_hash[content_hash]]))


def _read(file: Readable, content_hash: str) -> bytes | None:
    """The bytes of a file that is still the one scanned: what was put in its place since, a link say, is not served."""
    try:
        data = file.read_bytes()
    except (OSError, SourceError):
        return None
    return data if hashlib.sha256(data).hexdigest() == content_hash else None


def _none(sentence: str) -> Response:
    return PlainTextResponse(sentence, 404, headers={"cache-control": "no-store"})


routes = [
    Route("/thumb/{side:int}/{hash}", thumb),
    Route("/original/{hash}", original),
    Route("/api/overlay", laid_over),
]
