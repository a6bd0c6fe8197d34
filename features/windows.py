"""Trailing windows over tiles: aggregates that any order and any split of the events gives.

A window `W` at time `t` covers the tiles that start after `t - W`: tiles of 10 s up to a window of
an hour, tiles of an hour beyond. So what is kept of a key is bounded by the tiles of its largest
window, and the error at the old edge is at most one tile.

- *start*: an event becomes a row of partial aggregates in its fine and in its coarse tile.
- *merge*: rows of one (entity, tile) become one. Every partial is a sum, a minimum or a maximum, so
  merging is commutative and associative.
- *finish*: at `t`, each window combines the tiles that it covers.

Times are microseconds UTC. Frames hold many entities: nothing here loops over events or keys.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from functools import cached_property

import polars as pl

from features.columns import Column, ColumnType

__all__ = ["Aggregation", "Grid", "Kind", "Rate", "Tiles", "Window", "WindowSet", "windows"]

SECOND_US = 1_000_000
FINE_US = 10 * SECOND_US
COARSE_US = 3600 * SECOND_US
UNITS = {"m": 60 * SECOND_US, "h": 3600 * SECOND_US, "d": 86_400 * SECOND_US}


@dataclass(frozen=True, slots=True)
class Window:
    """A trailing window, named as in the suffix of its columns: `5m`, `24h`, `30d`."""

    name: str

    @property
    def width_us(self) -> int:
        return int(self.name[:-1]) * UNITS[self.name[-1]]

    @property
    def tile_us(self) -> int:
        return FINE_US if self.width_us <= COARSE_US else COARSE_US


def windows(names: str) -> tuple[Window, ...]:
    """`windows("5m 1h 7d")`."""
    return tuple(Window(name) for name in names.split())


class Kind(Enum):
    """What an aggregation makes of the values in a window."""

    COUNT = "count"
    SUM = "sum"
    MEAN = "mean"
    MIN = "min"
    MAX = "max"
    DISTINCT = "distinct"
    MOST = "most"


@dataclass(frozen=True, slots=True, kw_only=True)
class Aggregation:
    """Over the values of column `of`, nulls left out, of the rows in which every column of `where`
    holds one of its values. A count without `of` counts rows.
    """

    kind: Kind
    of: str | None = None
    where: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def rows(self) -> pl.Expr:
        """Which rows count."""
        tests = [pl.col(name).is_in(values) for name, values in self.where.items()]
        known = [] if self.of is None else [pl.col(self.of).is_not_null()]
        return pl.all_horizontal(*tests, *known, pl.lit(value=True)).fill_null(value=False)

    def named(self, part: str) -> str:
        """The partial's name: the same for every aggregation that needs the same one."""
        tests = ",".join(f"{name}={'|'.join(values)}" for name, values in self.where.items())
        return f"{part}({self.of or '*'}; {tests})"


@dataclass(frozen=True, slots=True, kw_only=True)
class Grid:
    """One aggregation over several windows: a feature for each."""

    name: str
    aggregation: Aggregation
    windows: tuple[Window, ...]
    doc: str
    unit: str | None = None

    @property
    def type(self) -> ColumnType:
        kind = self.aggregation.kind
        if kind is Kind.MOST:
            return ColumnType.STRING
        return ColumnType.LONG if kind in (Kind.COUNT, Kind.DISTINCT) else ColumnType.DOUBLE

    @property
    def columns(self) -> tuple[Column, ...]:
        return _columns(self.name, self.windows, self.type, self.doc, self.unit)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rate:
    """A grid divided by another, window by window; null where the divisor is 0."""

    name: str
    of: str
    to: str
    windows: tuple[Window, ...]
    doc: str

    @property
    def columns(self) -> tuple[Column, ...]:
        return _columns(self.name, self.windows, ColumnType.DOUBLE, self.doc, "ratio")


@dataclass(frozen=True, slots=True)
class Tiles:
    """`numbers`: entity, tile_us, tile, partials. `values`: entity, tile_us, tile, partial, value,
    count, last_at, last_id. `tile` is its start.
    """

    numbers: pl.DataFrame
    values: pl.DataFrame


