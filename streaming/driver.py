"""The driver process: runs jobs, wakes idle ones when something is due, stops cleanly."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import structlog
from confluent_kafka import Producer
from pyspark.sql.streaming.query import StreamingQuery

from features.topics import TICKS
from streaming.epochs import EpochRunner
from streaming.query import Plan
from streaming.watermark import when_idle

__all__ = ["Running", "Waker", "drain", "run_until", "waker"]

Waker = Callable[[], None]
LOOK_EVERY_S = 0.25
FINISH_S = 60.0
# Spark gives a new Python process ten seconds to report; on a busy machine it takes longer.
LATE_WORKER = "Python worker failed to connect back"
MOST_STARTS = 3
log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Running:
    """A plan with the runner that its query calls."""

    plan: Plan
    runner: EpochRunner

    def start(self) -> StreamingQuery:
        return self._watched(self.plan.start())

    def drain(self) -> StreamingQuery:
        return self._watched(self.plan.drain())

    def _watched(self, query: StreamingQuery) -> StreamingQuery:
        self.runner.state_bytes = lambda: _state_bytes(query)
        return query


def waker(brokers: str) -> Waker:
    """Sends an empty record that makes Spark run a batch: time has passed, no event has come."""
    producer = Producer({"bootstrap.servers": brokers, "acks": "all"})

    def wake() -> None:
        producer.produce(TICKS, value=b"")
        producer.flush(10)

    return wake


def run_until(stop: threading.Event, jobs: Sequence[Running], wake: Waker) -> None:
    """Run the jobs until `stop`; a failed query ends the others and raises."""
    queries = [running.start() for running in jobs]
    starts = [1] * len(jobs)
    log.info("started", jobs=[running.plan.job.name for running in jobs])
    try:
        # A first epoch even without events: it tells what the state still has to close.
        wake()
        while not stop.wait(LOOK_EVERY_S):
            for number, query in enumerate(queries):
                if query.isActive:
                    continue
                if not _may_start_again(query, starts[number]):
                    query.awaitTermination()
                    raise RuntimeError(f"The query {query.name} ended by itself.")
                queries[number] = jobs[number].start()
                starts[number] += 1
            if any(_is_due(running.runner) for running in jobs):
                wake()
                stop.wait(1)
    finally:
        for query, running in zip(queries, jobs, strict=True):
            _stop(query, running.runner)
        log.info("stopped", jobs=[running.plan.job.name for running in jobs])


def drain(stop: threading.Event, jobs: Sequence[Running], wake: Waker) -> None:
    """Process what is there, then let the final watermark pass, so that what is due closes."""
    # An epoch even where nothing is new: it tells what a stream that was stopped left open.
    wake()
    for running in jobs:
        _drain(stop, running)
        if not stop.is_set() and _is_left(running.runner):
            wake()
            _drain(stop, running)


def _is_left(runner: EpochRunner) -> bool:
    """Whether the final watermark, or a look at all rows, would still change something."""
    clock, due = runner.clock, runner.next_due_us
    if clock is None or clock.watermark_us is None:
        return False
    return runner.boards.wanted_at_us is not None or (due is not None and due < clock.watermark_us)


def _drain(stop: threading.Event, running: Running) -> None:
    starts = 0
    while True:
        query = running.drain()
        starts += 1
        while query.isActive and not stop.wait(LOOK_EVERY_S):
            pass
        if stop.is_set():
            _stop(query, running.runner)
            return
        if not _may_start_again(query, starts):
            query.awaitTermination()  # raises what the query failed of
            return


def _may_start_again(query: StreamingQuery, starts: int) -> bool:
    """Whether a query has ended only because a Python process came too late."""
    failure = query.exception()
    if failure is None or LATE_WORKER not in str(failure) or starts >= MOST_STARTS:
        return False
    log.warning("starting again", job=query.name, reason=LATE_WORKER, starts=starts)
    return True


def _state_bytes(query: StreamingQuery) -> int | None:
    progress = query.lastProgress
    operators = progress["stateOperators"] if progress else []
    return sum(operator["memoryUsedBytes"] for operator in operators) if operators else None


def _is_due(runner: EpochRunner) -> bool:
    looks_at = runner.boards.wanted_at_us
    if looks_at is not None and looks_at <= time.time_ns() // 1000:
        return True
    clock, due, drained = runner.clock, runner.next_due_us, runner.drained_at_us
    if clock is None or clock.watermark_us is None or due is None or drained is None:
        return False
    return due < when_idle(clock.watermark_us, drained, time.time_ns() // 1000)


def _stop(query: StreamingQuery, runner: EpochRunner) -> None:
    """Between epochs: a batch that has begun is finished, so that nothing is done twice."""
    if runner.busy.acquire(timeout=FINISH_S):
        runner.busy.release()
    query.stop()
