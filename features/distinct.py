"""Distinct values, counted by the tile in which each was last.

No event lies behind the end of a window, so a value is in the window if its last tile is. Each
value is counted in that tile and nowhere else, and a window adds up its tiles, as of any count.
What new rows change follows from what is known of their own values: no others need be read.

Rows: entity, `partial` (the aggregation's code), `value`, `tile`, `count`, `weight`. Where rows may
be taken back each tile of a value stands until nothing can be; otherwise the last one alone.

Of a bot's values too many would be kept, so beyond `MOST_VALUES` those with the smallest hashes
stand for all: where one of 2^n is left it weighs 2^n (Horvitz and Thompson, JASA 1952). What is
older than an hour is thinned by itself, so that a short window stays exact for longer. About a
quarter of `MOST_VALUES` or more are left, for a relative standard error of 0.6 % or less.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import polars as pl

from features.session_set import LIFETIME_US, SIGN
from features.sketches import HASH, with_hashes
from features.tiles import COARSE, parted, windows_of
from features.windows import COARSE_US, Grid, Kind

__all__ = ["DISTINCT", "MOST_VALUES", "Distinct"]

# Of an aggregation of an entity.
MOST_VALUES = 1 << 17
DISTINCT: dict[str, type[pl.DataType]] = {
    "partial": pl.Int64,
    "value": pl.String,
    **dict.fromkeys(("tile", "count", "weight"), pl.Int64),
}
IS_OLD = "is older than an hour"


class Distinct:
    """`Tiles.distinct` of an entity, the columns of which have these types."""

    def __init__(self, entity: Mapping[str, Any], grids: Iterable[Grid], tile_us: int) -> None:
        """`tile_us`: the width of the tiles that new rows come in."""
        counted = [grid for grid in grids if grid.aggregation.kind is Kind.DISTINCT]
        self._entity = tuple(entity)
        self._of = {grid.aggregation.code: grid.aggregation for grid in counted}
        self._signed = [code for code, one in self._of.items() if one.signed]
        self._tile_us = tile_us
        self._widest = max((window.width_us for window in windows_of(counted)), default=0)
        self._is_coarse = any(window.tile_us == COARSE_US for window in windows_of(counted))
        self._key = [*self._entity, "partial", "value"]
        self.nothing = pl.DataFrame(schema={**entity, **DISTINCT})

    @property
    def codes(self) -> list[int]:
        """Of the aggregations, each once."""
        return list(self._of)

    def start(self, placed: pl.DataFrame) -> pl.DataFrame:
        """Those of new rows, which have a `tile`."""
        if not self._of:
            return self.nothing
        rows = [
            placed.filter(one.rows()).select(
                *self._entity,
                partial=pl.lit(code, pl.Int64),
                value=pl.col(str(one.of)).cast(pl.String),
                tile="tile",
                count=pl.col(SIGN) if one.signed else pl.lit(1, pl.Int64),
                weight=pl.lit(1, pl.Int64),
            )
            for code, one in self._of.items()
        ]
        return self._summed(pl.concat([self.nothing, *rows]))

    def merge(self, one: pl.DataFrame, other: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
        """Those of both, and what becomes of the numbers of `one`, in which `other` counts nothing.

        Of the values of `other` all has to be there that is known; of others nothing need be.
        """
        if other.is_empty():
            return one, one.clear().select(self._entity)
        merged = self._summed(pl.concat([one, other])) if one.height else other
        return merged, self._moved(one, merged)

    def thin(
        self, rows: pl.DataFrame, watermark_us: int
    ) -> tuple[pl.DataFrame, pl.DataFrame, pl.DataFrame]:
        """Those that are left where there are too many values; what becomes of the numbers; the
        entity of each aggregation that let some go.
        """
        by = [*self._entity, "partial"]
        nothing = self.nothing.select(self._entity)
        # Hardly ever are there so many rows, and one value may have several.
        if rows.height <= MOST_VALUES:
            return rows, nothing, nothing
        sizes = rows.group_by(by).agg(pl.col("value").n_unique())
        many = sizes.filter(pl.col("value") > MOST_VALUES).select(by)
        if many.is_empty():
            return rows, nothing, nothing
        theirs = rows.join(many, on=by)
        is_old = pl.col("tile").max().over(self._key) <= watermark_us - COARSE_US
        hashed = with_hashes(theirs.with_columns(is_old.alias(IS_OLD)))
        by.append(IS_OLD)
        # The largest power of 1/2 that leaves no more than half of the bound to either.
        most = MOST_VALUES // 2
        distinct = hashed.unique([*self._key, IS_OLD]).group_by(by)
        levels = distinct.agg(pl.len(), pl.col(HASH).bottom_k(most + 1).max().alias("first"))
        levels = levels.with_columns(
            level=pl.when(pl.col("len") > most).then(-pl.col("first").log(2).floor()).otherwise(0)
        )
        left = (
            hashed.join(levels, on=by)
            .with_columns(share=pl.lit(2.0).pow(-pl.col("level")))
            .filter(pl.col(HASH) < pl.col("share"))
            .with_columns(weight=pl.max_horizontal("weight", (1 / pl.col("share")).cast(pl.Int64)))
            .select(rows.columns)
        )
        return (
            pl.concat([rows.join(many, on=by[:-1], how="anti"), left]),
            self._moved(theirs, left),
            many.select(self._entity),
        )

    def evict(self, rows: pl.DataFrame, watermark_us: int) -> pl.DataFrame:
        """Those that a window may still show, and of what nothing takes back the last ones."""
        if rows.is_empty():
            return rows
        rows = rows.filter(self.leaves() > watermark_us)
        if not self._signed:
            return rows
        is_settled = pl.col("tile") + self._tile_us + LIFETIME_US < watermark_us
        still_open, settled = parted(rows, is_settled)
        if settled.is_empty():
            return rows
        return pl.concat([still_open, _last(settled, self._key)])

    def leaves(self) -> pl.Expr:
        """The watermark at which nothing shows a row any more."""
        return (COARSE if self._is_coarse else pl.col("tile")) + self._widest

    def _summed(self, rows: pl.DataFrame) -> pl.DataFrame:
        """Each tile of a value once."""
        is_signed = pl.col("partial").is_in(self._signed)
        unsigned, signed = parted(rows, is_signed) if self._signed else (rows, rows.clear())
        # What a smaller weight says is newer: others that were let go come back with that.
        if unsigned.height:
            unsigned = _last(unsigned.sort("weight", descending=True), self._key)
        if signed.is_empty():
            return unsigned
        summed = signed.group_by(*self._key, "tile").agg(
            pl.col("count").sum(), pl.col("weight").min()
        )
        left = summed.filter(pl.col("count") != 0).select(rows.columns)
        return pl.concat([unsigned, left]) if unsigned.height else left

    def _moved(self, before: pl.DataFrame, after: pl.DataFrame) -> pl.DataFrame:
        """Rows of numbers: where values no longer count, and where they do instead."""
        gone = self._counted(before).with_columns(-pl.col("weight"))
        moved = pl.concat([gone, self._counted(after)]).group_by(*self._entity, "tile")
        counts = {one.named("distinct"): code for code, one in self._of.items()}
        changed = moved.agg(
            pl.col("weight").filter(pl.col("partial") == code).sum().alias(name)
            for name, code in counts.items()
        ).filter(pl.any_horizontal(pl.col(name) != 0 for name in counts))
        return changed.select(
            *self._entity, pl.lit(self._tile_us, pl.Int64).alias("tile_us"), "tile", *counts
        )

    def _counted(self, rows: pl.DataFrame) -> pl.DataFrame:
        """Of each value the tile that it counts in."""
        return _last(rows.filter(pl.col("count") > 0), self._key) if self._signed else rows


def _last(rows: pl.DataFrame, key: list[str]) -> pl.DataFrame:
    """The last row of each key, by its tile."""
    return rows.sort("tile", maintain_order=True).unique(key, keep="last")
