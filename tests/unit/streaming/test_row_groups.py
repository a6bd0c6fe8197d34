"""Rows grouped by key, as values of the state store."""

from __future__ import annotations

import polars as pl
from hypothesis import given
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from streaming.row_groups import GROUP, RowGroups

SCHEMA = {"at": pl.Int64, "name": pl.String, "price": pl.Float64, "note": pl.String}
ROWS = st.tuples(
    st.none() | st.integers(-(2**63) + 1, 2**63 - 1),
    st.none() | st.text(max_size=5),
    st.none() | st.floats(allow_nan=False),
    st.none() | st.sampled_from(["", "a\0b", "웹툰", "🙂"]),
)


@given(st.lists(st.lists(ROWS, max_size=4), max_size=5))
def test_values_and_back_is_the_same(groups: list[list[tuple[object, ...]]]) -> None:
    rows = [(number, *row) for number, group in enumerate(groups) for row in group]
    frame = pl.DataFrame(rows, schema={GROUP: pl.Int64, **SCHEMA}, orient="row")
    form = RowGroups(SCHEMA)
    values = form.to_values(frame, len(groups))
    assert len(values) == len(groups)
    assert_frame_equal(form.to_frame(values), frame)
    for number, value in enumerate(values):
        alone = frame.filter(pl.col(GROUP) == number).with_columns(pl.lit(0).alias(GROUP))
        assert_frame_equal(form.to_frame([value]), alone, check_dtypes=False)


def test_rows_without_strings_are_kept_too() -> None:
    form = RowGroups({"count": pl.Int64})
    frame = pl.DataFrame({GROUP: [1, 0, 1], "count": [3, None, 4]})
    values = form.to_values(frame, 2)
    assert form.to_frame(values).rows() == [(0, None), (1, 3), (1, 4)]
