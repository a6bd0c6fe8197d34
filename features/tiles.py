"""Tiles: what is kept of an entity's events, by the stretch of event time that they fall into.

Partial aggregates of the rows of one (entity, tile) are sums, minima or maxima, and values are
counted, so tiles of any split of the events merge into the same, in any order.

A row lies in one tile: a fine one while a window of fine tiles may cover it, then the coarse one
that this is part of. Windows of coarse tiles count both.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import polars as pl

from features.windows import COARSE_US, FINE_US, Grid, Kind, Window

__all__ = [
    "COARSE",
    "EVENTS",
    "IN_COARSE",
    "LAST",
    "OPERATIONS",
    "PARTS",
    "PLACE",
    "VALUES",
    "Tiles",
    "covers",
    "parted",
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
OPERATIONS = {"count": "sum", "sum": "sum", "min": "min", "max": "max", "distinct": "sum"}
# The partials that a kind of aggregation is made of; the other kinds need the values.
PARTS = {
    Kind.COUNT: ("count",),
    Kind.SUM: ("sum",),
    Kind.MEAN: ("sum", "count"),
    Kind.MIN: ("min",),
    Kind.MAX: ("max",),
    Kind.DISTINCT: ("distinct",),
}
# The start of the coarse tile that a tile is, or is part of; and the place of what goes on there.
COARSE = pl.col("tile").floordiv(COARSE_US) * COARSE_US
IN_COARSE = (pl.lit(COARSE_US, pl.Int64).alias("tile_us"), COARSE.alias("tile"))


class Tiles(NamedTuple):
    """`numbers`: entity, tile_us, tile, partials. `values`: entity, tile_us, tile, partial, value,
    count, last_at, last_id. `tile` is its start; what stays for good has `tile_us` 0. `events`:
    those that have values that may be taken back (`features.signed_events`). `distinct`: values
    that are told apart (`features.distinct`).
    """

    numbers: pl.DataFrame
    values: pl.DataFrame
    events: pl.DataFrame
    distinct: pl.DataFrame


def windows_of(grids: Iterable[Grid]) -> tuple[Window, ...]:
    """Each window once."""
    return tuple(dict.fromkeys(window for grid in grids for window in grid.windows))


def covers(window: Window) -> pl.Expr:
    """Whether a window that ends at column `t` covers a tile."""
    begin = pl.col("t") - window.width_us
    if window.tile_us == FINE_US:
        return (pl.col("tile_us") == FINE_US) & (pl.col("tile") > begin)
    # The first coarse tile that starts behind its begin, and whatever follows.
    return pl.col("tile") >= (begin.floordiv(COARSE_US) + 1) * COARSE_US


def parted(rows: pl.DataFrame, test: pl.Expr) -> tuple[pl.DataFrame, pl.DataFrame]:
    """The rows that fail the test, and those that hold it."""
    holds = rows.select(test.fill_null(value=False)).to_series()
    # Often all do or none, and a frame of no rows is made sooner than one of some.
    if holds.all():
        return rows.clear(), rows
    if not holds.any():
        return rows, rows.clear()
    return rows.filter(~holds), rows.filter(holds)
