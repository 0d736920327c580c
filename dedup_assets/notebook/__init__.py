"""For notebooks and scripts: a store as DataFrames, and the duplicates of a folder in one call."""
