"""State as older versions kept it."""

from __future__ import annotations

import polars as pl

from features.tiles import Tiles
from features.window_set import WindowSet

__all__ = ["of_an_older_version"]

FINE, HOUR = 10_000_000, 3_600_000_000


def of_an_older_version(view: WindowSet, tiles: Tiles) -> Tiles:
    """Values that may be taken back were kept one by one, rows of a fine tile in a coarse one too,
    and values that are told apart in each of their tiles.
    """
    entity = view.entity
    codes = [name for name in tiles.events.columns if name.isdecimal()]
    latest = [
        tiles.events.filter(pl.col(code).is_not_null()).select(
            *entity,
            *(pl.lit(0, pl.Int64).alias(name) for name in ("tile_us", "tile")),
            pl.lit(int(code), pl.Int64).alias("partial"),
            pl.col(code).alias("value"),
            "count",
            "last_at",
            "last_id",
        )
        for code in codes
    ]
    counted = view.events.counted(tiles.events)
    apart = tiles.distinct.filter(~pl.col("partial").is_in(view.listed)).with_columns(
        tile_us=pl.lit(FINE, pl.Int64),
        last_at=pl.lit(None, pl.Int64),
        last_id=pl.lit(None, pl.String),
    )
    values = _in_both(pl.concat([tiles.values, counted, apart.select(counted.columns)]))
    sums = [name for name in view.partials if not name.startswith(("min(", "max("))]
    totals = (
        _in_both(tiles.numbers)
        .group_by(*entity, "tile_us", "tile")
        .agg(
            *(pl.col(name).sum() for name in sums),
            *(pl.col(name).min() for name in view.partials if name.startswith("min(")),
            *(pl.col(name).max() for name in view.partials if name.startswith("max(")),
        )
    )
    unknown = [name for name in view.partials if name.startswith("distinct(")]
    return Tiles(
        totals.with_columns(pl.lit(None, pl.Int64).alias(name) for name in unknown),
        pl.concat([values, *latest]),
        tiles.events.clear(),
        tiles.distinct.clear(),
    )


def _in_both(rows: pl.DataFrame) -> pl.DataFrame:
    again = rows.filter(pl.col("tile_us") == FINE)
    hour = pl.col("tile") - pl.col("tile") % HOUR
    return pl.concat([rows, again.with_columns(tile_us=pl.lit(HOUR, pl.Int64), tile=hour)])
