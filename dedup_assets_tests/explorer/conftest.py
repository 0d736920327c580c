"""The fixtures of the Explorer's tests, registered once so that one browser serves them all."""

from dedup_assets_tests.explorer.support import address, chromium, made, page, store, tab

__all__ = ["address", "chromium", "made", "page", "store", "tab"]
