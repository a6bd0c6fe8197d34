"""What is usual: bounds for a figure of a day, from the same figure of the days before."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from statistics import median

from expectations.suites.rules import Rule, Table

__all__ = ["DAYS", "LEAST_DAYS", "History", "history_rules", "usual"]

DAYS = 14
# Of fewer earlier days nothing is concluded.
LEAST_DAYS = 3
SPREADS, SHARE = 4.0, 0.5
# The spread of a normal distribution over its median absolute deviation.
NORMAL = 1.4826

History = Mapping[str, Sequence[float]]


def usual(values: Sequence[float]) -> tuple[float | None, float | None]:
    """The least and the largest figure that surprises nobody: the median of the earlier ones, give
    or take four times their spread, and half of it at least. (None, None) with too few of them.

    Median and median deviation, so that one odd day does not make the next odd one usual.
    """
    if len(values) < LEAST_DAYS:
        return (None, None)
    middle = median(values)
    spread = NORMAL * median(abs(value - middle) for value in values)
    width = max(SPREADS * spread, SHARE * abs(middle))
    return (middle - width, middle + width)


def history_rules(table: Table, history: History, *, is_empty: bool) -> list[Rule]:
    """Row count and means against the earlier days; without such days they are measured only."""
    least, largest = usual(history.get("row_count", ()))
    count = Rule(
        check="row_count",
        expectation="ExpectTableRowCountToBeBetween",
        severity="warn",
        arguments={
            "min_value": max(0, math.ceil(least or 0)),
            "max_value": None if largest is None else math.floor(largest),
        },
    )
    return [count] if is_empty else [count, *(_mean(name, history) for name in table.measured)]


def _mean(column: str, history: History) -> Rule:
    least, largest = usual(history.get(f"{column}.mean", ()))
    return Rule(
        check="mean",
        expectation="ExpectColumnMeanToBeBetween",
        severity="warn",
        column=column,
        arguments={"min_value": least, "max_value": largest},
    )
