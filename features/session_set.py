"""Sessions: from a set of events to visits, intervals of event time without a gap.

The state of a key is a set of disjoint visits with the partial aggregates of their events. A step
1. turns each new event into a visit of length zero,
2. merges them with the visits of the same key that are still alive,
3. cuts a run of them wherever more than the gap lies between one visit's end and the next's start.
Each part is commutative and associative, so any order and any split of the same events gives the
same visits. A visit lives until the watermark passes its end by the lifetime: until then an event
that is within the allowed disorder can still extend it or bridge it with another.

Times are microseconds UTC. Frames hold many keys: nothing here loops over events or keys.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from functools import cached_property
from typing import Any

import polars as pl

from features.columns import Column, ColumnType

__all__ = ["LIFETIME_US", "SIGN", "Measure", "Merge", "SessionSet", "Shown", "Step", "shown"]

LIFETIME_US = 30 * 60 * 1_000_000
# How many values of a set a visit keeps: beyond, its size stands still.
MOST_VALUES = 1000
# +1 for what is there now, -1 for what was there before.
SIGN = "sign"


class Merge(Enum):
    """How two visits' measures become one."""

    MIN = "min"
    MAX = "max"
    SUM = "sum"
    UNION = "union"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Measure:
    """What a visit remembers of its events; `of` makes it of one event."""

    name: str
    merge: Merge
    of: pl.Expr
    type: Any

    def merged(self) -> pl.Expr:
        column = pl.col(self.name)
        if self.merge is Merge.UNION:
            # The smallest ones: that is the same in any order of merging.
            return column.explode().drop_nulls().unique().sort().head(MOST_VALUES)
        merged: pl.Expr = getattr(column, self.merge.value)()
        return merged


@dataclass(frozen=True, slots=True, eq=False)
class Shown:
    """A feature: what a visit shows, of its times, its count, `of_first` and the measures."""

    column: Column
    of: pl.Expr


def shown(
    name: str,
    of: pl.Expr,
    type_: ColumnType,
    doc: str,
    *,
    unit: str | None = None,
    pii: bool = False,
) -> Shown:
    """A feature and its column."""
    return Shown(Column(name, type_, doc, unit=unit, pii=pii), of)


@dataclass(frozen=True, slots=True)
class Step:
    """`visits`: the new state; `rows`: changed rows; `gone`: entities whose row is no more; `late`:
    events whose visit is no longer alive; `before`, `after`: the visits of the events' keys.
    """

    visits: pl.DataFrame
    rows: pl.DataFrame
    gone: pl.DataFrame
    late: pl.DataFrame
    before: pl.DataFrame
    after: pl.DataFrame


