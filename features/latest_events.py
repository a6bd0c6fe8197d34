"""Latest values that may be taken back: the events that have them are kept, a row for each.

If the latest of them is taken back another is the latest, so each stays for as long as that may
happen. Then only those stay that have one of the newest values.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import polars as pl

from features.session_set import LIFETIME_US, SIGN
from features.tiles import EVENTS, LAST, Tiles, parted
from features.windows import Aggregation, Latest, kept_of

__all__ = ["LatestEvents", "column_of"]

NUMBER = "number of the event"


class LatestEvents:
    """`Tiles.events` of an entity, the columns of which have these types."""

    def __init__(self, entity: Mapping[str, Any], latest: Iterable[Latest]) -> None:
        signed = [one for one in latest if one.signed]
        self._entity = tuple(entity)
        # What features are made of, each once, and how many of its newest values are kept.
        self._of: dict[str, Aggregation] = {column_of(one): one.aggregation for one in signed}
        most = kept_of(signed)
        self._most = {name: most[one.code] for name, one in self._of.items()}
        self.schema: dict[str, Any] = {**EVENTS, **dict.fromkeys(self._of, pl.String)}
        self._nothing = pl.DataFrame(schema={**entity, **self.schema})

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

    def evict(self, events: pl.DataFrame, watermark_us: int) -> pl.DataFrame:
        """Those of the newest distinct values of each entity, and whatever may be taken back."""
        is_open = pl.col("last_at") + LIFETIME_US >= watermark_us
        settled, still_open = parted(events, is_open)
        if settled.is_empty():
            return events
        newest_first = settled.sort(LAST, descending=True).with_row_index(NUMBER)
        kept = []
        for name, most in self._most.items():
            known = newest_first.filter(pl.col(name).is_not_null())
            distinct = known.unique([*self._entity, name], keep="first", maintain_order=True)
            kept.append(distinct.filter(pl.int_range(pl.len()).over(self._entity) < most))
        return pl.concat([still_open, pl.concat(kept).unique(NUMBER).drop(NUMBER)])

    def adopt(self, tiles: Tiles) -> Tiles:
        """Tiles as they are now, of an older version that kept the values of events one by one."""
        codes = [one.code for one in self._of.values()]
        is_old = (pl.col("tile_us") == 0) & pl.col("partial").is_in(codes)
        if not codes or not tiles.values.select(is_old.any()).item():
            return tiles
        values, old = parted(tiles.values, is_old)
        events = old.group_by(*self._entity, *LAST, "count").agg(
            pl.col("value").filter(pl.col("partial") == one.code).first().alias(name)
            for name, one in self._of.items()
        )
        return Tiles(tiles.numbers, values, pl.concat([tiles.events, events], how="diagonal"))


def column_of(one: Latest) -> str:
    """The column of `Tiles.events` that has its value."""
    return str(one.aggregation.code)
