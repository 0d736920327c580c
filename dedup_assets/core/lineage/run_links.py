"""Which run it was, in words, and where it can be looked at."""

import os

URL_VARIABLE = "DEDUP_DAGSTER_URL"
ROLLBACK = "rollback"


def link_to(run_id: str) -> str | None:
    """The page of the run, where $DEDUP_DAGSTER_URL names the webserver."""
    address = os.environ.get(URL_VARIABLE, "").rstrip("/")
    return f"{address}/runs/{run_id}" if address else None


def run_in_words(run_id: str) -> str:
    """`Dagster run ID (LINK)`, or what else it was."""
    if run_id.startswith(ROLLBACK):
        return f"Put in force again by going back ({run_id})"
    link = link_to(run_id)
    return f"Dagster run {run_id} ({link})" if link else f"Dagster run {run_id}"
