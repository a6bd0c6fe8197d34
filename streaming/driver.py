"""The driver process: runs jobs, wakes idle ones when something is due, stops cleanly."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence

import structlog
from confluent_kafka import Producer

from features.topics import TICKS
from streaming.epochs import EpochRunner
from streaming.running import Running
from streaming.watermark import when_idle

__all__ = ["Waker", "drain", "run_until", "waker"]

Waker = Callable[[], None]
LOOK_EVERY_S = 0.25
log = structlog.get_logger()


def waker(brokers: str) -> Waker:
    """Sends an empty record that makes Spark run a batch: time has passed, no event has come.

    A broker that is away gets it when it is back.
    """
    producer = Producer({"bootstrap.servers": brokers, "acks": "all", "log_level": 0})

    def wake() -> None:
        producer.produce(TICKS, value=b"")
        producer.flush(1)

    return wake


def run_until(stop: threading.Event, jobs: Sequence[Running], wake: Waker) -> None:
    """Run the jobs until `stop`; one that cannot go on ends the others and raises."""
    for running in jobs:
        running.start()
    log.info("started", jobs=[running.name for running in jobs])
    try:
        # A first epoch even without events: it tells what the state still has to close.
        wake()
        while not stop.wait(LOOK_EVERY_S):
            for running in jobs:
                if running.has_ended():
                    raise RuntimeError(f"The query {running.name} ended by itself.")
            if any(_is_due(running.runner) for running in jobs):
                wake()
                stop.wait(1)
    finally:
        for running in jobs:
            running.stop()
        log.info("stopped", jobs=[running.name for running in jobs])


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
    running.drain()
    while not running.has_ended():
        if stop.wait(LOOK_EVERY_S):
            running.stop()
            return


def _is_due(runner: EpochRunner) -> bool:
    if runner.busy.locked():  # what runs now may do it
        return False
    looks_at = runner.boards.wanted_at_us
    if looks_at is not None and looks_at <= time.time_ns() // 1000:
        return True
    clock, due, drained = runner.clock, runner.next_due_us, runner.drained_at_us
    if clock is None or clock.watermark_us is None or due is None or drained is None:
        return False
    return due < when_idle(clock.watermark_us, drained, time.time_ns() // 1000)
