"""Rows of windowed features: what the tiles of an entity amount to at a time `t`.

All windows are computed at once, a column for each: a tile counts in a window when it starts after
`t` minus the window's width. Of values, the rows are ordered by their last event once; which value
is the most frequent, and of equal ones the most recent, is then a maximum of one number.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from functools import cached_property

import polars as pl

from features.columns import Column, ColumnType
from features.signed_events import column_of
from features.tiles import LAST, OPERATIONS, PARTS, Tiles, covers, windows_of
from features.windows import Aggregation, Grid, Kind, Latest, Rate, Score, Window

__all__ = ["WindowRows"]

LARGEST = sys.float_info.max
INDEX = "row of `at`"
ORDER = "place among all values by their last event"
# Counts and places in one number: the larger count first, then the later place.
PLACES = 1 << 32
# Values are kept as text; times leave as microseconds.
LATEST_AS: dict[ColumnType, type[pl.DataType]] = {
    ColumnType.STRING: pl.String,
    ColumnType.DOUBLE: pl.Float64,
    ColumnType.TIMESTAMP: pl.Int64,
}


class WindowRows:
    """The features of one entity; the expressions that compute them are made once."""

    def __init__(
        self,
        entity: Sequence[str],
        grids: Sequence[Grid],
        rates: Sequence[Rate],
        latest: Sequence[Latest],
        scores: Sequence[Score],
    ) -> None:
        self._entity = tuple(entity)
        self._summed = [grid for grid in grids if grid.aggregation.kind in PARTS]
        self._most = [grid for grid in grids if grid.aggregation.kind is Kind.MOST]
        self._latest = [one for one in latest if not one.signed]
        self._taken_back = [one for one in latest if one.signed]
        self._derived = [*_rates(rates), *(score.expression() for score in scores)]
        columns = [column for grid in grids for column in grid.columns]
        columns += [column for rate in rates for column in rate.columns]
        columns += [score.column for score in scores]
        self.columns: tuple[Column, ...] = (*columns, *(one.column for one in latest))
        self._zeros = [
            pl.col(column.name).fill_null(0)
            for grid in grids
            if grid.aggregation.kind in (Kind.COUNT, Kind.SUM, Kind.DISTINCT)
            for column in grid.columns
        ]

    def finish(self, tiles: Tiles, at: pl.DataFrame) -> pl.DataFrame:
        """The features of every entity in `at` (entity, `t`): entity, then `columns`.

        Without an event a count and a sum are 0; all else is null.
        """
        at = at.with_row_index(INDEX)
        features = at
        for found in self._found(tiles, at):
            features = features.join(found, on=INDEX, how="left", maintain_order="left")
        features = features.with_columns(self._zeros).with_columns(self._derived)
        return features.select(*self._entity, *(column.name for column in self.columns))

    def _found(self, tiles: Tiles, at: pl.DataFrame) -> Iterator[pl.DataFrame]:
        is_lasting = pl.col("tile_us") == 0
        if self._summed:
            numbers = self._at(at, tiles.numbers).with_columns(_covered(self._summed))
            summed = numbers.group_by(INDEX).agg(self._sums)
            yield summed.select(INDEX, *self._finished)
        if self._most:
            mine = pl.col("partial").is_in([grid.aggregation.code for grid in self._most])
            yield self._most_frequent(self._at(at, tiles.values.filter(mine & ~is_lasting)))
        if self._latest:
            lasting = self._at(at, tiles.values.filter(is_lasting))
            yield self._newest(lasting, self._latest, _value_of)
        if self._taken_back:
            yield self._newest(self._at(at, tiles.events), self._taken_back, _value_under)

    def _newest(
        self, rows: pl.DataFrame, latest: Sequence[Latest], value: Callable[[Latest], pl.Expr]
    ) -> pl.DataFrame:
        """The latest values; an empty list is none."""
        newest = rows.sort(LAST).group_by(INDEX).agg(_newest(one, value(one)) for one in latest)
        return newest.with_columns(
            pl.when(pl.col(one.name).list.len() > 0).then(one.name)
            for one in latest
            if one.most is not None
        )

    def _at(self, at: pl.DataFrame, rows: pl.DataFrame) -> pl.DataFrame:
        """The rows with the `t` of their entity; of one that is not asked for it is null.

        A join that drops none has no texts to copy.
        """
        return rows.join(at, on=self._entity, how="left", maintain_order="left")

    @cached_property
    def _sums(self) -> list[pl.Expr]:
        """Each partial over each window, once."""
        sums = {}
        for grid in self._summed:
            for part in PARTS[grid.aggregation.kind]:
                name = grid.aggregation.named(part)
                for window in grid.windows:
                    covered = pl.when(_mask(window)).then(name)
                    total: pl.Expr = getattr(covered, OPERATIONS[part])()
                    sums[_over(name, window)] = total.alias(_over(name, window))
        return list(sums.values())

    @cached_property
    def _finished(self) -> list[pl.Expr]:
        return [
            _finished(grid.aggregation, window).alias(column.name)
            for grid in self._summed
            for window, column in zip(grid.windows, grid.columns, strict=True)
        ]

    def _most_frequent(self, tiled: pl.DataFrame) -> pl.DataFrame:
        """The value with the largest count, then the most recent event, then the smaller name."""
        ordered = tiled.sort(*LAST, "value", descending=[False, False, True]).with_row_index(ORDER)
        ranked = (
            ordered.with_columns(_covered(self._most))
            .group_by(INDEX, "partial", "value")
            .agg(self._ranks)
        )
        best = ranked.group_by(INDEX).agg(
            pl.when(pl.col("partial") == grid.aggregation.code)
            .then(pl.col(_mask(window)))
            .max()
            .alias(column.name)
            for grid in self._most
            for window, column in zip(grid.windows, grid.columns, strict=True)
        )
        # Until here a value's rank stood for it.
        texts = ordered["value"]
        return best.with_columns(
            texts.gather(best[column.name] % PLACES).alias(column.name)
            for grid in self._most
            for column in grid.columns
        )

    @cached_property
    def _ranks(self) -> list[pl.Expr]:
        """Of a value in each window: its count, and the place of its last event; null if none."""
        count, place = pl.col("count"), pl.col(ORDER).cast(pl.Int64)
        return [
            (
                pl.when(_mask(window)).then(count).sum() * PLACES
                + pl.when(_mask(window)).then(place).max()
            ).alias(_mask(window))
            for window in windows_of(self._most)
        ]


def _covered(grids: Sequence[Grid]) -> list[pl.Expr]:
    """Which windows of the entity's row a tile counts in."""
    return [covers(window).alias(_mask(window)) for window in windows_of(grids)]


