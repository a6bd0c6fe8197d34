"""One micro-batch, one epoch: run it, commit it, let the other stores follow, say so.

The order is the proof: the watermark is fixed before any task runs, PostgreSQL decides whether the
epoch has happened, and what PostgreSQL holds is what the other stores get. A crash anywhere leads
to the same epoch with the same rows.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import NamedTuple

import polars as pl
import polars.selectors as cs
from pyspark.sql import DataFrame

from features.columns import polars_type
from features.contracts import CONTRACTS
from features.dimensions import Dimensions
from features.views import VIEWS
from streaming.boards import Boards
from streaming.event_stage import PLACE
from streaming.jobs import Job
from streaming.packing import gather
from streaming.ports import (
    DEAD,
    Clock,
    Epoch,
    EpochStore,
    Output,
    Sinks,
    Write,
    no_refusals,
)
from streaming.report import (
    EpochReport,
    Listener,
    Totals,
    capped_keys,
    decay_lag,
    late_for,
    log_epoch,
)
from streaming.session import suit_codegen
from streaming.source import EndOffsets
from streaming.task import tell_tasks
from streaming.watermark import advance, when_idle

__all__ = ["EpochRunner", "LostEpoch", "entities_gone", "feature_rows"]

UTC = pl.Datetime("us", "UTC")
# What rules over events find goes to these topics.
SENT = ("retargeting", "alerts")
QUERY_ID = "sql.streaming.queryId"


class LostEpoch(Exception):
    """The checkpoint has epochs that PostgreSQL does not know."""

    def __init__(self, job: str, checkpoint_id: str, number: int) -> None:
        super().__init__(
            f"Epoch {number} of job {job} is missing in ops.stream_epochs, but the checkpoint "
            f"({checkpoint_id}) has it: the two belong to different databases, or one was restored "
            "from a backup. Restore the one that fits, or start again in an empty home."
        )


class _Stored(NamedTuple):
    """What PostgreSQL has of an epoch and since when (`perf_counter`); how long the other stores
    took from then on, and what they refused.
    """

    epoch: Epoch
    output: Output
    clock: Clock
    at: float
    seconds: dict[str, float]
    refused: pl.DataFrame


class EpochRunner:
    """The `foreachBatch` of a job. One thread runs it; others read `drained_at_us` and so on."""

    def __init__(
        self,
        job: Job,
        *,
        store: EpochStore,
        sinks: Sinks,
        end_offsets: EndOffsets,
        dimensions: Dimensions,
        max_offsets: int,
        is_replay: bool,
        generation: int = 1,
        listeners: Sequence[Listener] = (),
    ) -> None:
        self.job = job
        self.store = store
        self.sinks = sinks
        self.end_offsets = end_offsets
        self.max_offsets = max_offsets
        self.is_replay = is_replay
        self.generation = generation
        self.boards = Boards(job.views, store.newest, dimensions, is_replay=is_replay)
        self.clock: Clock | None = None
        self.next_due_us: int | None = None
        self.drained_at_us: int | None = None
        self.totals = Totals()
        self.listeners: Sequence[Listener] = (self.totals, log_epoch, *listeners)
        # Set once the query runs: the size of its state store after the epoch before.
        self.state_bytes: Callable[[], int | None] = lambda: None
        self.busy = threading.Lock()
        # What the last epoch that failed has failed of.
        self.failure: BaseException | None = None

    def __call__(self, batch: DataFrame, number: int) -> None:
        """Run one epoch; raising leaves it to be run again."""
        with self.busy:
            self.failure = None
            try:
                self._run(batch, number)
            except BaseException as error:
                self._forget()
                self.failure = error
                raise

    def _forget(self) -> None:
        """Begin again as a new process would: from what the store that decides holds."""
        self.clock = self.next_due_us = self.drained_at_us = None
        self.boards.forget()

    def summary(self) -> dict[str, object]:
        """What this run has done, for people and programs."""
        totals = self.totals
        return {
            "job": self.job.name,
            "epochs": totals.epochs,
            "events": totals.events,
            "accepted": totals.accepted,
            "duplicates": totals.duplicates,
            "rejected": totals.rejected,
            "feature_rows": totals.rows,
        }

    def _run(self, batch: DataFrame, number: int) -> None:
        started = time.perf_counter()
        context = batch.sparkSession.sparkContext
        checkpoint_id = str(context.getLocalProperty(QUERY_ID))
        before = self._clock_before(checkpoint_id, number)
        watermark = self._watermark(before, checkpoint_id, number)
        tell_tasks(context, watermark, is_replay=self.is_replay)
        frames = gather(batch.toArrow())
        processed = time.perf_counter()

        read = _read(frames.get("read"))
        rows_in = _records(frames.get("read"))
        # Spark rounds each partition's share of the most down, from one on: a full epoch may stop
        # short of it, but not at half.
        is_full = rows_in > self.max_offsets // 2
        ends = self.end_offsets(self.job.topics) if is_full else None
        after = advance(_with_watermark(before, watermark), read, ends)
        asked = self._asked(checkpoint_id, number)
        output = self._output(frames, rows_in)
        stored = self._stored(asked, output, after)
        epoch, output, after = stored.epoch, stored.output, stored.clock
        if epoch is not asked:  # what was shown is not what was written
            self.boards.forget()
        stages = {"process": processed - started, self.store.name: stored.at - processed}
        stages |= stored.seconds
        self.clock = after
        lag = {} if ends is None else _unread(after, ends)
        stats, limits = frames.get("stats"), frames.get("limits")
        self._note(stats, output, is_drained=not any(lag.values()))
        report = EpochReport(
            epoch=epoch,
            output=output,
            clock=after,
            is_repeat=epoch is not asked,
            seconds=time.perf_counter() - started,
            stages=stages,
            late_for=late_for(limits),
            capped=capped_keys(limits),
            decay_lag=decay_lag(limits),
            refused=pl.concat([output.refused, stored.refused]),
            lag=lag,
            live_keys=None if stats is None else int(stats["live_keys"].sum()),
            state_bytes=self.state_bytes(),
            records=_records_of_topics(frames.get("read")),
        )
        for listener in self.listeners:
            listener(report)
        # The next epoch is likely as large as this one.
        suit_codegen(batch.sparkSession, rows_in)

    def _asked(self, checkpoint_id: str, number: int) -> Epoch:
        return Epoch(
            job=self.job.name,
            checkpoint_id=checkpoint_id,
            number=number,
            generation=self.generation,
            committed_at_us=_now_us(),
        )

    def _stored(self, asked: Epoch, output: Output, clock: Clock) -> _Stored:
        """In all stores: PostgreSQL decides, the others follow side by side.

        Each can repeat an epoch without the others. What nobody sees of their work they do while
        PostgreSQL does its own, for the epoch that is asked for; where it has another, again.
        """
        with ThreadPoolExecutor(max_workers=max(1, len(self.sinks))) as pool:
            ready = [pool.submit(sink.prepared, asked, output) for sink in self.sinks]
            epoch, kept, after = self.store.commit(asked, output, clock)
            at = time.perf_counter()
            if kept is not output:
                ready = [pool.submit(sink.prepared, epoch, kept) for sink in self.sinks]
            writing = [pool.submit(_written, one) for one in ready]
            done = [one.result() for one in writing]
        refused = pl.concat([no_refusals(), *(refused for _, refused in done)])
        if refused.height:
            self.store.set_aside(epoch, refused)
        seconds = {sink.name: ended - at for sink, (ended, _) in zip(self.sinks, done, strict=True)}
        return _Stored(epoch, kept, after, at, seconds, refused)

    def _clock_before(self, checkpoint_id: str, number: int) -> Clock:
        if self.clock is None:
            found = self.store.clock_after(self.job.name, checkpoint_id, number - 1)
            if found is None and number > 0:
                # From an empty clock on nothing would be late and no visit over.
                raise LostEpoch(self.job.name, checkpoint_id, number - 1)
            self.clock = found or Clock()
        return self.clock

    def _watermark(self, before: Clock, checkpoint_id: str, number: int) -> int | None:
        """The epoch's watermark. What the wall clock decides is pinned, for the retry."""
        if before.watermark_us is None:
            return None
        wanted = before.watermark_us
        if not self.is_replay and self.drained_at_us is not None:
            wanted = when_idle(wanted, self.drained_at_us, _now_us())
        return self.store.pin_watermark(self.job.name, checkpoint_id, number, wanted)

    def _output(self, frames: Mapping[str, pl.DataFrame], rows_in: int) -> Output:
        stats = frames.get("stats")
        rows = {
            name: feature_rows(name, frames[f"rows:{name}"])
            for name in self.job.views
            if f"rows:{name}" in frames
        }
        gone = {
            name: entities_gone(name, frames[f"gone:{name}"])
            for name in self.job.views
            if f"gone:{name}" in frames
        }
        events = {
            topic: _archived(topic, frames[f"events:{topic}"], frames.get(f"dropped:{topic}"))
            for topic in self.job.topics
            if f"events:{topic}" in frames
        }
        return Output(
            rows=self.boards.show(rows, _now_us()),
            events={name: frame for name, frame in events.items() if frame.height},
            dead=frames.get("dead", pl.DataFrame(schema=DEAD)),
            rows_in=rows_in,
            duplicates=0 if stats is None else int(stats["duplicates"].sum()),
            gone=gone,
            refused=frames.get("refused", no_refusals()),
            sent={
                topic: _dated(frames[f"sent:{topic}"])
                for topic in SENT
                if f"sent:{topic}" in frames
            },
        )

    def _note(self, stats: pl.DataFrame | None, output: Output, *, is_drained: bool) -> None:
        self.next_due_us = None if stats is None else stats["next_due"].min()  # type: ignore[assignment]
        if not is_drained:
            self.drained_at_us = None
        elif output.rows_in or self.drained_at_us is None:
            self.drained_at_us = _now_us()


