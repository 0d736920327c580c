"""Find and remove duplicate and near-duplicate images, as Dagster assets."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dedup_assets.build import build_dedup_defs
    from dedup_assets.component import DedupComponent
    from dedup_assets.notebook.finding import Duplicates, find_duplicates
    from dedup_assets.notebook.view import StoreView, open_store

__all__ = [
    "DedupComponent",
    "Duplicates",
    "StoreView",
    "__version__",
    "build_dedup_defs",
    "find_duplicates",
    "open_store",
]

_HOMES = {
    "build_dedup_defs": "dedup_assets.build",
    "DedupComponent": "dedup_assets.component",
    "Duplicates": "dedup_assets.notebook.finding",
    "find_duplicates": "dedup_assets.notebook.finding",
    "StoreView": "dedup_assets.notebook.view",
    "open_store": "dedup_assets.notebook.view",
}


def __getattr__(name: str) -> Any:  # noqa: ANN401 - whatever the module holds under that name
    """Load what is asked for when it is asked for: the command line must not wait for Dagster to import."""
    if name == "__version__":
        from importlib.metadata import version

        return version("dedup-assets")
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'dedup_assets' has no attribute '{name}'")


def __dir__() -> list[str]:
    """What there is, loaded or not: completion in notebooks and Dagster's registry of components look here."""
    return sorted({*globals(), *__all__})
