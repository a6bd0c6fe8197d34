"""Values that may be taken back: the events that have them are kept, a row for each.

If the latest of them is taken back another is the latest, so each stays for as long as that may
happen. Then it goes on as a value of its tile, if values are counted, and of latest values only the
newest stay here.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import polars as pl

from features.session_set import LIFETIME_US, SIGN
from features.tiles import EVENTS, LAST, VALUES, Tiles, parted
from features.windows import Aggregation, Grid, Kind, Latest, kept_of

__all__ = ["SignedEvents", "column_of"]

NUMBER = "number of the event"


class SignedEvents:
    """`Tiles.events` of an entity, the columns of which have these types."""

    def __init__(
        self,
        entity: Mapping[str, Any],
        latest: Iterable[Latest],
        grids: Iterable[Grid],
        tile_us: int,
    ) -> None:
        """`tile_us`: the width of the tiles that values go on to."""
        signed = [one for one in latest if one.signed]
        self._entity = tuple(entity)
        self._tile_us = tile_us
        # What features are made of, each once, and how many of its newest values are kept.
        self._latest = {column_of(one): one.aggregation for one in signed}
        most = kept_of(signed)
        self._most = {name: most[one.code] for name, one in self._latest.items()}
        used = [grid.aggregation for grid in grids if grid.aggregation.kind is Kind.MOST]
        self._counted = {f"counted {one.code}": one for one in used if one.signed}
        self._of: dict[str, Aggregation] = {**self._latest, **self._counted}
        self.schema: dict[str, Any] = {**EVENTS, **dict.fromkeys(self._of, pl.String)}
        self._nothing = pl.DataFrame(schema={**entity, **self.schema})
        self._no_values = pl.DataFrame(schema={**entity, **VALUES})

    def start(self, rows: pl.DataFrame) -> pl.DataFrame:
        """Those of new rows, each of an entity."""
        if not self._of:
            return self._nothing
        values = [
            pl.when(one.rows()).then(pl.col(str(one.of)).cast(pl.String)).alias(name)
            for name, one in self._of.items()
        ]
        events = rows.select(
            *self._entity, *values, last_at="event_at", last_id="event_id", count=SIGN
        )
        has_value = pl.any_horizontal(pl.col(name).is_not_null() for name in self._of)
        return events.filter(has_value).select(self._nothing.columns)

    def merge(self, one: pl.DataFrame, other: pl.DataFrame) -> pl.DataFrame:
        """Those that are left of both."""
        if other.is_empty():
            return one
        before, events = parted(one, pl.col("last_at") >= other["last_at"].min())
        by = [name for name in one.columns if name != "count"]
        summed = pl.concat([events, other]).group_by(by).agg(pl.col("count").sum())
        return pl.concat([before, summed.filter(pl.col("count") != 0).select(one.columns)])

    def evict(self, events: pl.DataFrame, watermark_us: int) -> tuple[pl.DataFrame, pl.DataFrame]:
        """Those of the newest distinct values of each entity, and whatever may be taken back; and
        the values of the others, as `Tiles.values`.
        """
        is_open = pl.col("last_at") + LIFETIME_US >= watermark_us
        settled, still_open = parted(events, is_open)
        if settled.is_empty():
            return events, self._no_values
        newest_first = settled.sort(LAST, descending=True).with_row_index(NUMBER)
        kept = [newest_first.clear()]
        for name, most in self._most.items():
            known = newest_first.filter(pl.col(name).is_not_null())
            distinct = known.unique([*self._entity, name], keep="first", maintain_order=True)
            kept.append(distinct.filter(pl.int_range(pl.len()).over(self._entity) < most))
        uncounted = [pl.lit(None, pl.String).alias(name) for name in self._counted]
        left = pl.concat(kept).unique(NUMBER).drop(NUMBER).with_columns(uncounted)
        return pl.concat([still_open, left]), self.counted(settled)

    def counted(self, events: pl.DataFrame) -> pl.DataFrame:
        """Their values that are counted, as `Tiles.values`."""
        tile = pl.col("last_at").floordiv(self._tile_us) * self._tile_us
        rows = [
            events.filter(pl.col(name).is_not_null()).select(
                *self._entity,
                tile_us=pl.lit(self._tile_us, pl.Int64),
                tile=tile,
                partial=pl.lit(one.code, pl.Int64),
                value=name,
                count="count",
                last_at="last_at",
                last_id="last_id",
            )
            for name, one in self._counted.items()
        ]
        return pl.concat([self._no_values, *rows])

    def adopt(self, tiles: Tiles) -> Tiles:
        """Tiles as they are now, of an older version that kept the values of events one by one."""
        places = {name: (0, one.code) for name, one in self._latest.items()}
        places |= {name: (self._tile_us, one.code) for name, one in self._counted.items()}
        is_of = {
            name: (pl.col("tile_us") == tile_us) & (pl.col("partial") == code)
            for name, (tile_us, code) in places.items()
        }
        values, old = parted(tiles.values, pl.any_horizontal(pl.lit(value=False), *is_of.values()))
        rows = old.select(
            *self._entity,
            *EVENTS,
            *(pl.when(test).then("value").alias(name) for name, test in is_of.items()),
        )
        both = pl.concat([tiles.events, rows], how="diagonal")
        # The same event may have stood in both, and for each value.
        events = both.group_by(*self._entity, *EVENTS).agg(
            pl.col(name).drop_nulls().first() for name in self._of
        )
        return tiles._replace(values=values, events=events.select(self._nothing.columns))


def column_of(one: Latest) -> str:
    """The column of `Tiles.events` that has its value."""
    return str(one.aggregation.code)