def _written(ready: Future[Write]) -> tuple[float, pl.DataFrame]:
    """When it was done, and what was refused."""
    refused = ready.result()()
    return time.perf_counter(), refused


def feature_rows(view: str, rows: pl.DataFrame) -> pl.DataFrame:
    """Rows that a stage put out, as `Output.rows` has them; what a board shows comes later."""
    columns = [
        pl.col(column.name).cast(polars_type(column))
        for column in VIEWS[view].columns
        if column.name in rows.columns
    ]
    return rows.select(*columns, pl.col("event_at").cast(UTC), "by_event")


def entities_gone(view: str, entities: pl.DataFrame) -> pl.DataFrame:
    """Entities that a stage says are no more, as `Output.gone` has them."""
    key = [pl.col(column.name).cast(polars_type(column)) for column in VIEWS[view].entity]
    return entities.select(*key, pl.col("event_at").cast(UTC))


def _dated(frame: pl.DataFrame) -> pl.DataFrame:
    """The times of messages and alerts as times."""
    return frame.with_columns(cs.by_name("event_at", "detected_at", require_all=False).cast(UTC))


def _read(frame: pl.DataFrame | None) -> Clock:
    """What the tasks of an epoch have read, by partition."""
    if frame is None:
        return Clock()
    by_partition = frame.group_by("partition").agg(
        pl.col("next_offset").max(), pl.col("max_event_at").max()
    )
    rows = by_partition.sort("partition").rows()
    return Clock(
        event_times={partition: at for partition, _, at in rows if at is not None},
        offsets={partition: offset for partition, offset, _ in rows},
    )


