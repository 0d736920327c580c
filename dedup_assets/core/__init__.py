"""Finding, comparing, scoring and recording images. Knows neither Dagster nor the web."""
