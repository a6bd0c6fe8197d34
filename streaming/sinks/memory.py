"""The stores in memory: the same promises as the real ones, for tests, and a store that keeps
nothing but the clock, for benchmarks.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import polars as pl

from features.breaker import Limits, SourceHealth
from features.columns import Column, ColumnType, polars_schema
from features.views import VIEWS, FeatureView
from streaming.ports import DEAD, REFUSED, Clock, Epoch, Output, Sink, Write, no_refusals
from streaming.source_watch import HealthStoreAway

__all__ = ["ClockStore", "MemoryEpochStore", "MemoryHealthStore", "MemorySink"]

Row = dict[str, Any]
EVENT_AT = Column("event_at", ColumnType.TIMESTAMP, "Newest event time in the row.")
UTC = pl.Datetime("us", "UTC")


class _Rows:
    """Rows of every view by entity; a row never replaces one of a newer or the same epoch."""

    def __init__(self, views: Mapping[str, FeatureView]) -> None:
        self.views = views
        self._rows: dict[str, dict[tuple[Any, ...], Row]] = {}

    def upsert(self, epoch: Epoch, changed: Mapping[str, pl.DataFrame]) -> None:
        for name, frame in changed.items():
            view = self.views[name]
            rows = self._rows.setdefault(name, {})
            for row in _stamped(view, epoch, frame).iter_rows(named=True):
                key = tuple(row[part] for part in view.key)
                if key not in rows or _version(rows[key]) < _version(row):
                    rows[key] = row

    def delete(self, epoch: Epoch, gone: Mapping[str, pl.DataFrame]) -> None:
        for name, frame in gone.items():
            rows = self._rows.get(name, {})
            for key in frame.select(self.views[name].key).iter_rows():
                if key in rows and _version(rows[key]) < (epoch.generation, epoch.number):
                    del rows[key]

    def frame(self, name: str) -> pl.DataFrame:
        schema = polars_schema(self.views[name].online_columns)
        return pl.DataFrame(list(self._rows.get(name, {}).values()), schema=schema)

    def written_by(self, epoch: Epoch, name: str) -> pl.DataFrame:
        mine = (pl.col("epoch") == epoch.number) & (pl.col("generation") == epoch.generation)
        columns = _columns(self.views[name])
        return self.frame(name).filter(mine).select(*columns, by_event=pl.lit(value=True))


def _columns(view: FeatureView) -> list[str]:
    return [column.name for column in (*view.columns, EVENT_AT)]


def _version(row: Row) -> tuple[int, int]:
    return row["generation"], row["epoch"]


def _stamped(view: FeatureView, epoch: Epoch, frame: pl.DataFrame) -> pl.DataFrame:
    schema = polars_schema(view.online_columns)
    return frame.with_columns(
        updated_at=pl.lit(epoch.committed_at_us).cast(UTC),
        feature_version=pl.lit(view.version),
        generation=pl.lit(epoch.generation),
        epoch=pl.lit(epoch.number),
    ).select(pl.col(name).cast(dtype) for name, dtype in schema.items())


@dataclass(frozen=True, slots=True)
class _Committed:
    epoch: Epoch
    clock: Clock
    rows_in: int
    duplicates: int
    views: tuple[str, ...]


class MemoryEpochStore:
    """What PostgreSQL does, in dictionaries."""

    name = "memory"

    def __init__(self, views: Mapping[str, FeatureView] = VIEWS) -> None:
        self._rows = _Rows(views)
        self._epochs: dict[tuple[str, str], dict[int, _Committed]] = {}
        self._watermarks: dict[tuple[str, str, int], int] = {}
        self._dead: dict[tuple[Any, ...], Row] = {}
        self._refused: dict[tuple[Any, ...], Row] = {}

    def hold(self, job: str) -> None:
        """Nobody else has this memory."""

    def clock_after(self, job: str, checkpoint_id: str, number: int) -> Clock | None:
        """The clock that the committed epoch `number` left; None before the first."""
        found = self._epochs.get((job, checkpoint_id), {}).get(number)
        return found.clock if found else None

    def pin_watermark(self, job: str, checkpoint_id: str, number: int, watermark_us: int) -> int:
        """The watermark that was given first for this epoch."""
        return self._watermarks.setdefault((job, checkpoint_id, number), watermark_us)

    def commit(self, epoch: Epoch, output: Output, clock: Clock) -> tuple[Epoch, Output, Clock]:
        """Write the epoch, or return what it wrote when it happened."""
        epochs = self._epochs.setdefault((epoch.job, epoch.checkpoint_id), {})
        if found := epochs.get(epoch.number):
            return found.epoch, self._repeated(found, output), found.clock
        self._rows.delete(epoch, output.gone)
        self._rows.upsert(epoch, output.rows)
        for letter in output.dead.iter_rows(named=True):
            self._dead[letter["topic"], letter["partition"], letter["offset"]] = letter
        self.set_aside(epoch, output.refused)
        epochs[epoch.number] = _Committed(
            epoch, clock, output.rows_in, output.duplicates, tuple(output.rows)
        )
        return epoch, output, clock

    def set_aside(self, epoch: Epoch, refused: pl.DataFrame) -> None:
        """Keep what the sinks refused, once."""
        for row in refused.iter_rows(named=True):
            where = (epoch.checkpoint_id, epoch.number, row["store"], row["target"], row["key"])
            self._refused[where] = row

    def refused(self) -> pl.DataFrame:
        """Every refused row once, schema `REFUSED`."""
        return pl.DataFrame(list(self._refused.values()), schema=REFUSED)

    def rows(self, view: str) -> pl.DataFrame:
        """The table `online.<view>`."""
        return self._rows.frame(view)

    def newest(self, view: str) -> pl.DataFrame:
        """The row of every entity: the view's columns and `event_at`."""
        return self.rows(view).select(*_columns(self._rows.views[view]))

    def dead_letters(self) -> pl.DataFrame:
        """Every rejected event once, schema `DEAD`."""
        return pl.DataFrame(list(self._dead.values()), schema=DEAD)

    def close(self) -> None:
        """Nothing is open."""

    def _repeated(self, found: _Committed, output: Output) -> Output:
        rows = {name: self._rows.written_by(found.epoch, name) for name in found.views}
        return replace(output, rows=rows, rows_in=found.rows_in, duplicates=found.duplicates)


