"""The load of a campaign: both domains, from a seed, in order enough for an oracle to be right.

What rules over events find depends on disorder within the 10 s that the watermark waits. So records
are sent in steps of one second of event time, and a step begins once Kafka has acknowledged the one
before: an outage of Kafka delays the load and reorders nothing.

Shoppers live a day ahead of the wall clock, and ten times as fast: carts are abandoned and windows
run empty within minutes, and a stream that has nothing to read while Kafka is away does not let its
idle clock pass what the producer still holds. Readers live now: their sessions bear that.

A late event is late for sure only behind a watermark. So there is none in the `opening`, and the
rest follows when the stream has read that.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import groupby
from typing import Any, Self

from producer.sent import Sent
from producer.simulate import Simulation, simulate
from producer.sinks.kafka import KafkaSink
from producer.times import HOUR_US, MS_US, SECOND_US

__all__ = ["SPEED", "Load", "opening", "rest"]

# How fast a domain's event time runs, and how many records a second of it has.
SPEED = {"webtoon": 1.0, "commerce": 10.0}
RATE = {"webtoon": 60.0, "commerce": 6.0}
AHEAD_US = {"webtoon": 0, "commerce": 24 * HOUR_US}
USERS = 200
OPENING_S = 20.0
LONGEST_S = 3900.0
# A broker that is killed on a busy machine is back after half a minute.
PATIENCE_S = 240.0
NOISE: dict[str, Any] = {"bad_rate": 0.03, "duplicate_rate": 0.05, "disorder_rate": 0.1}


def opening(domain: str, seed: int, now_us: int) -> list[Sent]:
    """The first seconds of event time, up to now."""
    start_us = now_us + AHEAD_US[domain] - round(OPENING_S * SECOND_US)
    return list(simulate(_simulation(domain, seed, start_us, OPENING_S)))


def rest(domain: str, seed: int, now_us: int) -> Iterator[Sent]:
    """What follows, from now on, for longer than any campaign lasts."""
    duration = LONGEST_S * SPEED[domain]
    start_us = now_us + AHEAD_US[domain]
    return simulate(_simulation(domain, seed, start_us, duration, late_rate=0.005))


def _simulation(
    domain: str, seed: int, start_us: int, duration: float, *, late_rate: float = 0.0
) -> Simulation:
    return Simulation(
        domain=domain,
        rate=RATE[domain],
        duration=duration,
        users=USERS,
        seed=seed,
        start_us=start_us // MS_US * MS_US,
        late_rate=late_rate,
        replayed=AHEAD_US[domain] > 0,
        **NOISE,
    )


class Load:
    """Sends both domains at their speed; `sent` grows by what Kafka has acknowledged."""

    def __init__(self, brokers: str, seed: int) -> None:
        self.sent: list[Sent] = []
        self._brokers = brokers
        self._seed = seed
        self._stop = threading.Event()
        self._senders = ThreadPoolExecutor(len(SPEED))
        self._done: list[Future[None]] = []

    def open(self) -> None:
        """Send the opening; returns when it is acknowledged."""
        with KafkaSink(self._brokers) as sink:
            for domain in SPEED:
                records = opening(domain, self._seed, time.time_ns() // 1000)
                sink.send(records)
                self.sent += records

    def start(self) -> None:
        """Go on with the rest."""
        self._done = [self._senders.submit(self._send, domain) for domain in SPEED]

    def check(self) -> None:
        """Raises what a sender has failed of: without a load nothing is recovered."""
        for future in self._done:
            if future.done():
                future.result()

    def stop(self) -> None:
        """End between two steps; raises what a sender failed of."""
        self._stop.set()
        for future in self._done:
            future.result()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._senders.shutdown()

    def _send(self, domain: str) -> None:
        began, now_us = time.monotonic(), time.time_ns() // 1000
        records = rest(domain, self._seed, now_us)
        start_us = now_us + AHEAD_US[domain]
        with KafkaSink(self._brokers, give_up_s=PATIENCE_S) as sink:
            for second, step in groupby(records, lambda one: one.due_us // SECOND_US):
                due_s = (second + 1 - start_us / SECOND_US) / SPEED[domain]
                if self._stop.wait(max(0.0, began + due_s - time.monotonic())):
                    return
                batch = list(step)
                sink.send(batch)
                sink.flush()
                self.sent += batch
