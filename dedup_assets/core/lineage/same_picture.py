"""Whether images still show the pictures that they showed at an earlier time."""

import pandas as pd

from dedup_assets.core.membership import among

THEN = ["image_id", "file_hash", "pixel_hash"]


def still_shown(then: pd.DataFrame, images: pd.DataFrame) -> frozenset[str]:
    """The images of `then` that are readable in `images` and show the same pixels there.

    `then` has image_id and file_hash, and pixel_hash where it was known. A file saved anew without a loss shows the
    same: both pixel hashes are known and equal, or another image has the bytes of then and the pixels of now.
    """
    columns = [*THEN, "content_id"]
    now = images.loc[images["status"] == "ok", columns].astype(object)
    both = then.reindex(columns=THEN).astype(object).merge(now, on="image_id", suffixes=("_then", ""))
    bytes_of_then = now[among(now["file_hash"], both["file_hash_then"])].drop_duplicates("file_hash")
    content_then = both["file_hash_then"].map(bytes_of_then.set_index("file_hash")["content_id"])
    same_pixels = both["pixel_hash"].notna() & (both["pixel_hash_then"] == both["pixel_hash"])
    same = (both["file_hash_then"] == both["file_hash"]) | same_pixels | (content_then == both["content_id"])
    return frozenset(both.loc[same, "image_id"])