class ClockStore:
    """Keeps only the clock: the epoch store of a benchmark that measures what stands before it."""

    name = "clock"

    def __init__(self) -> None:
        self._clocks: dict[tuple[str, str], tuple[int, Clock]] = {}

    def hold(self, job: str) -> None:
        """Nobody else has this memory."""

    def clock_after(self, job: str, checkpoint_id: str, number: int) -> Clock | None:
        """The clock of the last epoch, where that is the one asked for."""
        last, clock = self._clocks.get((job, checkpoint_id), (None, None))
        return clock if last == number else None

    def pin_watermark(self, job: str, checkpoint_id: str, number: int, watermark_us: int) -> int:
        """The watermark itself: nothing is retried here."""
        del job, checkpoint_id, number
        return watermark_us

    def newest(self, view: str) -> pl.DataFrame:
        """Nothing is kept."""
        return pl.DataFrame(schema=polars_schema((*VIEWS[view].columns, EVENT_AT)))

    def set_aside(self, epoch: Epoch, refused: pl.DataFrame) -> None:
        """Nothing is kept."""

    def commit(self, epoch: Epoch, output: Output, clock: Clock) -> tuple[Epoch, Output, Clock]:
        """Remember the clock; every epoch counts as new."""
        self._clocks[epoch.job, epoch.checkpoint_id] = epoch.number, clock
        return epoch, output, clock

    def close(self) -> None:
        """Nothing is open."""


@dataclass(slots=True)
class MemorySink(Sink):
    """A follower that keeps everything: newest rows, archived events, dead letters."""

    name: str = "memory"
    views: Mapping[str, FeatureView] = field(default_factory=lambda: VIEWS)
    events: dict[str, list[Row]] = field(default_factory=dict)
    dead: list[Row] = field(default_factory=list)
    _rows: _Rows = field(init=False)
    _newest: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._rows = _Rows(self.views)

    def prepared(self, epoch: Epoch, output: Output) -> Write:
        """Take the epoch unless it, or a later one of its checkpoint, is here."""
        return partial(self._take, epoch, output)

    def _take(self, epoch: Epoch, output: Output) -> pl.DataFrame:
        if epoch.number <= self._newest.get(epoch.checkpoint_id, -1):
            return no_refusals()
        self._newest[epoch.checkpoint_id] = epoch.number
        self._rows.delete(epoch, output.gone)
        self._rows.upsert(epoch, output.rows)
        for topic, frame in output.events.items():
            self.events.setdefault(topic, []).extend(frame.iter_rows(named=True))
        self.dead.extend(output.dead.iter_rows(named=True))
        return no_refusals()

    def rows(self, view: str) -> pl.DataFrame:
        """The newest row of each entity, with its stamps."""
        return self._rows.frame(view)

    def close(self) -> None:
        """Nothing is open."""


class MemoryHealthStore:
    """The health of sources in a dictionary; while `is_away` it does not answer."""

    def __init__(self) -> None:
        self.rows: dict[str, SourceHealth] = {}
        self.alerts: dict[tuple[str, int], SourceHealth] = {}
        self.is_away = False

    def degraded(self) -> Mapping[str, int]:
        """The topics that are degraded, and since when (microseconds)."""
        self._answer()
        return {topic: one.since_us for topic, one in self.rows.items() if one.is_degraded}

    def put(self, health: SourceHealth, limits: Limits) -> None:
        """Keep it; of a degraded one also the alert."""
        del limits
        self._answer()
        self.rows[health.topic] = health
        if health.is_degraded:
            self.alerts.setdefault((health.topic, health.since_us), health)

    def _answer(self) -> None:
        if self.is_away:
            raise HealthStoreAway("OperationalError")