PLACE = ("tile_us", "tile")
LAST = ("last_at", "last_id")
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

    Input rows have the entity's columns, `event_at` (microseconds) and `event_id`; rows without an
    entity count nowhere. They must be free of copies.
    """

    def __init__(self, entity: Sequence[str], grids: Iterable[Grid], rates: Iterable[Rate] = ()):
        self.entity = tuple(entity)
        self.grids = tuple(grids)
        self.rates = tuple(rates)

    @property
    def columns(self) -> tuple[Column, ...]:
        """One column for each feature, as declared."""
        grids = [column for grid in self.grids for column in grid.columns]
        return (*grids, *(column for rate in self.rates for column in rate.columns))

    def start(self, rows: pl.DataFrame) -> Tiles:
        """The tiles of new rows."""
        known = rows.filter(pl.all_horizontal(pl.col(self.entity).is_not_null()))
        placed = pl.concat(
            known.with_columns(
                tile_us=pl.lit(tile_us, pl.Int64),
                tile=pl.col("event_at").floordiv(tile_us) * tile_us,
            )
            for tile_us in (FINE_US, COARSE_US)
        )
        numbers = placed.group_by(*self.entity, *PLACE).agg(
            _partial(part, one).alias(one.named(part)) for part, one in self._parts.values()
        )
        values = pl.concat(
            [self._values(placed, one) for one in self._listed.values()] or [self._no_values()]
        )
        return Tiles(numbers, values)

    def merge(self, tiles: Iterable[Tiles]) -> Tiles:
        """All of them as one; the order does not matter."""
        parts = list(tiles)
        numbers = pl.concat([one.numbers for one in parts], how="diagonal")
        values = pl.concat([one.values for one in parts])
        return Tiles(
            numbers.group_by(*self.entity, *PLACE).agg(self._combined()),
            _counted(values, (*self.entity, *PLACE, "partial", "value")),
        )

    def finish(self, tiles: Tiles, at: pl.DataFrame) -> pl.DataFrame:
        """The features of every entity in `at` (entity, `t`): entity, then `columns`."""
        numbers = at.join(tiles.numbers, on=self.entity, how="left")
        features = numbers.group_by(self.entity).agg(
            self._finished(grid, window)
            for grid in self.grids
            if grid.aggregation.kind in PARTS
            for window in grid.windows
        )
        features = features.join(self._listings(tiles.values, at), on=self.entity, how="left")
        distinct = [
            pl.col(column.name).fill_null(0)
            for grid in self.grids
            if grid.aggregation.kind is Kind.DISTINCT
            for column in grid.columns
        ]
        rates = [
            (pl.col(f"{rate.of}_{w.name}") / _unless_zero(f"{rate.to}_{w.name}")).alias(
                f"{rate.name}_{w.name}"
            )
            for rate in self.rates
            for w in rate.windows
        ]
        names = [column.name for column in self.columns]
        return features.with_columns(distinct).with_columns(rates).select(*self.entity, *names)

    def evict(self, tiles: Tiles, watermark_us: int) -> Tiles:
        """What a window can still cover once the watermark is there: `t` is never behind it."""
        is_kept = pl.lit(value=False)
        for tile_us, width_us in self._widest.items():
            covered = pl.col("tile") > watermark_us - width_us
            is_kept = is_kept | ((pl.col("tile_us") == tile_us) & covered)
        return Tiles(tiles.numbers.filter(is_kept), tiles.values.filter(is_kept))

    def due(self, tiles: Tiles, at: pl.DataFrame) -> pl.DataFrame:
        """Per entity, the smallest `t` at which a tile leaves a window: its row changes then."""
        everywhere = pl.concat(
            [tiles.numbers.select(*self.entity, *PLACE), tiles.values.select(*self.entity, *PLACE)]
        ).unique()
        leaving = everywhere.join(at, on=self.entity).with_columns(
            pl.concat_list(
                pl.when(_covers(w)).then(pl.col("tile") + w.width_us) for w in self._windows
            ).alias("due")
        )
        return leaving.group_by(self.entity).agg(pl.col("due").list.min().min())

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
    def _listed(self) -> dict[str, Aggregation]:
        """The aggregations that need the values themselves."""
        found = [grid.aggregation for grid in self.grids if grid.aggregation.kind not in PARTS]
        return {one.named("values"): one for one in found}

    def _combined(self) -> list[pl.Expr]:
        return [
            getattr(pl.col(name), OPERATIONS[part])() for name, (part, _) in self._parts.items()
        ]

    def _values(self, placed: pl.DataFrame, one: Aggregation) -> pl.DataFrame:
        rows = placed.filter(one.rows()).select(
            *self.entity,
            *PLACE,
            partial=pl.lit(one.named("values")),
            value=pl.col(str(one.of)).cast(pl.String),
            count=pl.lit(1, pl.Int64),
            last_at="event_at",
            last_id="event_id",
        )
        return _counted(rows, (*self.entity, *PLACE, "partial", "value"))

    def _no_values(self) -> pl.DataFrame:
        entity = dict.fromkeys(self.entity, pl.String)
        place = dict.fromkeys(PLACE, pl.Int64)
        last = {"count": pl.Int64, "last_at": pl.Int64, "last_id": pl.String}
        return pl.DataFrame(
            schema={**entity, **place, "partial": pl.String, "value": pl.String, **last}
        )

    def _finished(self, grid: Grid, window: Window) -> pl.Expr:
        one, name = grid.aggregation, f"{grid.name}_{window.name}"

        def of(part: str) -> pl.Expr:
            column = pl.col(one.named(part)).filter(_covers(window))
            combined: pl.Expr = getattr(column, OPERATIONS[part])()
            return combined

        if one.kind is Kind.COUNT:
            return of("count").fill_null(0).alias(name)
        if one.kind is Kind.SUM:
            return of("sum").fill_null(0.0).alias(name)
        if one.kind is Kind.MEAN:
            count = of("count")
            return pl.when(count > 0).then(of("sum") / count).alias(name)
        return of(one.kind.value).alias(name)

    def _listings(self, values: pl.DataFrame, at: pl.DataFrame) -> pl.DataFrame:
        """The features that need the values themselves, all windows in one pass."""
        spans = pl.DataFrame(
            [(w.name, w.tile_us, w.width_us) for w in self._windows],
            schema={"window": pl.String, "tile_us": pl.Int64, "width_us": pl.Int64},
            orient="row",
        )
        covered = (
            values.join(at, on=self.entity)
            .join(spans, on="tile_us")
            .filter(pl.col("tile") > pl.col("t") - pl.col("width_us"))
        )
        counted = _counted(covered, (*self.entity, "partial", "window", "value"))
        # The larger count, then the more recent event, then the smaller name.
        ranked = counted.sort("count", *LAST, "value", descending=[True, True, True, False])
        return ranked.group_by(self.entity, maintain_order=True).agg(
            self._listing(grid, window)
            for grid in self.grids
            if grid.aggregation.kind not in PARTS
            for window in grid.windows
        )

    def _listing(self, grid: Grid, window: Window) -> pl.Expr:
        of = pl.col("partial") == grid.aggregation.named("values")
        values = pl.col("value").filter(of & (pl.col("window") == window.name))
        is_count = grid.aggregation.kind is Kind.DISTINCT
        found = values.len().cast(pl.Int64) if is_count else values.first()
        return found.alias(f"{grid.name}_{window.name}")


def _columns(
    name: str, over: Sequence[Window], type_: ColumnType, doc: str, unit: str | None
) -> tuple[Column, ...]:
    return tuple(
        Column(f"{name}_{window.name}", type_, f"{doc} Last {window.name}.", unit=unit)
        for window in over
    )


def _partial(part: str, one: Aggregation) -> pl.Expr:
    if part == "count":
        return one.rows().sum().cast(pl.Int64)
    column = pl.col(str(one.of)).filter(one.rows()).cast(pl.Float64)
    partial: pl.Expr = getattr(column, part)()
    return partial


def _counted(values: pl.DataFrame, by: Sequence[str]) -> pl.DataFrame:
    """The count of each value and its last event, ties in time broken by the event's id."""
    return (
        values.sort(LAST)
        .group_by(by, maintain_order=True)
        .agg(pl.col("count").sum(), pl.col(LAST).last())
        .select(*by, "count", *LAST)
    )


def _covers(window: Window) -> pl.Expr:
    in_size = pl.col("tile_us") == window.tile_us
    return in_size & (pl.col("tile") > pl.col("t") - window.width_us)


def _unless_zero(name: str) -> pl.Expr:
    return pl.when(pl.col(name) != 0).then(pl.col(name))