def _mask(window: Window) -> str:
    return f"in {window.name}"


def _over(name: str, window: Window) -> str:
    return f"{name} over {window.name}"


def _finished(one: Aggregation, window: Window) -> pl.Expr:
    if one.kind is Kind.SUM:
        return _sum(one, window)
    if one.kind is Kind.MEAN:
        count = pl.col(_over(one.named("count"), window))
        return pl.when(count > 0).then(_sum(one, window) / count)
    return pl.col(_over(one.named(one.kind.value), window))


def _sum(one: Aggregation, window: Window) -> pl.Expr:
    # Beyond the largest number there is none: a sum stands still there.
    total = pl.col(_over(one.named("sum"), window)).clip(-LARGEST, LARGEST)
    # What was added and taken back may leave a rest of 1e-16 where nothing should be.
    return total.round(12) if one.signed else total


def _value_of(one: Latest) -> pl.Expr:
    return pl.col("value").filter(pl.col("partial") == one.aggregation.code)


def _value_under(one: Latest) -> pl.Expr:
    return pl.col(column_of(one)).drop_nulls()


def _newest(one: Latest, mine: pl.Expr) -> pl.Expr:
    """Of values in order of their last events."""
    if one.most is not None:
        # The last distinct ones, oldest first.
        return mine.reverse().unique(maintain_order=True).head(one.most).reverse().alias(one.name)
    newest = mine.last()
    if one.ends:
        newest = pl.when(newest != "").then(newest)
    return newest.cast(LATEST_AS[one.type]).alias(one.name)


def _rates(rates: Sequence[Rate]) -> Iterator[pl.Expr]:
    for rate in rates:
        for window, column in zip(rate.windows, rate.columns, strict=True):
            divisor = pl.col(f"{rate.to}_{window.name}")
            share = pl.col(f"{rate.of}_{window.name}") / pl.when(divisor != 0).then(divisor)
            yield share.alias(column.name)
