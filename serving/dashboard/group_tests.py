"""What a test of groups says: each group's rate with its interval, and how far it is from group A.

z and p are those of the store (`features.boards`); the intervals are computed here from the same
counts. They are Wilson's, which keep inside 0..1 and hold for small groups, and for a difference
Newcombe's, which is made of those.
"""

from __future__ import annotations

import math
from typing import Any

import polars as pl

__all__ = ["CONFIDENCE", "GROUPS", "compared", "difference", "wilson"]

CONFIDENCE = 0.95
Z = 1.959963984540054  # of 95 %, two-sided
CONTROL = "A"

# The frame that the store's rows come as, one for each group, of one window.
GROUPS: dict[str, Any] = {
    "group": pl.String,
    "beside": pl.String,
    "count": pl.Int64,
    "rate": pl.Float64,
    "z": pl.Float64,
    "p_value": pl.Float64,
}
Interval = tuple[float, float]
BOUNDS = ("low", "high", "change", "change_low", "change_high")


def wilson(rate: float, count: float) -> Interval:
    """Where the true rate lies, of `count` observations."""
    spread = Z * Z / count
    middle = (rate + spread / 2) / (1 + spread)
    half = Z / (1 + spread) * math.sqrt(rate * (1 - rate) / count + spread / (4 * count))
    return max(0.0, middle - half), min(1.0, middle + half)


def difference(rate: float, count: float, of: float, of_count: float) -> Interval:
    """Where the true difference `rate - of` lies."""
    (low, high), (of_low, of_high) = wilson(rate, count), wilson(of, of_count)
    change = rate - of
    return (
        change - math.hypot(rate - low, of_high - of),
        change + math.hypot(high - rate, of - of_low),
    )


def compared(groups: pl.DataFrame) -> pl.DataFrame:
    """`GROUPS` with `low` and `high` of the rate, and `change`, `change_low`, `change_high` against
    group A beside the same user interface; a group without observations is left out.
    """
    known = groups.filter((pl.col("count") > 0) & pl.col("rate").is_not_null())
    rows = known.sort("beside", "group").to_dicts()
    controls = {one["beside"]: one for one in rows if one["group"] == CONTROL}
    found = [{**one, **_bounds(one, controls.get(one["beside"]))} for one in rows]
    return pl.DataFrame(found, schema={**GROUPS, **dict.fromkeys(BOUNDS, pl.Float64)})


def _bounds(one: dict[str, Any], control: dict[str, Any] | None) -> dict[str, float | None]:
    low, high = wilson(one["rate"], one["count"])
    if control is None or one["group"] == CONTROL:
        return {"low": low, "high": high}
    against = difference(one["rate"], one["count"], control["rate"], control["count"])
    return {
        "low": low,
        "high": high,
        "change": one["rate"] - control["rate"],
        "change_low": against[0],
        "change_high": against[1],
    }
