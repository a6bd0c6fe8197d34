"""Wiring of the backfill: the archive of some days becomes generation 0 of the feature log.

What a backfill computes was never served, so it never mixes with what was: the streams write
generations from 1 on. Its rows take the place of those that an earlier backfill of the same days
has written, in one commit for each view; a second run leaves the same rows. The online stores are
not touched.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from itertools import groupby
from operator import itemgetter

import polars as pl
from deltalake import DeltaTable
from deltalake.exceptions import CommitFailedError, TableNotFoundError
from pyspark.errors import PySparkException
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F  # noqa: N812 - the name everybody knows

from features.contracts import CONTRACTS
from features.dimensions import Dimensions
from features.views import VIEWS
from infra.endpoints import Endpoints
from infra.errors import BackfillFailed
from infra.settings import Settings
from infra.streams import load_dimensions
from streaming.backfill import Span, archive_columns, changed_rows
from streaming.boards import Boards
from streaming.epochs import entities_gone, feature_rows
from streaming.jobs import JOBS, Job
from streaming.packing import from_blob
from streaming.ports import DEAD, Epoch, Output
from streaming.sinks.delta import DeltaSink
from streaming.sinks.lake_tables import archive_of
from streaming.sinks.memory import ClockStore
from streaming.watermark import DELAY_US

__all__ = ["GENERATION", "Backfilled", "Days", "backfill", "require_events"]

GENERATION = 0
MINUTE_US = 60 * 1_000_000
DAY = timedelta(days=1)
Say = Callable[[str], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Days:
    """From `first` to `last`, both inclusive, in UTC; cut into slices of `slice_minutes`, a divisor
    of the day.
    """

    first: date
    last: date
    slice_minutes: int = 60

    @property
    def begin_us(self) -> int:
        return _midnight(self.first)

    @property
    def end_us(self) -> int:
        """The first microsecond after the last day."""
        return _midnight(self.last + DAY)

    def span(self, watermark_us: int) -> Span:
        """The slices of these days; time ends at the watermark."""
        slice_us = self.slice_minutes * MINUTE_US
        return Span(
            first=self.begin_us // slice_us,
            last=self.end_us // slice_us - 1,
            slice_us=slice_us,
            watermark_us=watermark_us,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Backfilled:
    """`events`: how many were read; `rows`: view -> how many rows its log has of these days."""

    events: int
    rows: Mapping[str, int]
    seconds: float

    def to_json(self) -> dict[str, object]:
        """The public form."""
        return {"events": self.events, "rows": dict(self.rows), "seconds": round(self.seconds, 1)}


@dataclass(frozen=True, slots=True)
class _Archived:
    """The events of a job up to the last day; `newest_us` is the newest of any day."""

    frames: Mapping[str, DataFrame]
    events: int
    newest_us: int


def require_events(views: Collection[str], days: Days, lake: str) -> None:
    """Raise `BackfillFailed` if nothing is archived that the views could be computed from.

    Asks the tables' logs alone: nobody should wait for Spark to hear it.
    """
    topics = [topic for job in _jobs(views) for topic in job.topics]
    archived = [day for topic in topics for day in _archived_days(lake, topic)]
    if min(archived, default=date.max) > days.last:
        raise BackfillFailed(
            f"{lake} has no archived event up to {days.last}: let `userflow stream` archive some."
        )


def backfill(
    views: Collection[str],
    days: Days,
    *,
    spark: SparkSession,
    endpoints: Endpoints,
    settings: Settings,
    say: Say,
) -> Backfilled:
    """Recompute `views` for `days`; `spark` reads the lake. Raises `BackfillFailed`."""
    started = time.perf_counter()
    jobs = _jobs(views)
    sink = DeltaSink(endpoints.lake)
    sink.ensure(topics=[topic for job in jobs for topic in job.topics], views=views)
    run = _Run(
        views=views,
        days=days,
        sink=sink,
        dimensions=load_dimensions(endpoints.postgres),
        buckets=max(settings.buckets, spark.sparkContext.defaultParallelism),
        say=say,
    )
    rows: dict[str, int] = {}
    events = 0
    try:
        for job in jobs:
            archived = _archived(spark, endpoints.lake, job, days)
            say(f"{job.name}: {archived.events:,} archived events")
            events += archived.events
            rows |= run.job(job, archived)
    except PySparkException as error:
        reason = str(error).strip().splitlines()[0]
        log = settings.home / "logs" / "spark.log"
        raise BackfillFailed(f"The backfill stopped: {reason} More is in {log}.") from error
    return Backfilled(events=events, rows=rows, seconds=time.perf_counter() - started)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Run:
    views: Collection[str]
    days: Days
    sink: DeltaSink
    dimensions: Dimensions
    buckets: int
    say: Say

    def job(self, job: Job, archived: _Archived) -> dict[str, int]:
        """Compute the views of a job and write those that are wanted; returns their rows."""
        wanted = [name for name in job.views if name in self.views]
        if not archived.events:
            return dict.fromkeys(wanted, 0)
        # As at the end of a stream that has read everything: no further than this.
        watermark = min(self.days.end_us, archived.newest_us - DELAY_US)
        changed = changed_rows(
            archived.frames,
            job,
            buckets=self.buckets,
            dimensions=self.dimensions,
            span=self.days.span(watermark),
        ).persist()
        # Computed here, once; what is written below is read from where Spark keeps it.
        changed.count()
        rows = {}
        for name in wanted:
            rows[name] = self._write(name, changed)
            self.say(f"{name}: {rows[name]:,} rows")
        changed.unpersist()
        return rows

    def _write(self, view: str, changed: DataFrame) -> int:
        begin, end = (at // MINUTE_US for at in (self.days.begin_us, self.days.end_us))
        mine = f"generation = {GENERATION} AND batch_id > {begin} AND batch_id <= {end}"
        try:
            epochs = self._shown(view, self._epochs(view, changed))
            return self.sink.replace(view, epochs, mine)
        except CommitFailedError as error:
            raise BackfillFailed(
                f"Another backfill has written {view} for days of {self.days.first} to "
                f"{self.days.last} meanwhile: run this one again."
            ) from error

    def _epochs(self, view: str, changed: DataFrame) -> Iterator[tuple[Epoch, Output]]:
        """A slice as an epoch: readable at its end, numbered by the minutes up to there."""
        is_mine = F.col("kind").isin(f"rows:{view}", f"gone:{view}")
        parts = changed.where(is_mine).select("slice", "kind", "blob").sort("slice")
        # Here and not where the writer first asks, which is on a thread that Spark knows not.
        found = parts.toLocalIterator(prefetchPartitions=True)
        minutes = self.days.slice_minutes
        return (
            (_epoch((number + 1) * minutes), _output(view, kind, from_blob(bytes(blob))))
            for number, kind, blob in found
        )

    def _shown(
        self, view: str, epochs: Iterator[tuple[Epoch, Output]]
    ) -> Iterator[tuple[Epoch, Output]]:
        """With what the view's board, if it has one, shows at the end of every slice."""
        if VIEWS[view].board is None:
            yield from epochs
            return
        boards = Boards([view], ClockStore().newest, self.dimensions, is_replay=True)
        for epoch, outputs in groupby(epochs, itemgetter(0)):
            rows = pl.concat(output.rows[view] for _, output in outputs)
            shown = boards.show({view: rows}, epoch.committed_at_us)
            if epoch.committed_at_us > self.days.begin_us:
                yield epoch, replace(_nothing(), rows=shown)


