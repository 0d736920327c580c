"""The code location of workspace.yaml: one dataset, named by $DEDUP_IMAGES and $DEDUP_STORE."""

import os

from dedup_assets.build import build_dedup_defs

IMAGES_VARIABLE = "DEDUP_IMAGES"

defs = build_dedup_defs(images=os.environ.get(IMAGES_VARIABLE) or "images", owners=["team:data"])
