"""Windowed features computed: aggregates that any order and any split of the events gives.

- *start*: events become rows of partial aggregates in their fine and in their coarse tiles.
- *merge*: rows of one (entity, tile) become one: commutative and associative.
- *finish*: at `t`, each window combines the tiles that it covers (`features.window_rows`).

So what is kept of an entity is bounded by the tiles of its largest window, and the error at the old
edge is at most one tile. The latest values of an entity lie in no tile: they stay until newer ones
take their place (those that may be taken back: `features.latest_events`).

Times are microseconds UTC. Frames hold many entities: nothing here loops over events or keys.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property, reduce
from typing import Any

import polars as pl

from features import sketches
from features.columns import Column
from features.latest_events import LatestEvents
from features.session_set import LIFETIME_US, SIGN
from features.tiles import (
    LAST,
    OPERATIONS,
    PARTS,
    PLACE,
    VALUES,
    Tiles,
    covers,
    parted,
    windows_of,
)
from features.window_rows import WindowRows
from features.windows import (
    COARSE_US,
    FINE_US,
    Aggregation,
    Grid,
    Kind,
    Latest,
    Rate,
    Score,
    kept_of,
)

__all__ = ["IS_EVENT", "WindowSet"]

# Optional, of rows: false for what only follows from events and time, like a pattern's end.
IS_EVENT = "is_event"
# What may be taken back counts as at most so much: beside 1e308 a sum would lose all others.
MOST_TAKEN_BACK = 1e15


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
        """`entity`: the columns that name it, texts unless their types are given."""
        types = entity if isinstance(entity, Mapping) else dict.fromkeys(entity, pl.String)
        self.entity = tuple(entity)
        self.grids = tuple(grids)
        self.rates = tuple(rates)
        self.latest = tuple(latest)
        self.scores = tuple(scores)
        for grid in self.grids:
            if grid.aggregation.signed and grid.aggregation.kind in (Kind.MIN, Kind.MAX):
                raise ValueError(f"{grid.name}: no minimum or maximum of what may be taken back.")
        self._numbered: dict[str, WindowSet] = {}
        self._by_value = (*self.entity, *PLACE, "partial", "value")
        self._no_values = pl.DataFrame(schema={**types, **VALUES})
        self.events = LatestEvents(types, self.latest)
        self._rows = WindowRows(self.entity, self.grids, self.rates, self.latest, self.scores)

    def of_numbered(self, number: str) -> WindowSet:
        """The same features of entities that have a number (UInt32), by the name of its column."""
        if number not in self._numbered:
            declared = self.grids, self.rates, self.latest, self.scores
            self._numbered[number] = WindowSet({number: pl.UInt32}, *declared)
        return self._numbered[number]

    @property
    def columns(self) -> tuple[Column, ...]:
        """One column for each feature, as declared."""
        return self._rows.columns

    @property
    def inputs(self) -> frozenset[str]:
        """The columns of rows that it looks at, where they have them."""
        declared: tuple[Grid | Latest, ...] = (*self.grids, *self.latest)
        used = [one.aggregation for one in declared]
        of = {one.of for one in used if one.of is not None}
        tested = {name for one in used for name in one.where}
        return frozenset({*self.entity, "event_at", "event_id", SIGN, IS_EVENT, *of, *tested})

    @property
    def partials(self) -> tuple[str, ...]:
        """The columns of `Tiles.numbers` beside entity and place."""
        return tuple(self._parts)

    def start(self, rows: pl.DataFrame) -> Tiles:
        """The tiles of new rows."""
        tiles = self._started(rows)
        return tiles._replace(values=self._merged(tiles.values))

    def merge(self, tiles: Iterable[Tiles]) -> Tiles:
        """All of them as one; the order does not matter."""
        return reduce(self._merge, tiles)

    def add(self, tiles: Tiles, rows: pl.DataFrame) -> Tiles:
        """Merge the tiles of new rows into others."""
        return self._merge(tiles, self._started(rows))

    def cap(self, tiles: Tiles, watermark_us: int) -> tuple[Tiles, pl.DataFrame]:
        """Tiles that keep a bounded number of values; the entity of each that let some go."""
        many = tiles.values.group_by(self.entity).len().filter(pl.col("len") > sketches.MOST_VALUES)
        if many.is_empty():
            return tiles, many.select(self.entity)
        theirs = tiles.values.join(many, on=self.entity, how="semi").filter(pl.col("tile_us") > 0)
        # What nothing takes back any more needs no row of its own.
        is_settled = pl.col("last_at") + LIFETIME_US < watermark_us
        is_signed = pl.col("partial").is_in(self._signed)
        still_open, settled = parted(theirs, is_signed & is_settled)
        if settled.height:
            theirs = pl.concat([still_open, _counted(settled, self._by_value)])
        kept, full = sketches.capped(theirs, self.entity, (*PLACE, "partial"))
        if full.is_empty() and settled.is_empty():
            return tiles, full.select(self.entity)
        is_lasting = pl.col("tile_us") == 0
        others = [
            tiles.values.join(many, on=self.entity, how="anti"),
            tiles.values.filter(is_lasting).join(many, on=self.entity, how="semi"),
        ]
        values = pl.concat([*others, kept])
        return tiles._replace(values=values), full.select(self.entity)

    def finish(self, tiles: Tiles, at: pl.DataFrame) -> pl.DataFrame:
        """The features of every entity in `at` (entity, `t`): entity, then `columns`."""
        return self._rows.finish(tiles, at)

    def evict(self, tiles: Tiles, watermark_us: int) -> Tiles:
        """What a row can still show once the watermark is there: `t` is never behind it."""
        is_kept = pl.any_horizontal(
            pl.lit(value=False),
            *(
                (pl.col("tile_us") == tile_us) & (pl.col("tile") > watermark_us - width_us)
                for tile_us, width_us in self._widest.items()
            ),
        )
        values = tiles.values.filter(is_kept)
        if self._lasting:
            lasting = tiles.values.filter(pl.col("tile_us") == 0)
            values = pl.concat([values, self._newest(lasting)])
        events = self.events.evict(tiles.events, watermark_us)
        return Tiles(tiles.numbers.filter(is_kept), values, events)

    def due(self, tiles: Tiles, at: pl.DataFrame) -> pl.DataFrame:
        """Per entity, the smallest `t` at which a tile leaves a window: its row changes then."""
        # Every value has a row of numbers in its tile.
        leaving = tiles.numbers.select(*self.entity, *PLACE).join(at, on=self.entity)
        leaves = [
            pl.when(covers(window)).then(pl.col("tile") + window.width_us)
            for window in windows_of(self.grids)
        ]
        return leaving.group_by(self.entity).agg(due=pl.min_horizontal(leaves).min())

    @cached_property
    def _widest(self) -> dict[int, int]:
        widest: dict[int, int] = {}
        for window in windows_of(self.grids):
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
    def _partials(self) -> list[pl.Expr]:
        """Each partial of a single row."""
        return [_partial(part, one).alias(name) for name, (part, one) in self._parts.items()]

    @cached_property
    def _combined(self) -> list[pl.Expr]:
        return [
            getattr(pl.col(name), OPERATIONS[part])() for name, (part, _) in self._parts.items()
        ]

    @cached_property
    def _listed(self) -> tuple[Aggregation, ...]:
        """The aggregations that need the values themselves, one for each code."""
        found = [grid.aggregation for grid in self.grids if grid.aggregation.kind not in PARTS]
        return tuple({one.code: one for one in found}.values())

    @cached_property
    def _lasting(self) -> tuple[Aggregation, ...]:
        """The aggregations whose latest values stay, one for each code."""
        found = [one.aggregation for one in self.latest if not one.signed]
        return tuple({one.code: one for one in found}.values())

    @cached_property
    def _kept(self) -> dict[int, int]:
        """How many of the latest values stay, by code."""
        return kept_of(one for one in self.latest if not one.signed)

    @cached_property
    def _told_apart(self) -> frozenset[int]:
        """The codes of values that are only told apart: which was the last event is not kept."""
        kinds = {kind: set[int]() for kind in Kind}
        for grid in self.grids:
            kinds[grid.aggregation.kind].add(grid.aggregation.code)
        return frozenset(kinds[Kind.DISTINCT] - kinds[Kind.MOST] - self._kept.keys())

    @cached_property
    def _signed(self) -> list[int]:
        """The codes of values of which the last event counts, and may be taken back."""
        signed = [one.code for one in self._listed if one.signed]
        return [code for code in signed if code not in self._told_apart]

    def _started(self, rows: pl.DataFrame) -> Tiles:
        """The tiles of new rows, with values that may stand there more than once."""
        known = (
            rows.filter(pl.all_horizontal(pl.col(self.entity).is_not_null()))
            .sort("event_at", "event_id")
            .with_columns(tile_us=pl.lit(FINE_US, pl.Int64), tile=_floor("event_at", FINE_US))
        )
        by = (*self.entity, *PLACE)
        fine = known.select(*by, *self._partials).group_by(by).agg(self._combined)
        coarse = fine.with_columns(_coarse()).group_by(by).agg(self._combined)
        listed = pl.concat([self._no_values, *(self._values(known, one) for one in self._listed)])
        forever = known.with_columns(pl.lit(0, pl.Int64).alias(name) for name in PLACE)
        lasting = [self._lasting_values(forever, one) for one in self._lasting]
        values = pl.concat([listed, listed.with_columns(_coarse()), *lasting])
        return Tiles(pl.concat([fine, coarse]), values, self.events.start(known))

    def _merge(self, one: Tiles, other: Tiles) -> Tiles:
        """Where the other has nothing, in time or of an event, there is nothing to be merged."""
        is_beyond = _from_first_of(other.numbers)
        older, numbers = parted(one.numbers, is_beyond)
        numbers = pl.concat([numbers, other.numbers], how="diagonal")
        merged = numbers.group_by((*self.entity, *PLACE)).agg(self._combined)
        numbers = pl.concat([older, merged], how="diagonal")
        events = self.events.merge(one.events, other.events)
        if other.values.is_empty():
            return Tiles(numbers, one.values, events)
        rest, values = parted(one.values, is_beyond & self._may_be_again(other.values))
        values = self._merged(pl.concat([values, other.values]))
        return Tiles(numbers, pl.concat([rest, values]), events)

    def _may_be_again(self, values: pl.DataFrame) -> pl.Expr:
        """Another value has nothing to do with these, nor have signed ones of events before."""
        is_same = pl.col("value").is_in(values["value"].unique().implode())
        if not self._signed:
            return is_same
        is_before = pl.col("last_at") < pl.lit(values["last_at"].min(), pl.Int64)
        return is_same & (~pl.col("partial").is_in(self._signed) | ~is_before)

    def _merged(self, values: pl.DataFrame) -> pl.DataFrame:
        """Those of the same place and value as one."""
        by = self._by_value
        if not self._signed:
            return _counted(values, by)
        is_signed = pl.col("partial").is_in(self._signed)
        unsigned, signed = parted(values, is_signed)
        # Each stays a row of its own: the last of them may be taken back, and another is then last.
        signed = signed.group_by(*by, *LAST).agg(pl.col("count").sum())
        left = signed.filter(pl.col("count") != 0).select(values.columns)
        if unsigned.is_empty():
            return left
        return pl.concat([_counted(unsigned, by), left])

    def _lasting_values(self, rows: pl.DataFrame, one: Aggregation) -> pl.DataFrame:
        values = self._values(rows, one)
        return values if self._kept[one.code] > 1 else values.unique(self.entity, keep="last")

    def _newest(self, lasting: pl.DataFrame) -> pl.DataFrame:
        """The newest distinct values of each entity."""
        by = [*self.entity, "partial"]
        is_single = pl.col("partial").is_in(
            [code for code, most in self._kept.items() if most == 1]
        )
        listed, single = parted(lasting.sort(LAST, descending=True), is_single)
        single = single.unique(by, keep="first")
        if listed.height:
            distinct = listed.unique([*by, "value"], keep="first", maintain_order=True)
            most = pl.col("partial").replace_strict(self._kept, return_dtype=pl.Int64)
            listed = distinct.filter(pl.int_range(pl.len()).over(by) < most)
        return pl.concat([single, listed])

    def _values(self, placed: pl.DataFrame, one: Aggregation) -> pl.DataFrame:
        is_apart = one.code in self._told_apart
        return placed.filter(one.rows()).select(
            *self.entity,
            *PLACE,
            partial=pl.lit(one.code, pl.Int64),
            value=pl.col(str(one.of)).cast(pl.String),
            count=pl.col(SIGN) if one.signed else pl.lit(1, pl.Int64),
            last_at=pl.lit(None, pl.Int64) if is_apart else "event_at",
            last_id=pl.lit(None, pl.String) if is_apart else "event_id",
        )


def _from_first_of(numbers: pl.DataFrame) -> pl.Expr:
    """What lies in the first tiles of `numbers` or in later ones, or in none."""
    tile_us, tile = pl.col("tile_us"), pl.col("tile")
    sizes = (FINE_US, COARSE_US)
    firsts = numbers.select(
        tile.filter(tile_us == size).min().alias(str(size)) for size in sizes
    ).row(0)
    later = [
        (tile_us == size) & (tile >= first)
        for size, first in zip(sizes, firsts, strict=True)
        if first is not None
    ]
    return pl.any_horizontal(tile_us == 0, *later)


def _floor(time: str, tile_us: int) -> pl.Expr:
    return pl.col(time).floordiv(tile_us) * tile_us


def _coarse() -> list[pl.Expr]:
    """The place of fine tiles' contents in coarse ones."""
    return [
        pl.lit(COARSE_US, pl.Int64).alias("tile_us"),
        _floor("tile", COARSE_US).alias("tile"),
    ]


def _partial(part: str, one: Aggregation) -> pl.Expr:
    if part == "count":
        counted = pl.col(SIGN) if one.signed else pl.lit(1, pl.Int64)
        return pl.when(one.rows()).then(counted).otherwise(0).cast(pl.Int64)
    column = pl.col(str(one.of)).cast(pl.Float64)
    if one.signed:
        column = column.clip(-MOST_TAKEN_BACK, MOST_TAKEN_BACK) * pl.col(SIGN)
    return pl.when(one.rows()).then(column)


def _counted(values: pl.DataFrame, by: Sequence[str]) -> pl.DataFrame:
    """The count of each value and its last event, of what has not been taken back."""
    counted = values.sort(LAST).group_by(by).agg(pl.col("count").sum(), pl.col(LAST).last())
    return counted.filter(pl.col("count") != 0).select(*by, "count", *LAST)
