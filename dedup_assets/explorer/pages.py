"""HTML pages: one set of templates, with what every page shows around its content."""

from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.requests import Request
from starlette.responses import HTMLResponse
from starlette.staticfiles import StaticFiles

from dedup_assets import __version__
from dedup_assets.core.errors import DedupError
from dedup_assets.core.exploring.identity import identity
from dedup_assets.explorer.state import explorer_of

_HERE = Path(__file__).parent
static_files = StaticFiles(directory=_HERE / "static")
PAGES = (
    ("/", "Overview"),
    ("/grid", "Grid"),
    ("/review", "Review"),
    ("/collections", "Collections"),
    ("/whatif", "What if"),
    ("/plan", "Plan"),
    ("/labels", "Labels"),
    ("/leakage", "Leakage"),
    ("/versions", "Versions"),
    ("/audit", "Audit"),
)


def page(request: Request, template: str, *, status: int = 200, **values: object) -> HTMLResponse:
    """A page of this name filled with these values; every text in it is escaped."""
    explorer = explorer_of(request)
    try:
        snapshot = explorer.snapshot()
        review = explorer.review(snapshot)
        shown, waiting, problem = snapshot.version, len(review.waiting), review.error
    except DedupError:
        shown, waiting, problem = "", None, None
    html = _environment.get_template(template).render(
        pages=PAGES,
        path=request.url.path,
        token=explorer.token,
        user=explorer.user,
        store=explorer.store.folder,
        identity=identity(explorer.store),
        shown=shown,
        version=__version__,
        waiting=waiting,
        decisions_problem=problem,
        **values,
    )
    return HTMLResponse(html, status, headers={"cache-control": "no-store"})


def failed(request: Request, error: Exception) -> HTMLResponse:
    """The sentence of an error a person can mend, as a page."""
    return page(request, "failed.html", status=409, sentence=str(error))


def missing(request: Request, _: Exception) -> HTMLResponse:
    """What is shown for an address without a page."""
    return page(request, "failed.html", status=404, sentence="There is no such page.")


def _bytes(value: float) -> str:
    for unit in ("bytes", "kB", "MB"):
        if value < 1000:
            return f"{value:,.0f} {unit}" if unit == "bytes" else f"{value:.1f} {unit}"
        value /= 1000
    return f"{value:.1f} GB"


def _score(value: float | None) -> str:
    """A distance or score with as many digits as matter."""
    if value is None or value != value:
        return "–"
    if value == 0:
        return "0"
    return f"{value:.4f}" if value >= 0.001 else f"{value:.2g}"


def _count(value: int) -> str:
    return f"{value:,}"


_environment = Environment(
    loader=FileSystemLoader(_HERE / "templates"), autoescape=True, undefined=StrictUndefined, trim_blocks=True
)
_environment.filters |= {"filesize": _bytes, "score": _score, "count": _count}
