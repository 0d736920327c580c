"""The code location of workspace.yaml: one dataset, named by $DEDUP_IMAGES and $DEDUP_STORE.

$DEDUP_AUTOMATION is none, eager or schedule; $DEDUP_CRON and $DEDUP_TIMEZONE are the schedule's. $DEDUP_BATCHES is none
or folders.
"""

import os

import dagster as dg

from dedup_assets.build import build_dedup_defs
from dedup_assets.core.settings import NO_BATCHES, NONE

IMAGES_VARIABLE = "DEDUP_IMAGES"
AUTOMATION_VARIABLE, CRON_VARIABLE, TIMEZONE_VARIABLE = "DEDUP_AUTOMATION", "DEDUP_CRON", "DEDUP_TIMEZONE"
BATCHES_VARIABLE = "DEDUP_BATCHES"

defs = dg.Definitions.merge(
    build_dedup_defs(
        images=os.environ.get(IMAGES_VARIABLE) or "images",
        owners=["team:data"],
        automation=os.environ.get(AUTOMATION_VARIABLE) or NONE,
        cron=os.environ.get(CRON_VARIABLE) or None,
        timezone=os.environ.get(TIMEZONE_VARIABLE) or None,
        batches=os.environ.get(BATCHES_VARIABLE) or NO_BATCHES,
    ),
    dg.Definitions(executor=dg.in_process_executor),
)
