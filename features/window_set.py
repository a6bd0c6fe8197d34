"""Windowed features computed: aggregates that any order and any split of the events gives.

- *start*: events become rows of partial aggregates in their tiles.
- *merge*: rows of one (entity, tile) become one: commutative and associative.
- *finish*: at `t`, each window combines the tiles that it covers (`features.window_rows`).

So what is kept of an entity is bounded by the tiles of its largest window, and the error at the old
edge is at most one tile. The latest values of an entity lie in no tile: they stay until newer ones
take their place. Values that may be taken back stand by event (`features.signed_events`), values
that are only told apart count in their last tile (`features.distinct`).

Times are microseconds UTC. Frames hold many entities: nothing here loops over events or keys.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property, reduce
from typing import Any

import polars as pl

from features import sketches
from features.columns import Column
from features.distinct import Distinct
from features.session_set import LIFETIME_US, SIGN
from features.signed_events import SignedEvents
from features.tiles import (
    COARSE,
    IN_COARSE,
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
HOUR = "the coarse tile"


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
        self.events = SignedEvents(types, self.latest, self.grids, self._tile_us)
        self.distinct = Distinct(types, self.grids, self._tile_us)
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

    @property
    def listed(self) -> tuple[int, ...]:
        """The codes of the values in `Tiles.values` that lie in tiles."""
        return tuple(one.code for one in self._listed)

    def start(self, rows: pl.DataFrame) -> Tiles:
        """The tiles of new rows."""
        return self.add(self._started(rows.clear()), rows)

    def merge(self, tiles: Iterable[Tiles]) -> Tiles:
        """All of them as one; the order does not matter."""
        first, *others = tiles
        # What the others have of distinct values is counted anew.
        uncounted = [pl.lit(0, pl.Int64).alias(name) for name in self._told_apart]
        bare = (one._replace(numbers=one.numbers.with_columns(uncounted)) for one in others)
        return reduce(self._merge, bare, first)

    def add(self, tiles: Tiles, rows: pl.DataFrame) -> Tiles:
        """Merge the tiles of new rows into others.

        Of `tiles.distinct` only the values of these rows have to be there (`told_apart`).
        """
        return self._merge(tiles, self._started(rows))

    def told_apart(self, rows: pl.DataFrame) -> pl.DataFrame:
        """The values of rows that are counted apart, as `Tiles.distinct`."""
        known = rows.filter(pl.all_horizontal(pl.col(self.entity).is_not_null()))
        return self.distinct.start(known.with_columns(self._place))

    def cap(self, tiles: Tiles, watermark_us: int) -> tuple[Tiles, pl.DataFrame]:
        """Tiles that keep a bounded number of values; the entity of each that let some go."""
        distinct, numbers, thinned = self.distinct.thin(tiles.distinct, watermark_us)
        if thinned.height:
            numbers = self._total([tiles.numbers, numbers])
            tiles = tiles._replace(numbers=numbers, distinct=distinct)
        if tiles.values.height <= sketches.MOST_VALUES:
            return tiles, thinned
        lasting, tiled = parted(tiles.values, pl.col("tile_us") > 0)
        in_hours = tiled.with_columns(COARSE.alias(HOUR))
        kept, full = sketches.capped(in_hours, self.entity, (HOUR, "partial"))
        if full.height:
            tiles = tiles._replace(values=pl.concat([lasting, kept.drop(HOUR)]))
        return tiles, pl.concat([thinned, full.select(self.entity)])

    def finish(self, tiles: Tiles, at: pl.DataFrame) -> pl.DataFrame:
        """The features of every entity in `at` (entity, `t`): entity, then `columns`."""
        listed = pl.concat([tiles.values, self.events.counted(tiles.events)])
        return self._rows.finish(tiles._replace(values=listed), at)

    def evict(self, tiles: Tiles, watermark_us: int) -> Tiles:
        """What a row can still show once the watermark is there: `t` is never behind it."""
        numbers, aged = self._aged(tiles.numbers, watermark_us)
        if aged.height:
            rest, merged = parted(numbers, _from_first_of(aged))
            numbers = pl.concat([rest, self._total([merged, aged])], how="diagonal")
        events, settled = self.events.evict(tiles.events, watermark_us)
        values, aged = self._aged(self._with(tiles.values, settled), watermark_us)
        if aged.height:
            rest, merged = parted(values, _from_first_of(aged) & (pl.col("tile_us") > 0))
            values = pl.concat([rest, _counted(pl.concat([merged, aged]), self._by_value)])
        if self._lasting:
            rest, lasting = parted(values, pl.col("tile_us") == 0)
            values = pl.concat([rest, self._newest(lasting)])
        return Tiles(numbers, values, events, self.distinct.evict(tiles.distinct, watermark_us))

    def _aged(self, rows: pl.DataFrame, watermark_us: int) -> tuple[pl.DataFrame, pl.DataFrame]:
        """Rows that stay where they are, and those that go on in coarse tiles, there."""
        begin, coarse_begin = (watermark_us - width for width in self._widest)
        is_fine = pl.col("tile_us") == FINE_US
        stays = pl.col("tile") > pl.when(is_fine).then(begin).otherwise(coarse_begin)
        left, kept = parted(rows, stays | (pl.col("tile_us") == 0))
        if left.is_empty():
            return rows, left
        aged = left.filter(is_fine & (coarse_begin < COARSE)).with_columns(IN_COARSE)
        return kept, aged

    def due(self, tiles: Tiles, at: pl.DataFrame) -> pl.DataFrame:
        """Per entity, the smallest `t` at which a tile leaves a window: its row changes then."""
        # Every value has a row of numbers in its tile.
        leaving = tiles.numbers.select(*self.entity, *PLACE).join(at, on=self.entity)
        leaves = [
            pl.when(covers(window)).then(
                (COARSE if window.tile_us == COARSE_US else pl.col("tile")) + window.width_us
            )
            for window in windows_of(self.grids)
        ]
        return leaving.group_by(self.entity).agg(due=pl.min_horizontal(leaves).min())

    @cached_property
    def _tile_us(self) -> int:
        """The width of the tiles that new rows come in."""
        return min((window.tile_us for window in windows_of(self.grids)), default=FINE_US)

    @cached_property
    def _place(self) -> list[pl.Expr]:
        """The tile of a new row."""
        tile = pl.col("event_at").floordiv(self._tile_us) * self._tile_us
        return [pl.lit(self._tile_us, pl.Int64).alias("tile_us"), tile.alias("tile")]

    @cached_property
    def _widest(self) -> tuple[int, int]:
        """For how long rows stay in fine tiles and, these included, in coarse ones.

        None goes on to a coarse tile that may still be taken back.
        """
        widths = {FINE_US: 0, COARSE_US: 0}
        for window in windows_of(self.grids):
            widths[window.tile_us] = max(widths[window.tile_us], window.width_us)
        fine, wide = widths.values()
        return (max(fine, LIFETIME_US + FINE_US) if wide else fine), wide

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
    def _stays(self) -> pl.Expr | None:
        """Whether a tile stays; None where that cannot be told, as not every row is counted."""
        if Aggregation(kind=Kind.COUNT, signed=True).named("count") not in self._parts:
            return None
        whole = [name for name, (part, _) in self._parts.items() if part in ("count", "distinct")]
        is_last = pl.col("tile") == pl.col("tile").max().over(self.entity)
        return pl.any_horizontal(is_last, *(pl.col(name) != 0 for name in whole))

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
    def _told_apart(self) -> list[str]:
        """The numbers that say how many values are distinct."""
        return [name for name, (part, _) in self._parts.items() if part == "distinct"]

    def _started(self, rows: pl.DataFrame) -> Tiles:
        """The tiles of new rows, with values that may stand there more than once."""
        known = (
            rows.filter(pl.all_horizontal(pl.col(self.entity).is_not_null()))
            .sort("event_at", "event_id")
            .with_columns(self._place)
        )
        by = (*self.entity, *PLACE)
        numbers = known.select(*by, *self._partials).group_by(by).agg(self._combined)
        forever = known.with_columns(pl.lit(0, pl.Int64).alias(name) for name in PLACE)
        lasting = [self._lasting_values(forever, one) for one in self._lasting]
        listed = [self._values(known, one) for one in self._listed if not one.signed]
        values = pl.concat([self._no_values, *listed, *lasting])
        return Tiles(numbers, values, self.events.start(known), self.distinct.start(known))

    def _merge(self, one: Tiles, other: Tiles) -> Tiles:
        """Where the other has nothing, in time or of an event, there is nothing to be merged.

        No distinct value of the other is counted in its numbers.
        """
        distinct, moved = self.distinct.merge(one.distinct, other.distinct)
        new = pl.concat([other.numbers, moved], how="diagonal")
        is_beyond = _from_first_of(new)
        older, numbers = parted(one.numbers, is_beyond)
        numbers = pl.concat([older, self._total([numbers, new])], how="diagonal")
        events = self.events.merge(one.events, other.events)
        return Tiles(numbers, self._with(one.values, other.values), events, distinct)

    def _with(self, values: pl.DataFrame, new: pl.DataFrame) -> pl.DataFrame:
        """Other values, and those of a tile before, have nothing to do with the new ones."""
        if new.is_empty():
            return values
        is_same = pl.col("value").is_in(new["value"].unique().implode())
        rest, again = parted(values, _from_first_of(new) & is_same)
        return pl.concat([rest, _counted(pl.concat([again, new]), self._by_value)])

    def _total(self, numbers: Iterable[pl.DataFrame]) -> pl.DataFrame:
        """The numbers of each tile in one row.

        One of which all has been taken back goes, unless it is its entity's last: that says until
        when something is known of it.
        """
        rows = pl.concat(numbers, how="diagonal")
        totals = rows.group_by((*self.entity, *PLACE)).agg(self._combined)
        return totals if self._stays is None else totals.filter(self._stays)

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
        return placed.filter(one.rows()).select(
            *self.entity,
            *PLACE,
            partial=pl.lit(one.code, pl.Int64),
            value=pl.col(str(one.of)).cast(pl.String),
            count=pl.lit(1, pl.Int64),
            last_at="event_at",
            last_id="event_id",
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


def _partial(part: str, one: Aggregation) -> pl.Expr:
    if part == "distinct":
        return pl.lit(0, pl.Int64)
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
