"""Windowed features computed: aggregates that any order and any split of the events gives.

- *start*: an event becomes a row of partial aggregates in its fine and in its coarse tile.
- *merge*: rows of one (entity, tile) become one. Every partial is a sum, a minimum or a maximum, so
  merging is commutative and associative.
- *finish*: at `t`, each window combines the tiles that it covers.

So what is kept of an entity is bounded by the tiles of its largest window, and the error at the old
edge is at most one tile. The latest values of an entity lie in no tile: they stay until newer ones
take their place.

Times are microseconds UTC. Frames hold many entities: nothing here loops over events or keys.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import polars as pl

from features.columns import Column, ColumnType
from features.session_set import LIFETIME_US, SIGN
from features.windows import (
    COARSE_US,
    FINE_US,
    Aggregation,
    Grid,
    Kind,
    Latest,
    Rate,
    Score,
    Window,
)

__all__ = ["IS_EVENT", "PLACE", "VALUES", "Tiles", "WindowSet"]


@dataclass(frozen=True, slots=True)
class Tiles:
    """`numbers`: entity, tile_us, tile, partials. `values`: entity, tile_us, tile, partial, value,
    count, last_at, last_id. `tile` is its start; what stays for good has `tile_us` 0.
    """

    numbers: pl.DataFrame
    values: pl.DataFrame


PLACE = ("tile_us", "tile")
LAST = ("last_at", "last_id")
VALUES: dict[str, type[pl.DataType]] = {
    **dict.fromkeys((*PLACE, "partial"), pl.Int64),
    "value": pl.String,
    "count": pl.Int64,
    "last_at": pl.Int64,
    "last_id": pl.String,
}
# Optional, of rows: false for what only follows from events and time, like a pattern's end.
IS_EVENT = "is_event"
INDEX = "row of `at`"
WINDOW = "name of the window"
# Values are kept as text; times leave as microseconds.
LATEST_AS: dict[ColumnType, type[pl.DataType]] = {
    ColumnType.STRING: pl.String,
    ColumnType.DOUBLE: pl.Float64,
    ColumnType.TIMESTAMP: pl.Int64,
}
OPERATIONS = {"count": "sum", "sum": "sum", "min": "min", "max": "max"}
PARTS = {
    Kind.COUNT: ("count",),
    Kind.SUM: ("sum",),
    Kind.MEAN: ("sum", "count"),
    Kind.MIN: ("min",),
    Kind.MAX: ("max",),
}


class WindowSet:
    """The windowed features of one entity, compiled from their declarations.

    Input rows have the entity's columns, `event_at` (microseconds) and `event_id`, and where an
    aggregation is `signed` also `sign`, and perhaps `is_event`; rows without an entity count
    nowhere. They must be free of copies.
    """

    def __init__(
        self,
        entity: Sequence[str] | Mapping[str, Any],
        grids: Iterable[Grid],
        rates: Iterable[Rate] = (),
        latest: Iterable[Latest] = (),
        scores: Iterable[Score] = (),
    ):
        self.entity = tuple(entity)
        types = entity if isinstance(entity, Mapping) else dict.fromkeys(entity, pl.String)
        self._no_values = pl.DataFrame(schema={**types, **VALUES})
        self.grids = tuple(grids)
        self.rates = tuple(rates)
        self.latest = tuple(latest)
        self.scores = tuple(scores)
        for grid in self.grids:
            if grid.aggregation.signed and grid.aggregation.kind in (Kind.MIN, Kind.MAX):
                raise ValueError(f"{grid.name}: no minimum or maximum of what may be taken back.")

    def of_numbered(self, number: str) -> WindowSet:
        """The same features of entities that have a number (UInt32), by the name of its column."""
        return WindowSet({number: pl.UInt32}, self.grids, self.rates, self.latest, self.scores)

    @property
    def columns(self) -> tuple[Column, ...]:
        """One column for each feature, as declared."""
        grids = [column for grid in self.grids for column in grid.columns]
        rates = [column for rate in self.rates for column in rate.columns]
        scores = [one.column for one in self.scores]
        return (*grids, *rates, *scores, *(one.column for one in self.latest))

    @property
    def partials(self) -> tuple[str, ...]:
        """The columns of `Tiles.numbers` beside entity and place."""
        return tuple(self._parts)

    def start(self, rows: pl.DataFrame) -> Tiles:
        """The tiles of new rows."""
        known = rows.filter(pl.all_horizontal(pl.col(self.entity).is_not_null()))
        placed = pl.concat(_placed(known, tile_us) for tile_us in (FINE_US, COARSE_US))
        numbers = placed.group_by(*self.entity, *PLACE).agg(
            _partial(part, one).alias(one.named(part)) for part, one in self._parts.values()
        )
        forever = known.with_columns(pl.lit(0, pl.Int64).alias(name) for name in PLACE)
        values = [self._values(placed, one) for one in self._listed]
        values += [self._values(forever, one) for one in self._lasting]
        return Tiles(numbers, self._merged(pl.concat([self._no_values, *values])))

    def merge(self, tiles: Iterable[Tiles]) -> Tiles:
        """All of them as one; the order does not matter."""
        parts = list(tiles)
        numbers = pl.concat([one.numbers for one in parts], how="diagonal")
        values = pl.concat([one.values for one in parts])
        by = (*self.entity, *PLACE)
        return Tiles(numbers.group_by(by).agg(self._combined()), self._merged(values))

    def finish(self, tiles: Tiles, at: pl.DataFrame) -> pl.DataFrame:
        """The features of every entity in `at` (entity, `t`): entity, then `columns`."""
        at = at.with_row_index(INDEX)
        numbers = tiles.numbers.join(at, on=self.entity)
        values = tiles.values.join(at, on=self.entity).sort(LAST)
        features = at
        for found in (*self._over_windows(numbers, values), *self._latest_values(values)):
            features = features.join(found, on=INDEX, how="left", maintain_order="left")
        features = features.with_columns(self._zeros()).with_columns(
            *self._rates(), *(one.expression() for one in self.scores)
        )
        return features.select(*self.entity, *(column.name for column in self.columns))

    def evict(self, tiles: Tiles, watermark_us: int) -> Tiles:
        """What a row can still show once the watermark is there: `t` is never behind it."""
        is_kept = pl.lit(value=False)
        for tile_us, width_us in self._widest.items():
            covered = pl.col("tile") > watermark_us - width_us
            is_kept = is_kept | ((pl.col("tile_us") == tile_us) & covered)
        values = [tiles.values.filter(is_kept), self._newest(_ranked(tiles.values), watermark_us)]
        return Tiles(
            tiles.numbers.filter(is_kept),
            pl.concat(frame.select(tiles.values.columns) for frame in values),
        )

    def due(self, tiles: Tiles, at: pl.DataFrame) -> pl.DataFrame:
        """Per entity, the smallest `t` at which a tile leaves a window: its row changes then."""
        everywhere = pl.concat(
            [tiles.numbers.select(*self.entity, *PLACE), tiles.values.select(*self.entity, *PLACE)]
        ).unique()
        leaving = everywhere.join(at, on=self.entity).with_columns(
            due=pl.min_horizontal(
                pl.when(_covers(w)).then(pl.col("tile") + w.width_us) for w in self._windows
            )
        )
        return leaving.group_by(self.entity).agg(pl.col("due").min())

    @cached_property
    def _windows(self) -> tuple[Window, ...]:
        return tuple(dict.fromkeys(w for grid in self.grids for w in grid.windows))

    @cached_property
    def _widest(self) -> dict[int, int]:
        widest: dict[int, int] = {}
        for window in self._windows:
            widest[window.tile_us] = max(widest.get(window.tile_us, 0), window.width_us)
        return widest

    @cached_property
    def _parts(self) -> dict[str, tuple[str, Aggregation]]:
        """The partial numbers by name; what several features need is kept once."""
        return {
            one.named(part): (part, one)
            for one in (grid.aggregation for grid in self.grids)
            for part in PARTS.get(one.kind, ())
        }

    @cached_property
    def _listed(self) -> tuple[Aggregation, ...]:
        """The aggregations that need the values themselves, one for each code."""
        found = [grid.aggregation for grid in self.grids if grid.aggregation.kind not in PARTS]
        return tuple({one.code: one for one in found}.values())

    @cached_property
    def _lasting(self) -> tuple[Aggregation, ...]:
        """The aggregations whose latest values stay, one for each code."""
        found = [one.aggregation for one in self.latest]
        return tuple({one.code: one for one in found}.values())

    @cached_property
    def _kept(self) -> dict[int, int]:
        """How many of the latest values are kept, by the code of what keeps them."""
        kept: dict[int, int] = {}
        for one in self.latest:
            code = one.aggregation.code
            kept[code] = max(kept.get(code, 1), one.most or 1)
        return kept

    @cached_property
    def _signed(self) -> list[int]:
        """The codes of values that may be taken back."""
        return [one.code for one in (*self._listed, *self._lasting) if one.signed]

    def _merged(self, values: pl.DataFrame) -> pl.DataFrame:
        by = (*self.entity, *PLACE, "partial", "value")
        if not self._signed:
            return _counted(values.sort(LAST), by)
        is_signed = pl.col("partial").is_in(self._signed)
        # Each stays a row of its own: the last of them may be taken back, and another is then last.
        signed = values.filter(is_signed).group_by(*by, *LAST).agg(pl.col("count").sum())
        left = signed.filter(pl.col("count") != 0).select(values.columns)
        return pl.concat([_counted(values.filter(~is_signed).sort(LAST), by), left])

    def _newest(self, ranked: pl.DataFrame, watermark_us: int) -> pl.DataFrame:
        """The newest distinct values of each entity, and whatever may still be taken back."""
        by = [*self.entity, "partial"]
        is_open = pl.col("partial").is_in(self._signed) & (
            pl.col("last_at") + LIFETIME_US >= watermark_us
        )
        settled = ranked.filter(~is_open).unique([*by, "value"], keep="first", maintain_order=True)
        most = pl.col("partial").replace_strict(self._kept, default=0, return_dtype=pl.Int64)
        newest = settled.filter(pl.int_range(pl.len()).over(by) < most)
        return pl.concat([ranked.filter(is_open), newest])

    def _combined(self) -> list[pl.Expr]:
        return [
            getattr(pl.col(name), OPERATIONS[part])() for name, (part, _) in self._parts.items()
        ]

    def _values(self, placed: pl.DataFrame, one: Aggregation) -> pl.DataFrame:
        return placed.filter(one.rows()).select(
            *self.entity,
            *PLACE,
            partial=pl.lit(one.code, pl.Int64),
            value=pl.col(str(one.of)).cast(pl.String),
            count=_sign(one),
            last_at="event_at",
            last_id="event_id",
        )

    def _over_windows(self, numbers: pl.DataFrame, values: pl.DataFrame) -> Iterator[pl.DataFrame]:
        """All windows at once: each tile stands once in every window that covers it."""
        combined = self._covered(numbers).group_by(INDEX, WINDOW).agg(self._combined())
        summed = [grid for grid in self.grids if grid.aggregation.kind in PARTS]
        if summed:
            features = (_finished(grid.aggregation).alias(grid.name) for grid in summed)
            yield self._wide(combined.select(INDEX, WINDOW, *features), summed)
        if self._listed:
            counted = _counted(self._covered(values), (INDEX, WINDOW, "partial", "value"))
            for grid in self.grids:
                if grid.aggregation.kind not in PARTS:
                    yield self._wide(_listing(grid, counted), [grid])

    def _covered(self, rows: pl.DataFrame) -> pl.DataFrame:
        in_windows = rows.join(self._spans, on="tile_us", maintain_order="left")
        return in_windows.filter(pl.col("tile") > pl.col("t") - pl.col("width_us"))

    @cached_property
    def _spans(self) -> pl.DataFrame:
        spans = [(w.name, w.tile_us, w.width_us) for w in self._windows]
        schema = {WINDOW: pl.String, "tile_us": pl.Int64, "width_us": pl.Int64}
        return pl.DataFrame(spans, schema, orient="row")

    def _wide(self, rows: pl.DataFrame, grids: Sequence[Grid]) -> pl.DataFrame:
        """A row for each entity, a column for each grid and window."""
        return rows.pivot(
            WINDOW,
            [window.name for window in self._windows],
            index=INDEX,
            values=[grid.name for grid in grids],
            column_naming="combine",
        )

    def _latest_values(self, values: pl.DataFrame) -> Iterator[pl.DataFrame]:
        ranked = _ranked(values)
        single = [one for one in self.latest if one.most is None]
        if single:
            codes = list(dict.fromkeys(one.aggregation.code for one in single))
            newest = (
                ranked.filter(pl.col("partial").is_in(codes))
                .unique([INDEX, "partial"], keep="first", maintain_order=True)
                .pivot("partial", codes, index=INDEX, values="value")
            )
            yield newest.select(INDEX, *(_typed(one) for one in single))
        for one in self.latest:
            if one.most is not None:
                mine = ranked.filter(pl.col("partial") == one.aggregation.code)
                distinct = pl.col("value").unique(maintain_order=True)
                yield mine.group_by(INDEX, maintain_order=True).agg(
                    distinct.head(one.most).reverse().alias(one.name)
                )

    def _zeros(self) -> list[pl.Expr]:
        """Without an event a count and a sum are 0; all else is null."""
        return [
            pl.col(column.name).fill_null(0)
            for grid in self.grids
            if grid.aggregation.kind in (Kind.COUNT, Kind.SUM, Kind.DISTINCT)
            for column in grid.columns
        ]

    def _rates(self) -> list[pl.Expr]:
        return [
            (pl.col(f"{rate.of}_{w.name}") / _unless_zero(f"{rate.to}_{w.name}")).alias(
                f"{rate.name}_{w.name}"
            )
            for rate in self.rates
            for w in rate.windows
        ]


def _placed(rows: pl.DataFrame, tile_us: int) -> pl.DataFrame:
    return rows.with_columns(
        tile_us=pl.lit(tile_us, pl.Int64), tile=pl.col("event_at").floordiv(tile_us) * tile_us
    )


def _partial(part: str, one: Aggregation) -> pl.Expr:
    if part == "count":
        counted = pl.col(SIGN).filter(one.rows()) if one.signed else one.rows()
        return counted.sum().cast(pl.Int64)
    column = pl.col(str(one.of)).cast(pl.Float64)
    column = (column * pl.col(SIGN) if one.signed else column).filter(one.rows())
    partial: pl.Expr = getattr(column, part)()
    return partial


def _sign(one: Aggregation) -> pl.Expr:
    return pl.col(SIGN) if one.signed else pl.lit(1, pl.Int64)


def _finished(one: Aggregation) -> pl.Expr:
    if one.kind is Kind.COUNT:
        return pl.col(one.named("count"))
    if one.kind is Kind.SUM:
        return _sum(one)
    if one.kind is Kind.MEAN:
        count = pl.col(one.named("count"))
        return pl.when(count > 0).then(_sum(one) / count)
    return pl.col(one.named(one.kind.value))


def _sum(one: Aggregation) -> pl.Expr:
    total = pl.col(one.named("sum"))
    # What was added and taken back may leave a rest of 1e-16 where nothing should be.
    return total.round(12) if one.signed else total


def _counted(values: pl.DataFrame, by: Sequence[str]) -> pl.DataFrame:
    """The count of each value and its last event, of `values` in order of `LAST`."""
    counted = values.group_by(by).agg(pl.col("count").sum(), pl.col(LAST).last())
    return counted.select(*by, "count", *LAST)


def _listing(grid: Grid, counted: pl.DataFrame) -> pl.DataFrame:
    """A feature that needs the values: they, counted in each window."""
    mine = counted.filter(pl.col("partial") == grid.aggregation.code)
    if grid.aggregation.kind is Kind.DISTINCT:
        return mine.group_by(INDEX, WINDOW).agg(pl.len().cast(pl.Int64).alias(grid.name))
    # The larger count, then the more recent event, then the smaller name.
    ranked = mine.sort("count", *LAST, "value", descending=[True, True, True, False])
    first = ranked.unique([INDEX, WINDOW], keep="first")
    return first.select(INDEX, WINDOW, pl.col("value").alias(grid.name))


def _ranked(values: pl.DataFrame) -> pl.DataFrame:
    """The values that are kept for good, newest first."""
    return values.filter(pl.col("tile_us") == 0).sort(LAST, descending=True)


def _typed(one: Latest) -> pl.Expr:
    """The newest value of what is kept as text, by the code of what keeps it."""
    newest = pl.col(str(one.aggregation.code))
    if one.ends:
        newest = pl.when(newest != "").then(newest)
    return newest.cast(LATEST_AS[one.type]).alias(one.name)


def _covers(window: Window) -> pl.Expr:
    in_size = pl.col("tile_us") == window.tile_us
    return in_size & (pl.col("tile") > pl.col("t") - window.width_us)


def _unless_zero(name: str) -> pl.Expr:
    return pl.when(pl.col(name) != 0).then(pl.col(name))
