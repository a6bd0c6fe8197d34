"""What a check looks at, and what it finds."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

import polars as pl

from features.contract import Contract

__all__ = ["CARTS", "PLACE", "REJECTS", "Day", "Found", "found"]

# Where an event was read: a file and its line, or a partition and its offset.
PLACE = {"file": pl.String(), "line": pl.Int64()}
REJECTS = {**PLACE, "reason_code": pl.String(), "reason": pl.String()}
CARTS = {"user_id": pl.String(), "session_id": pl.String()}


@dataclass(frozen=True, slots=True, kw_only=True)
class Day:
    """The events of one topic that are to be loaded as one day, in the order they were read.

    `events` has the columns of `features.decoding.event_schema`, those of `PLACE`, and `row`, which
    names an event within the day. `rejects` (as in `REJECTS`) are what the contract refused.
    `carts`: who put something into a cart on the day before.
    """

    contract: Contract
    run_date: date
    events: pl.DataFrame
    rejects: pl.DataFrame
    carts: pl.DataFrame

    @property
    def size(self) -> int:
        """How many events there were, refused ones included."""
        return self.events.height + self.rejects.height

    def of_type(self, event_type: str) -> pl.DataFrame:
        """The events of one type; none where the contract does not know it."""
        if "event_type" not in self.events.columns:
            return self.events.clear()
        return self.events.filter(pl.col("event_type") == event_type)


@dataclass(frozen=True, slots=True)
class Found:
    """`checked`: how many events a check applies to; `failing`: row, reason of those that fail."""

    checked: int
    failing: pl.DataFrame


def found(events: pl.DataFrame, reason: pl.Expr) -> Found:
    """Those events fail that have a reason."""
    return Found(events.height, events.select("row", reason=reason).drop_nulls("reason"))
