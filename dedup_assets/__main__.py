"""`python -m dedup_assets` is the command `dedup-assets`."""

from dedup_assets.cli import main

main()
