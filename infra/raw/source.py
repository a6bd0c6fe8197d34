"""Where a day's events come from: files or the archive."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import date
from typing import Protocol

import polars as pl

from expectations.checks import Day
from expectations.checks.day import CARTS
from features.contracts import CONTRACTS

__all__ = ["Part", "Progress", "Source", "carts_in", "days_of"]

# What goes on, how much of it is done, of how much.
Progress = Callable[[str, int, int], object]
# Events and rejects of a topic, as in `expectations.checks.Day`, the events without `row`.
Part = tuple[pl.DataFrame, pl.DataFrame]


class Source(Protocol):
    """A place that holds days of events; both methods raise `LoadFailed`."""

    def read(self, day: date, progress: Progress) -> Mapping[str, Part]:
        """Topic -> its events; without the topics that have none."""

    def carts(self, day: date) -> pl.DataFrame:
        """Who put something into a cart on another day; empty if nothing is known of it."""


def carts_in(events: pl.DataFrame) -> pl.DataFrame:
    """Who put something into a cart, by shopping events."""
    return events.filter(pl.col("event_type") == "add_to_cart").select(*CARTS).unique()


def days_of(read: Mapping[str, Part], run_date: date, carts: pl.DataFrame) -> list[Day]:
    """What was read, as the checks take it; events get their numbers here."""
    return [
        Day(
            contract=CONTRACTS[topic],
            run_date=run_date,
            events=events.with_row_index("row"),
            rejects=rejects,
            carts=carts,
        )
        for topic, (events, rejects) in read.items()
    ]
