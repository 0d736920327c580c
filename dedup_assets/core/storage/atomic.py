"""Files that are replaced at once: whoever looks sees the old one or the new one, whole."""

import os
from pathlib import Path


def point(link: Path, name: str) -> None:
    """Make the symbolic link lead to `name` beside it. Raises OSError where the file system has no links."""
    partial = link.with_name(f".{link.name}.{os.getpid()}.partial")
    partial.unlink(missing_ok=True)
    partial.symlink_to(name)
    partial.replace(link)


def replace_text(path: Path, text: str) -> None:
    """Make `text` the content of the file."""
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    partial.write_text(text, encoding="utf-8")
    partial.replace(path)