def _records(frame: pl.DataFrame | None) -> int:
    return 0 if frame is None else int(frame["records"].sum())


def _records_of_topics(frame: pl.DataFrame | None) -> dict[str, int]:
    if frame is None:
        return {}
    topic = pl.col("partition").str.split("/").list.first().alias("topic")
    return dict(frame.group_by(topic).agg(pl.col("records").sum()).rows())


def _with_watermark(clock: Clock, watermark_us: int | None) -> Clock:
    return Clock(watermark_us=watermark_us, event_times=clock.event_times, offsets=clock.offsets)


def _unread(clock: Clock, ends: Mapping[str, int]) -> dict[str, int]:
    """How many records of each partition stand in Kafka that no epoch has read."""
    return {place: max(0, end - clock.offsets.get(place, 0)) for place, end in ends.items()}


def _archived(topic: str, events: pl.DataFrame, dropped: pl.DataFrame | None) -> pl.DataFrame:
    """The accepted events as they are kept."""
    if dropped is not None:
        events = events.join(dropped, on=PLACE, how="anti", maintain_order="left")
    version = pl.lit(CONTRACTS[topic].version, pl.Int32)
    times = pl.col("event_at", "received_at").cast(UTC)
    return events.drop("raw").with_columns(times, contract_version=version)


def _now_us() -> int:
    return time.time_ns() // 1000
