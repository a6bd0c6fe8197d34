"""Wiring of the rebuild: new checkpoint, backfill, atomic switch, while the old rows keep serving.

1. Where the old checkpoint ended is a clock in PostgreSQL: everything before its offsets is in the
   archive, or was a copy or a dead letter.
2. The whole archive runs through the stages up to the watermark of that clock
   (`streaming.rebuild`). What they remember lies beside the new checkpoint, as its seed.
3. One transaction replaces the job's rows by the rebuilt ones, as epoch -1 of the next generation,
   whose clock is that one. From then on the new checkpoint counts (`infra.checkpoints`).
4. Redis and Delta follow. The next `userflow stream` reads on from the clock's offsets.

Until 3 nothing that anybody reads has changed, and a second try begins anew; after it a second try
does 4 alone, and no stream starts before.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any
from uuid import uuid4

import polars as pl
import psycopg
from pyspark.errors import PySparkException
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F  # noqa: N812 - the name everybody knows

from features.contracts import CONTRACTS
from features.dimensions import Dimensions
from features.views import VIEWS
from infra.checkpoints import Building, begin_rebuild, finish_rebuild
from infra.database import pipeline_conninfo
from infra.endpoints import Endpoints
from infra.errors import BackfillFailed, StreamFailed
from infra.settings import Settings
from infra.streams import load_dimensions
from streaming.backfill import SLICED, archive_columns
from streaming.boards import Boards
from streaming.checkpoint import checkpoint_id, new_checkpoint
from streaming.epochs import entities_gone, feature_rows
from streaming.event_stage import BEGINNING
from streaming.jobs import Job
from streaming.layout import layout_of
from streaming.packing import from_blob, to_blob
from streaming.ports import DEAD, Clock, Epoch, Output
from streaming.rebuild import ENTITIES, EVENTS, entities_rebuilt, events_rebuilt, whole_span
from streaming.sinks.delta import DeltaSink
from streaming.sinks.lake_tables import archive_of
from streaming.sinks.lease import LeaseTaken
from streaming.sinks.memory import ClockStore
from streaming.sinks.postgres import PostgresEpochStore
from streaming.sinks.redis import RedisSink

__all__ = ["Rebuilt", "rebuild"]

# Before the first of the new checkpoint: its rows are the oldest of their generation.
NUMBER = -1
GONE = "seed/gone"
HAS_BEGUN = "SELECT FROM ops.stream_epochs WHERE job = %s LIMIT 1"
NEWEST = """
SELECT checkpoint_id, epoch, committed_at, accepted FROM ops.stream_epochs
WHERE job = %s AND generation < %s
ORDER BY generation DESC, committed_at DESC, epoch DESC LIMIT 1"""
Say = Callable[[str], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Rebuilt:
    """`rows`, `gone`: by view, how many entities have a new row and how many have none any more."""

    job: str
    generation: int
    rows: Mapping[str, int]
    gone: Mapping[str, int]
    seconds: float

    def to_json(self) -> dict[str, object]:
        """The public form."""
        return {
            "job": self.job,
            "generation": self.generation,
            "rows": dict(self.rows),
            "gone": dict(self.gone),
            "seconds": round(self.seconds, 1),
        }


def rebuild(
    job: Job, *, spark: SparkSession, endpoints: Endpoints, settings: Settings, say: Say
) -> Rebuilt | None:
    """Rebuild a job that no stream runs; None if it has never committed an epoch. `spark` reads the
    lake. Raises `BackfillFailed`, or `StreamFailed` if a stream runs.
    """
    started = time.perf_counter()
    layout = layout_of(
        job, buckets=settings.buckets, shuffle_partitions=settings.shuffle_partitions
    )
    with ExitStack() as stack:
        connection = stack.enter_context(
            psycopg.connect(pipeline_conninfo(endpoints.postgres), autocommit=True)
        )
        store = stack.enter_context(
            closing(PostgresEpochStore(pipeline_conninfo(endpoints.postgres)))
        )
        _hold(store, job)
        if connection.execute(HAS_BEGUN, [job.name]).fetchone() is None:
            say(f"{job.name}: has no epoch yet, so there is nothing to rebuild from")
            return None
        building = begin_rebuild(connection, job.name, layout, root=settings.checkpoint_root)
        run = _Run(job, building, spark, endpoints, settings.buckets, connection, store, say)
        with _explained(job):
            epoch, output = run.resumed() if building.has_switched else run.switched()
            run.follow(epoch, output)
        finish_rebuild(connection, job.name, building.generation)
    return Rebuilt(
        job=job.name,
        generation=building.generation,
        rows={name: rows.height for name, rows in output.rows.items()},
        gone={name: entities.height for name, entities in output.gone.items()},
        seconds=time.perf_counter() - started,
    )


@dataclass(frozen=True)
class _Run:
    job: Job
    building: Building
    spark: SparkSession
    endpoints: Endpoints
    buckets: int
    connection: psycopg.Connection[Any]
    store: PostgresEpochStore
    say: Say

    def switched(self) -> tuple[Epoch, Output]:
        """Build, then replace the rows and the checkpoint."""
        clock = self._clock()
        new_checkpoint(self.spark, self.building.place, str(uuid4()))
        self._build(clock)
        output = self._output()
        self._write(GONE, [(0, 0, name, to_blob(of)) for name, of in output.gone.items()])
        epoch, output, _ = self.store.commit(self._epoch(), output, clock)
        self.say(f"{self.job.name}: switched to generation {epoch.generation}")
        return epoch, output

    def resumed(self) -> tuple[Epoch, Output]:
        """What the switch has written."""
        gone = {
            row["kind"]: from_blob(bytes(row["blob"])) for row in self._read(GONE).toLocalIterator()
        }
        epoch, output, _ = self.store.commit(self._epoch(), _output({}, gone), Clock())
        self.say(f"{self.job.name}: has switched to generation {epoch.generation} before")
        return epoch, output

    def follow(self, epoch: Epoch, output: Output) -> None:
        """Let Redis have what it serves, but revive nothing, and the log all of it."""
        quiet = {
            name: rows.with_columns(by_event=pl.lit(value=False))
            for name, rows in output.rows.items()
        }
        with closing(RedisSink(self.endpoints.redis)) as served:
            served.write(epoch, replace(output, rows=quiet))
        log = DeltaSink(self.endpoints.lake)
        mine = f"generation = {epoch.generation} AND batch_id = {epoch.number}"
        for view in self.job.views:
            count = log.replace(view, [(epoch, output)], mine)
            self.say(f"{view}: {count:,} rows")

    def _clock(self) -> Clock:
        """Where the archive ends: after the newest epoch, or after the one before if that one died
        between PostgreSQL and Delta.
        """
        values = [self.job.name, self.building.generation]
        newest = self.connection.execute(NEWEST, values).fetchone()
        if newest is None:
            raise BackfillFailed(f"The epochs of job {self.job.name} were deleted just now.")
        id_, number, committed_at, accepted = newest
        is_mine = (F.col("epoch") == number) & (F.col("ingested_at") == committed_at)
        held = sum(table.where(is_mine).count() for table in self._archives.values())
        # What is archived of it and read again is a copy.
        last = number if held == accepted else number - 1
        return self.store.clock_after(self.job.name, id_, last) or Clock()

    @cached_property
    def _archives(self) -> Mapping[str, DataFrame]:
        DeltaSink(self.endpoints.lake).ensure(topics=self.job.topics, views=self.job.views)
        paths = {topic: archive_of(CONTRACTS[topic]).path for topic in self.job.topics}
        return {
            topic: self.spark.read.format("delta").load(f"{self.endpoints.lake}/{path}")
            for topic, path in paths.items()
        }

    @cached_property
    def _dimensions(self) -> Dimensions:
        return load_dimensions(self.endpoints.postgres)

    def _build(self, clock: Clock) -> None:
        """Write both parts of the seed: what is drawn in them is drawn once."""
        watermark = BEGINNING if clock.watermark_us is None else clock.watermark_us
        span = whole_span(watermark)
        archives = {
            topic: table.select(*archive_columns(topic)) for topic, table in self._archives.items()
        }
        self.say(f"{self.job.name}: {sum(a.count() for a in archives.values()):,} archived events")
        events = events_rebuilt(
            archives, self.job, buckets=self.buckets, dimensions=self._dimensions, span=span
        )
        self._save(EVENTS, events)
        if self.job.feeds:
            entities = entities_rebuilt(
                self._read(EVENTS),
                self.job,
                buckets=self.buckets,
                dimensions=self._dimensions,
                span=span,
            )
            self._save(ENTITIES, entities)

    def _output(self) -> Output:
        rows = {}
        for view in self.job.views:
            part = EVENTS if VIEWS[view].feed is None else ENTITIES
            found = self._read(part).where(F.col("kind") == f"rows:{view}").toLocalIterator()
            frames = [feature_rows(view, from_blob(bytes(row["blob"]))) for row in found]
            if frames:
                rows[view] = pl.concat(frames)
        boards = Boards(self.job.views, ClockStore().newest, self._dimensions, is_replay=True)
        shown = boards.show(rows, time.time_ns() // 1000)
        return _output(shown, {view: self._gone(view, shown) for view in self.job.views})

    def _gone(self, view: str, rows: Mapping[str, pl.DataFrame]) -> pl.DataFrame:
        """The entities that have a row and will have none."""
        served = self.store.newest(view)
        if view in rows:
            served = served.join(rows[view], on=VIEWS[view].key, how="anti")
        return entities_gone(view, served)

    def _epoch(self) -> Epoch:
        found = checkpoint_id(self.spark, self.building.place)
        if found is None:
            raise BackfillFailed(
                f"The new checkpoint of job {self.job.name} is not there any more: put back "
                f"{self.building.place}."
            )
        return Epoch(
            job=self.job.name,
            checkpoint_id=found,
            number=NUMBER,
            generation=self.building.generation,
            committed_at_us=time.time_ns() // 1000,
        )

    def _read(self, part: str) -> DataFrame:
        return self.spark.read.schema(SLICED).parquet(f"{self.building.place}/{part}")

    def _write(self, part: str, rows: list[tuple[int, int, str, bytes]]) -> None:
        self._save(part, self.spark.createDataFrame(rows, SLICED))

    def _save(self, part: str, frame: DataFrame) -> None:
        frame.write.mode("overwrite").parquet(f"{self.building.place}/{part}")


def _hold(store: PostgresEpochStore, job: Job) -> None:
    """The lease of the job's streams: none may run meanwhile."""
    try:
        store.hold(job.name)
    except LeaseTaken as error:
        raise StreamFailed(str(error)) from error


def _output(rows: Mapping[str, pl.DataFrame], gone: Mapping[str, pl.DataFrame]) -> Output:
    return Output(
        rows=rows,
        gone=gone,
        events={},
        dead=pl.DataFrame(schema=DEAD),
        rows_in=0,
        duplicates=0,
    )


@contextmanager
def _explained(job: Job) -> Iterator[None]:
    try:
        yield
    except PySparkException as error:
        reason = str(error).strip().splitlines()[0]
        raise BackfillFailed(
            f"The rebuild of job {job.name} stopped: {reason} What is served is "
            "whole: run it again."
        ) from error
