"""Paths as people write them."""

from pathlib import Path


def plain_path(said: str | Path) -> Path:
    """The absolute path, `~` spelt out and without '..', so that paths tell what lies in what.

    '..' leads where the system says: out of the folder that a link leads to. Links elsewhere in the path stay.
    """
    path = Path(said).expanduser().absolute()
    parts = path.parts
    if ".." not in parts:
        return path
    end = len(parts) - parts[::-1].index("..")
    return Path(*parts[:end]).resolve().joinpath(*parts[end:])
