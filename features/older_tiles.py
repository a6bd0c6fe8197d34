"""Tiles as older versions kept them: what lies in a fine tile also lies in a coarse one, and values
that are told apart are listed by tile.
"""

from __future__ import annotations

import polars as pl

from features import sketches
from features.distinct import DISTINCT
from features.tiles import IN_COARSE, OPERATIONS, PLACE, Tiles
from features.window_set import WindowSet
from features.windows import FINE_US

__all__ = ["adopted"]

IS_FINE = pl.col("tile_us") == FINE_US


def adopted(view: WindowSet, tiles: Tiles) -> Tiles:
    """The same as `view` keeps them now."""
    is_lasting = pl.col("tile_us") == 0
    told_apart = tiles.values.filter(pl.col("partial").is_in(view.distinct.codes) & ~is_lasting)
    numbers = tiles.numbers
    listed = tiles.values.filter(pl.col("partial").is_in(view.listed) | is_lasting)
    # A coarse tile loses what its fine ones have; without coarse ones there is nothing to lose.
    is_twice = not numbers.filter(~IS_FINE).is_empty()
    values = _once(listed) if is_twice else listed
    sums = [name for name in view.partials if OPERATIONS[name.partition("(")[0]] == "sum"]
    others = [name for name in view.partials if name not in sums]
    lost = Tiles(
        numbers.filter(IS_FINE & pl.lit(is_twice)).with_columns(
            *(-pl.col(name) for name in sums),
            *(pl.lit(None, pl.Float64).alias(name) for name in others),
            *IN_COARSE,
        ),
        values.clear(),
        tiles.events.clear(),
        _distinct(told_apart, view),
    )
    return view.merge([view.events.adopt(tiles._replace(values=values)), lost])


def _once(values: pl.DataFrame) -> pl.DataFrame:
    """Coarse tiles without what their fine ones have."""
    by = [name for name in values.columns if name != "count"]
    lost = values.filter(IS_FINE).with_columns(-pl.col("count"), *IN_COARSE)
    counted = pl.concat([values, lost]).group_by(by).agg(pl.col("count").sum())
    return counted.filter(pl.col("count") != 0).select(values.columns)


def _distinct(values: pl.DataFrame, view: WindowSet) -> pl.DataFrame:
    """Values by tile as `features.distinct` has them; of full tiles each stands for several."""
    by = [*view.entity, "partial"]
    full = sketches.full_groups(values, by, PLACE)
    hashed = sketches.with_hashes(values.join(full, on=[*by, *PLACE], how="semi"))
    theta = hashed.group_by(*by, *PLACE).agg(pl.col(sketches.HASH).max())
    rows = values.join(theta, on=[*by, *PLACE], how="left").with_columns(
        weight=(1 / pl.col(sketches.HASH).fill_null(1)).round().cast(pl.Int64)
    )
    coarse_rows = pl.concat(
        [rows.filter(~IS_FINE), rows.filter(IS_FINE).with_columns(-pl.col("count"), *IN_COARSE)]
    )
    key = [*by, "value", "tile"]
    counted = [
        rows.group_by(key).agg(pl.col("count").sum(), pl.col("weight").max())
        for rows in (rows.filter(IS_FINE), coarse_rows)
    ]
    return pl.concat(counted).filter(pl.col("count") > 0).select(*view.entity, *DISTINCT)
