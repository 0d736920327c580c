"""Which rows of a column hold one of many values: what pandas says, in every kind of column."""

import pandas as pd
import pytest

from dedup_assets.core.membership import among

VALUES = ["a", "ü", "b", None, "a"]


@pytest.mark.parametrize("kind", ["str", "object"])
@pytest.mark.parametrize("asked", [["b", "c"], {"a"}, [], pd.Series(["ü", None], dtype="str"), pd.Index(["a", "b"])])
def test_it_says_what_isin_says(kind, asked):
    column = pd.Series(VALUES, index=[5, 3, 1, 0, 7], dtype=kind)
    pd.testing.assert_series_equal(among(column, asked), column.isin(asked))