def _epoch(minutes: int) -> Epoch:
    """`minutes`: since 1970."""
    return Epoch(
        job="backfill",
        checkpoint_id="",
        number=minutes,
        generation=GENERATION,
        committed_at_us=minutes * MINUTE_US,
    )


def _output(view: str, kind: str, frame: pl.DataFrame) -> Output:
    rows, gone = {}, {}
    if kind.startswith("rows:"):
        rows[view] = feature_rows(view, frame)
    else:
        gone[view] = entities_gone(view, frame)
    return replace(_nothing(), rows=rows, gone=gone)


def _nothing() -> Output:
    return Output(rows={}, events={}, dead=pl.DataFrame(schema=DEAD), rows_in=0, duplicates=0)


def _jobs(views: Collection[str]) -> list[Job]:
    return [job for job in JOBS.values() if set(job.views) & set(views)]


def _archived_days(lake: str, topic: str) -> list[date]:
    try:
        table = DeltaTable(f"{lake}/{archive_of(CONTRACTS[topic]).path}")
    except TableNotFoundError:
        return []
    return [date.fromisoformat(str(part["event_date"])) for part in table.partitions()]


def _archived(spark: SparkSession, lake: str, job: Job, days: Days) -> _Archived:
    frames, counts, newest = {}, 0, 0
    for topic in job.topics:
        table = spark.read.format("delta").load(f"{lake}/{archive_of(CONTRACTS[topic]).path}")
        is_wanted = F.col("event_date") <= F.lit(days.last)
        found = table.agg(
            F.count_if(is_wanted).alias("events"), F.unix_micros(F.max("event_at")).alias("newest")
        ).collect()[0]
        counts += found["events"]
        newest = max(newest, found["newest"] or 0)
        frames[topic] = table.where(is_wanted).select(*archive_columns(topic))
    return _Archived(frames, counts, newest)


def _midnight(day: date) -> int:
    at = datetime(day.year, day.month, day.day, tzinfo=UTC)
    return int(at.timestamp()) * 1_000_000
