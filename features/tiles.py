"""Tiles: what is kept of an entity's events, by the stretch of event time that they fall into.

Partial aggregates of the rows of one (entity, tile) are sums, minima or maxima, and values are
counted, so tiles of any split of the events merge into the same, in any order.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import polars as pl

from features.windows import Grid, Kind, Window

__all__ = [
    "EVENTS",
    "LAST",
    "OPERATIONS",
    "PARTS",
    "PLACE",
    "VALUES",
    "Tiles",
    "covers",
    "windows_of",
]

PLACE = ("tile_us", "tile")
# The order of events: of equal times the larger id is the later.
LAST = ("last_at", "last_id")
VALUES: dict[str, type[pl.DataType]] = {
    **dict.fromkeys((*PLACE, "partial"), pl.Int64),
    "value": pl.String,
    "count": pl.Int64,
    "last_at": pl.Int64,
    "last_id": pl.String,
}
EVENTS: dict[str, type[pl.DataType]] = {
    "last_at": pl.Int64,
    "last_id": pl.String,
    "count": pl.Int64,
}
OPERATIONS = {"count": "sum", "sum": "sum", "min": "min", "max": "max"}
# The partials that a kind of aggregation is made of; the other kinds need the values.
PARTS = {
    Kind.COUNT: ("count",),
    Kind.SUM: ("sum",),
    Kind.MEAN: ("sum", "count"),
    Kind.MIN: ("min",),
    Kind.MAX: ("max",),
}


class Tiles(NamedTuple):
    """`numbers`: entity, tile_us, tile, partials. `values`: entity, tile_us, tile, partial, value,
    count, last_at, last_id (null where values are only told apart). `tile` is its start; what stays
    for good has `tile_us` 0. `events`: those of latest values that may be taken back: entity,
    last_at, last_id, count, and each value under its code.
    """

    numbers: pl.DataFrame
    values: pl.DataFrame
    events: pl.DataFrame


def windows_of(grids: Iterable[Grid]) -> tuple[Window, ...]:
    """Each window once."""
    return tuple(dict.fromkeys(window for grid in grids for window in grid.windows))


def covers(window: Window) -> pl.Expr:
    """Whether a window that ends at column `t` covers a tile."""
    is_in = pl.col("tile") > pl.col("t") - window.width_us
    return (pl.col("tile_us") == window.tile_us) & is_in


def parted(rows: pl.DataFrame, test: pl.Expr) -> tuple[pl.DataFrame, pl.DataFrame]:
    """The rows that fail the test, and those that hold it."""
    holds = rows.select(test.fill_null(value=False)).to_series()
    return rows.filter(~holds), rows.filter(holds)
