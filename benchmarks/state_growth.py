"""`userflow bench state-growth`: what living keys cost a batch that does not touch them.

First so many keys get one event each, close enough to the watermark to live on. Then comes the same
log of other users as always, read to a no-op sink with the state that is there. It spans less than
five minutes of event time, so that the windows of the idle keys neither empty nor end.

Each number of keys has services, Spark and a process of its own: memory is not inherited.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any

import msgspec
from structlog.testing import capture_logs

from benchmarks.home import Say, own_process, running_spark, temporary_home
from benchmarks.logs import START_US, write_log
from benchmarks.machine import peak_memory
from benchmarks.throughput import SUBJECTS, drained, epoch_size
from infra.logs import configure_logs
from infra.streams import Stores
from producer.catalogue import dimensions
from producer.run import run, unpaced
from producer.sent import Sent
from producer.sinks.kafka import KafkaSink
from producer.times import to_iso
from streaming.sinks.memory import ClockStore

__all__ = ["Growth", "live_keys", "measure"]

Event = dict[str, Any]
MS_US = 1000
# The first events of the idle keys: all within these seconds before the log begins.
SPREAD_US = 10_000_000
EPOCH = 100_000
# By name; of the webtoon job sessions alone, so that a key is a session.
MEASURED = {job.name: job for job in SUBJECTS.values()}


@dataclass(frozen=True, slots=True)
class Growth:
    """`live` is how many keys the state held at the end, those of the log included; `state_bytes`
    what Spark says that its state store holds in memory; `memory_bytes` the resident peak by part.
    """

    job: str
    keys: int
    live: int
    events: int
    steady: float
    state_bytes: int
    memory_bytes: Mapping[str, int]
    stolen: float

    def to_json(self) -> dict[str, object]:
        """The document that `--json` prints."""
        return asdict(self)


def measure(job: str, keys: Sequence[int], events: int, *, master: str, say: Say) -> list[Growth]:
    """One after the other, the smallest first."""
    found = []
    for count in sorted(keys):
        say(f"measuring the job {job} with {count:,} live keys ...")
        with own_process() as pool:
            found.append(pool.submit(_with_keys, job, count, events, master).result())
    return found


def _with_keys(job: str, keys: int, events: int, master: str) -> Growth:
    configure_logs("INFO")
    with temporary_home() as place, running_spark(place.settings, master) as spark:
        largest = place.settings.model_copy(update={"max_offsets_per_trigger": EPOCH})
        settings = largest.model_copy(
            update={"max_offsets_per_trigger": epoch_size(largest, events)}
        )
        # The clock outlives the query, as a database's would: the second query goes on.
        stores = Stores(ClockStore(), [])
        read = partial(
            drained,
            MEASURED[job],
            stores=lambda _: nullcontext(stores),
            spark=spark,
            place=place,
        )
        with capture_logs() as lines:
            _write(live_keys(job, keys), place.endpoints.kafka)
            read("the idle keys", settings=largest)
            write_log(job, place.endpoints.kafka, events)
            with peak_memory(place.services) as memory:
                figure = read("the log", settings=settings)
    states = [line["state"] for line in lines if line["event"] == "epoch"]
    return Growth(
        job=job,
        keys=keys,
        live=max(state["keys"] or 0 for state in states),
        events=figure.events,
        steady=figure.steady,
        state_bytes=max(state["bytes"] or 0 for state in states),
        memory_bytes=dict(memory.parts),
        stolen=figure.stolen,
    )


def live_keys(job: str, count: int) -> Iterator[Sent]:
    """One event of each of so many keys, in order, the last just before the log begins."""
    topic, event = MEASURED[job].topics[0], EVENTS[job]
    for number in range(count):
        at_us = START_US - SPREAD_US + number * SPREAD_US // count // MS_US * MS_US
        name = f"idle-{number:07d}"
        value = msgspec.json.encode(event(number, name, to_iso(at_us)))
        yield Sent(topic, name.encode(), value, at_us, at_us, received_at_ms=at_us // MS_US)


def _entered(number: int, name: str, timestamp: str) -> Event:
    episodes = dimensions().episodes
    return {
        "event_id": name,
        "user_id": name,
        "session_id": name,
        "episode_id": episodes[number % len(episodes)].episode_id,
        "event_type": "enter",
        "country": "KR",
        "device": "mobile",
        "platform": "ios",
        "timestamp": timestamp,
    }


def _viewed(number: int, name: str, timestamp: str) -> Event:
    products = dimensions().products
    product = products[number % len(products)]
    return {
        "event_id": name,
        "user_id": name,
        "session_id": name,
        "event_type": "product_view",
        "product_id": product.product_id,
        "category": product.category,
        "price": product.price,
        "timestamp": timestamp,
    }


EVENTS: Mapping[str, Callable[[int, str, str], Event]] = {
    "webtoon": _entered,
    "commerce": _viewed,
}


def _write(records: Iterator[Sent], brokers: str) -> None:
    run(unpaced(records), KafkaSink(brokers), stopped=threading.Event())
