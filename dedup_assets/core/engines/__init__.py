"""Where the work that grows with images or pairs is done."""

from dedup_assets.core.engines.base import LOCAL, RAY, Engine, RaySettings, check_engine

__all__ = ["LOCAL", "RAY", "Engine", "RaySettings", "check_engine"]
