"""What requests say, checked: the view in an address, the cells of a posted JSON object, and answers to them."""

import json
import math
from collections.abc import Awaitable, Callable, Mapping

from starlette.concurrency import run_in_threadpool
from starlette.datastructures import QueryParams
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from dedup_assets.core.errors import DedupError, SettingsError
from dedup_assets.core.exploring.browse import View
from dedup_assets.core.exploring.identity import identity
from dedup_assets.explorer.security import STORE_HEADER
from dedup_assets.explorer.state import Explorer, explorer_of

_LARGEST_BODY_BYTES = 16 << 20
_OTHER_STORE = 412

Body = Mapping[str, object]


class OtherStoreError(DedupError):
    """What a page asks to be written is about another store than the one that is served."""


def view_of(query: QueryParams) -> View:
    """The view that an address holds. Raises SettingsError for a word that means nothing."""
    return View(
        text=query.get("q", "").strip(),
        label=query.get("label", ""),
        tags=tuple(query.getlist("tag")),
        without=tuple(query.getlist("not")),
        split=query.get("split", ""),
        folder=query.get("folder", "").strip("/"),
        low=number(query, "min", 0.0),
        high=number(query, "max", 1.0),
        sort=query.get("sort", "uniqueness"),
        descending=query.get("order") == "desc",
        together=query.get("together") != "0",
    )


def number(query: QueryParams, name: str, default: float) -> float:
    """A number of an address."""
    text = query.get(name, "")
    try:
        value = float(text) if text else default
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise SettingsError(f"{name} is '{text}'; it must be a number")
    return value


def whole(query: QueryParams, name: str, default: int, most: int) -> int:
    """A whole number of an address, between 0 and `most`."""
    return int(min(max(number(query, name, default), 0), most))


def text_in(body: Body, name: str, default: str | None = None) -> str:
    """A text of a posted object."""
    value = body.get(name, default)
    if not isinstance(value, str):
        raise SettingsError(f"'{name}' is missing from the request")
    return value


def texts_in(body: Body, name: str) -> list[str]:
    """A list of texts of a posted object, empty when it is not there."""
    value = body.get(name, [])
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise SettingsError(f"'{name}' must be a list of names")
    return value


def number_in(body: Body, name: str) -> float:
    """A number of a posted object."""
    value = body.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise SettingsError(f"'{name}' must be a number")
    return float(value)


def writes(handle: Callable[[Explorer, Body], object]) -> Callable[[Request], Awaitable[Response]]:
    """An endpoint that takes a JSON object and answers with one; a DedupError becomes its sentence.

    A request must name the store that its page showed, and is refused where that is not the one served.
    """

    def answer(explorer: Explorer, body: Body, shown: str) -> object:
        explorer.watch.require()
        if shown != identity(explorer.store):
            raise OtherStoreError(
                f"this page is of another store than '{explorer.store.folder}', which the Explorer at this address "
                "shows now; nothing was changed. Reload the page"
            )
        return handle(explorer, body)

    async def endpoint(request: Request) -> Response:
        data = bytearray()
        async for part in request.stream():
            data += part
            if len(data) > _LARGEST_BODY_BYTES:
                return JSONResponse({"error": "the request is too large"}, 413)
        try:
            body = json.loads(bytes(data) or b"{}")
            if not isinstance(body, dict):
                raise SettingsError("the request must be a JSON object")
            shown = request.headers.get(STORE_HEADER, "")
            return JSONResponse(await run_in_threadpool(answer, explorer_of(request), body, shown))
        except OtherStoreError as error:
            return JSONResponse({"error": str(error)}, _OTHER_STORE)
        except ValueError as error:
            sentence = str(error) if isinstance(error, DedupError) else "the request is not JSON"
            return JSONResponse({"error": sentence}, 400)
        except DedupError as error:
            return JSONResponse({"error": str(error)}, 409)

    return endpoint
