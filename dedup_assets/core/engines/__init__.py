"""Where the work that grows with images or pairs is done."""

from dedup_assets.core.engines.base import Engine, check_engine, load_engine

__all__ = ["Engine", "check_engine", "load_engine"]
