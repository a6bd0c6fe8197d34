"""Which values a column may have: said by its unit and its name, so that nobody says it twice."""

from __future__ import annotations

import re

from features.columns import Column, ColumnType

__all__ = ["Range", "range_of"]

Range = tuple[float | None, float | None]

NUMBERS = (ColumnType.LONG, ColumnType.INT, ColumnType.DOUBLE)
ANY: Range = (None, None)
POSITIVE: Range = (0, None)
BY_NAME: tuple[tuple[str, Range], ...] = (
    # Of one kind of event for each of another there may be more than one.
    (r"_to_.*rate|overall_rate", POSITIVE),
    (r"p_value", (0, 1)),
    (r"popularity_rank", (1, None)),
    (r"hour_of_day", (0, 23)),
    (r"content_quality_score", (0, 100)),
    (r"churn_risk_score", (0, 1)),
    (r"price|amount|value|revenue|fee|discount|rating|_count|_score", POSITIVE),
)
BY_UNIT: dict[str, Range] = {
    "ratio": (0, 1),
    **dict.fromkeys(
        ("events", "reads", "users", "sessions", "pages", "days", "ms", "s", "currency"), POSITIVE
    ),
}


def range_of(column: Column) -> Range | None:
    """The least and the largest value, None where there is no bound; None if nothing is said."""
    if column.type not in NUMBERS:
        return None
    by_name = (bounds for pattern, bounds in BY_NAME if re.search(pattern, column.name))
    bounds = next(by_name, BY_UNIT.get(column.unit or "", ANY))
    return None if bounds == ANY else bounds
