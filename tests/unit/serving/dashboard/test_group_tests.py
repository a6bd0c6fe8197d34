"""Intervals against published values and against counting, and who is compared with whom."""

from __future__ import annotations

import math

import polars as pl
import pytest

from serving.dashboard.group_tests import GROUPS, compared, difference, wilson


@pytest.mark.parametrize(
    ("hits", "count", "low", "high"),
    [
        # Newcombe 1998, Statistics in Medicine 17:857, table I, method 3.
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0, 0.1611),
        (1, 29, 0.0061, 0.1718),
    ],
)
def test_wilsons_interval(hits: int, count: int, low: float, high: float) -> None:
    assert wilson(hits / count, count) == pytest.approx((low, high), abs=5e-5)


@pytest.mark.parametrize(
    ("one", "other", "low", "high"),
    [
        # Newcombe 1998, Statistics in Medicine 17:873, table II, method 10.
        ((56, 70), (48, 80), 0.0524, 0.3339),
        ((9, 10), (3, 10), 0.1705, 0.8090),
        ((5, 56), (0, 29), -0.0381, 0.1926),
    ],
)
def test_newcombes_interval(
    one: tuple[int, int], other: tuple[int, int], low: float, high: float
) -> None:
    found = difference(one[0] / one[1], one[1], other[0] / other[1], other[1])
    assert found == pytest.approx((low, high), abs=5e-5)


def groups(*rows: tuple[str, str, int, float | None]) -> pl.DataFrame:
    named = [
        {"group": group, "beside": beside, "count": count, "rate": rate}
        for group, beside, count, rate in rows
    ]
    return pl.DataFrame(named, schema=GROUPS)


def test_each_group_is_compared_with_group_a_of_the_same_interface() -> None:
    found = compared(groups(("B", "3.0", 50, 0.4), ("A", "3.0", 40, 0.5), ("A", "2.9", 9, 0.9)))
    rows = {(row["group"], row["beside"]): row for row in found.to_dicts()}
    assert list(rows) == [("A", "2.9"), ("A", "3.0"), ("B", "3.0")]
    assert rows["B", "3.0"]["change"] == pytest.approx(-0.1)
    assert rows["B", "3.0"]["change_low"] < -0.1 < rows["B", "3.0"]["change_high"]
    assert rows["A", "3.0"]["change"] is None
    assert rows["A", "3.0"]["low"] < 0.5 < rows["A", "3.0"]["high"]


def test_without_group_a_there_is_no_difference() -> None:
    (row,) = compared(groups(("B", "3.1", 50, 0.4))).to_dicts()
    assert row["change"] is None
    assert row["low"] < 0.4 < row["high"]


def test_a_group_without_observations_is_left_out() -> None:
    assert compared(groups(("A", "", 0, None), ("B", "", 0, 0.0))).is_empty()


def test_intervals_hold_at_the_ends() -> None:
    found = compared(groups(("A", "", 1, 0.0), ("B", "", 1, 1.0)))
    numbers = found.select(pl.col(pl.Float64).exclude("z", "p_value")).to_dicts()[1]
    assert all(value is not None and math.isfinite(value) for value in numbers.values())
    assert numbers["high"] == 1.0
