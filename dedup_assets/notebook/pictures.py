"""Pairs of pictures as HTML that stands alone, for a notebook."""

import base64
from collections.abc import Mapping, Sequence
from html import escape

from dedup_assets.core.exploring.thumbnails import thumbnail
from dedup_assets.core.project import Project

_SIDE = 160  # pixels; the pictures lie in the notebook file


def text_html(text: str) -> str:
    """A paragraph."""
    return f"<p>{escape(text)}</p>"


def pairs_html(
    project: Project,
    pairs: Sequence[tuple[str, str, float]],
    hashes: Mapping[str, str | None],
    titles: tuple[str, str],
    more: int,
) -> str:
    """A table of (image, image, distance) with both pictures, nothing for no pairs; `more` tells how many follow."""
    if not pairs:
        return ""
    head = "".join(f"<th>{escape(title)}</th>" for title in (*titles, "distance"))
    rows = []
    for first, second, distance in pairs:
        cells = "".join(f"<td>{_picture(project, image, hashes.get(image))}</td>" for image in (first, second))
        rows.append(f"<tr>{cells}<td>{distance:.4g}</td></tr>")
    rest = text_html(f"and {more:,} more") if more > 0 else ""
    return f"<table><thead><tr>{head}</tr></thead><tbody>{''.join(rows)}</tbody></table>{rest}"


def _picture(project: Project, image_id: str, file_hash: str | None) -> str:
    name = escape(image_id)
    try:
        data = thumbnail(project.store, project.images.file(image_id), file_hash or "", _SIDE)
    except Exception:  # decoders raise nearly anything, and a picture that cannot be shown hides no other
        return f"(cannot be shown)<br>{name}"
    encoded = base64.b64encode(data).decode()
    return f'<img src="data:image/jpeg;base64,{encoded}" alt="{name}"><br>{name}'