@dataclass(frozen=True, kw_only=True, eq=False)
class SessionSet:
    """The sessions of a key and what they show.

    Events come with the key's columns, `event_id`, `event_at` and whatever the measures are made
    of; those without a key belong to no session. Without `start` the entity is the key, and its
    row is that of the latest visit; with it every visit is an entity, named by its start.
    `ends`: measures that hold the time of an event that ends a visit; `closes`: whether a row
    changes (`is_closed`) when the watermark passes that, or the gap after the last event.
    """

    key: tuple[str, ...]
    gap_us: int
    lifetime_us: int = LIFETIME_US
    of_first: tuple[str, ...] = ()
    measures: tuple[Measure, ...] = ()
    ends: tuple[str, ...] = ()
    closes: bool = False
    start: str | None = None
    features: tuple[Shown, ...]

    @cached_property
    def schema(self) -> dict[str, Any]:
        """The columns of the state."""
        return {
            **dict.fromkeys(self.key, pl.String),
            "started_at": pl.Int64,
            "ended_at": pl.Int64,
            "first_event_id": pl.String,
            **dict.fromkeys(self.of_first, pl.String),
            **{measure.name: measure.type for measure in self.measures},
            "event_count": pl.Int64,
            "is_closed": pl.Boolean,  # as last shown
        }

    @property
    def entity(self) -> tuple[str, ...]:
        """The columns that name a row."""
        return (*self.key, self.start) if self.start else self.key

    @property
    def columns(self) -> tuple[Column, ...]:
        """One column for each feature, as declared."""
        return tuple(shown.column for shown in self.features)

    def empty(self) -> pl.DataFrame:
        """No visits."""
        return pl.DataFrame(schema=self.schema)

    def step(self, visits: pl.DataFrame, events: pl.DataFrame, watermark_us: int) -> Step:
        """Merge new, de-duplicated `events` into `visits`, which hold those of their keys.

        `advance` has to have brought the visits to the watermark.
        """
        known = events.filter(pl.all_horizontal(pl.col(self.key).is_not_null()))
        keys = known.select(self.key).unique()
        touched = visits.join(keys, on=self.key, how="semi")
        merged = self._merge(pl.concat([touched, self._started(known)]))
        late = events.clear()
        is_over = self._is_over(watermark_us)
        if (dead := merged.filter(is_over)).height:
            late = self._events_of(dead, known)
            merged = merged.filter(~is_over)
        merged = merged.with_columns(is_closed=self._is_closed(watermark_us))
        untouched = visits.join(keys, on=self.key, how="anti") if touched.height else visits
        return Step(
            pl.concat([untouched, merged]),
            self._rows(merged if self.start else self._latest(merged)),
            self._gone(touched, merged),
            late,
            touched,
            merged,
        )

    def no_step(self, events: pl.DataFrame) -> Step:
        """What no event does."""
        nothing, late = self.empty(), events.clear()
        return Step(
            nothing, self._rows(nothing), self._gone(nothing, nothing), late, *[nothing] * 2
        )

    def changes(self, step: Step) -> pl.DataFrame:
        """The visits that became others: with `sign` -1 as they were, with +1 as they are."""
        # Visits only grow: one of the same start and count is the same.
        same = [*self.key, "started_at", "event_count"]
        was = step.before.join(step.after, on=same, how="anti")
        is_now = step.after.join(step.before, on=same, how="anti")
        return pl.concat(
            frame.with_columns(pl.lit(sign, pl.Int64).alias(SIGN))
            for frame, sign in ((was, -1), (is_now, 1))
        )

    def advance(self, visits: pl.DataFrame, watermark_us: int) -> tuple[pl.DataFrame, pl.DataFrame]:
        """Let the watermark pass: returns the visits still alive and the rows that closed."""
        is_closed = self._is_closed(watermark_us)
        due = visits.filter(~pl.col("is_closed") & is_closed)
        if due.height:
            visits = visits.with_columns(is_closed=is_closed)
            due = due.with_columns(is_closed=True)
            if not self.start:  # a visit that is not the latest of its key has no row
                newest = visits.group_by(self.key).agg(pl.col("started_at").max())
                due = due.join(newest, on=[*self.key, "started_at"], how="semi")
        return visits.filter(~self._is_over(watermark_us)), self._rows(due)

    def due(self) -> pl.Expr:
        """The largest watermark at which a visit neither closes nor dies."""
        dies = pl.col("ended_at") + self.lifetime_us
        if not self.closes:
            return dies
        closes = pl.min_horizontal(*self.ends, pl.col("ended_at") + self.gap_us)
        return pl.when(pl.col("is_closed")).then(dies).otherwise(pl.min_horizontal(closes, dies))

    def _started(self, events: pl.DataFrame) -> pl.DataFrame:
        made = events.select(
            *self.key,
            pl.col("event_at").alias("started_at"),
            pl.col("event_at").alias("ended_at"),
            pl.col("event_id").alias("first_event_id"),
            *self.of_first,
            *(one.of.cast(one.type).alias(one.name) for one in self.measures),
            event_count=pl.lit(1, pl.Int64),
            is_closed=pl.lit(False),
        )
        return made.select(*self.schema)

    def _merge(self, visits: pl.DataFrame) -> pl.DataFrame:
        # In order of the first event, ties by its id: `first()` below is then the first event's.
        visits = visits.sort("started_at", "first_event_id")
        span = pl.col("ended_at").max() - pl.col("started_at").min()
        # What spans at most the gap cannot hold one, so only the others need their runs found.
        long = visits.group_by(self.key).agg(span=span).filter(pl.col("span") > self.gap_us)
        if long.is_empty():
            return self._aggregate(visits, self.key)
        short = visits.join(long, on=self.key, how="anti", maintain_order="left")
        cut = visits.join(long, on=self.key, how="semi", maintain_order="left")
        runs = cut.with_columns(run=self._run())
        return pl.concat(
            [self._aggregate(short, self.key), self._aggregate(runs, (*self.key, "run"))]
        )

    def _run(self) -> pl.Expr:
        """The number of the visit within its key: a new one begins after more than the gap."""
        reached = pl.col("ended_at").cum_max().shift(1)
        is_new = (pl.col("started_at") - reached > self.gap_us).fill_null(value=False)
        return is_new.cum_sum().over(self.key)

    def _aggregate(self, visits: pl.DataFrame, by: Sequence[str]) -> pl.DataFrame:
        merged = visits.group_by(by).agg(
            pl.col("started_at").min(),
            pl.col("ended_at").max(),
            pl.col("first_event_id", *self.of_first).first(),
            *(measure.merged() for measure in self.measures),
            pl.col("event_count").sum(),
            pl.col("is_closed").any(),
        )
        return merged.select(*self.schema)

    def _latest(self, visits: pl.DataFrame) -> pl.DataFrame:
        return visits.sort("started_at").unique(self.key, keep="last")

    def _gone(self, before: pl.DataFrame, after: pl.DataFrame) -> pl.DataFrame:
        """Entities that were and are not, with the event time they had."""
        starts = [*self.key, "started_at"]
        gone = before.join(after, on=starts, how="anti") if self.start else before.clear()
        return gone.select(*self.key, *self._named_start(), event_at="ended_at")

    def _events_of(self, dead: pl.DataFrame, events: pl.DataFrame) -> pl.DataFrame:
        spans = dead.select(*self.key, "started_at", "ended_at")
        at = pl.col("event_at")
        ids = (
            events.select("event_id", "event_at", *self.key)
            .join(spans, on=self.key)
            .filter(at.is_between(pl.col("started_at"), pl.col("ended_at")))
        )
        return events.join(ids, on="event_id", how="semi")

    def _is_over(self, watermark_us: int) -> pl.Expr:
        return pl.col("ended_at") + self.lifetime_us < watermark_us

    def _is_closed(self, watermark_us: int) -> pl.Expr:
        if not self.closes:
            return pl.lit(value=False)
        ended = pl.min_horizontal(*self.ends, pl.col("ended_at") + self.gap_us)
        return ended < watermark_us

    def _rows(self, visits: pl.DataFrame) -> pl.DataFrame:
        shown = [one.of.alias(one.column.name) for one in self.features]
        return visits.select(*self.key, *self._named_start(), *shown, event_at="ended_at")

    def _named_start(self) -> list[pl.Expr]:
        return [pl.col("started_at").alias(self.start)] if self.start else []
