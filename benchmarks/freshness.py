"""`userflow bench freshness`: from the moment an event is due to the moment Redis shows it.

The stream is `userflow stream` as a process of its own, with all stores. The load is an open loop:
every record has its due time beforehand, is sent then whatever the stream does, and its latency
counts from then. The records are made ahead, so that making them takes no core from the stream.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from statistics import fmean
from typing import Any

import polars as pl

from benchmarks.home import Place, Say, own_process, temporary_home
from benchmarks.machine import cpu_times, stolen
from benchmarks.probe import Sample, watch
from benchmarks.rates import quantiles
from features.contracts import CONTRACTS
from features.decoding import Decoder
from features.timestamps import to_iso
from features.views import VIEWS
from infra.demo.child import StreamProcess, streaming
from infra.errors import StreamFailed
from producer.run import Pace, Summary, paced, run
from producer.sent import Sent
from producer.simulate import Simulation, simulate
from producer.sinks.kafka import KafkaSink

__all__ = ["Floor", "Freshness", "floor_of", "measure"]

SECOND_US = 1_000_000
USERS = 10_000
# A stream runs for weeks: what is measured is not how long it takes to get going. So it first reads
# some events, and each rate runs before it counts for as long as epochs become shorter: the JVM
# compiles what it does often.
WARM_UP_S = 5.0
SETTLE_S = 20.0
SAMPLES_PER_SECOND = 50
# Time to make the records before the first is due: a start, and so much for each.
LEAD_S, LEAD_S_PER_RECORD = 3.0, 0.00006
# What is not readable this long after the last record was due counts as unread.
PATIENCE_S = 60.0
START_S = 180.0
# The view whose rows are looked for, by job.
SAMPLED = {"webtoon": "session_features", "commerce": "commerce_user_features"}


@dataclass(frozen=True, slots=True)
class Floor:
    """Where the time goes: mean seconds of an epoch. One ends every `every`, of which `between` lie
    outside our code: Spark plans and logs. `parts` are what an epoch itself does; the stores that
    follow PostgreSQL write side by side.
    """

    epochs: int
    every: float
    between: float
    parts: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Freshness:
    """Milliseconds by quantile of the samples that were read, and how many never were."""

    job: str
    rate: float
    seconds: float
    sent_per_second: float
    samples: int
    unread: int
    latency_ms: Mapping[str, float]
    floor: Floor
    stolen: float

    def to_json(self) -> dict[str, object]:
        """The document that `--json` prints."""
        return asdict(self)


def measure(
    job: str, rates: Sequence[float], seconds: float, *, master: str, say: Say
) -> list[Freshness]:
    """One stream, and one rate after the other."""
    options = ("--jobs", job, "--master", master)
    own = {"USERFLOW_LAKE": "", "USERFLOW_CHECKPOINTS": ""}
    with temporary_home() as place:
        with streaming(place.settings.home, *options, environment=own) as stream:
            stream.wait_until_started()
            say("warming up ...")
            _warm_up(job, rates[0], place)
            found = []
            for rate in rates:
                say(f"sending {rate:,.0f} events/s for {seconds:.0f} s ...")
                found.append(_at_rate(job, rate, seconds, place=place, stream=stream))
            stream.stop()
        return found


def _warm_up(job: str, rate: float, place: Place) -> None:
    records = upcoming(job, rate, WARM_UP_S)
    send(records, place.endpoints.kafka)
    last = samples_of(job, records, rate)[-1:]
    until_us = time.time_ns() // 1000 + round(START_S * SECOND_US)
    if not watch(place.endpoints.redis, last, until_us):
        raise StreamFailed(f"The stream has shown nothing of its first events for {START_S:.0f} s.")


def _at_rate(
    job: str, rate: float, seconds: float, *, place: Place, stream: StreamProcess
) -> Freshness:
    records = upcoming(job, rate, SETTLE_S + seconds)
    from_us = records[0].due_us + round(SETTLE_S * SECOND_US)
    until_us, before = records[-1].due_us + round(PATIENCE_S * SECOND_US), cpu_times()
    samples = samples_of(job, [sent for sent in records if sent.due_us >= from_us], rate)
    with own_process() as pool:
        watching = pool.submit(watch, place.endpoints.redis, samples, until_us)
        sent = send(records, place.endpoints.kafka)
        latencies = watching.result()
    # Until here: the epochs that hold the last samples end after those were due.
    floor = floor_of(stream.lines(), from_us, time.time_ns() // 1000)
    return Freshness(
        job=job,
        rate=rate,
        seconds=seconds,
        sent_per_second=sent.sent / sent.seconds,
        samples=len(samples),
        unread=len(samples) - len(latencies),
        latency_ms=quantiles(latencies),
        floor=floor,
        stolen=stolen(before),
    )


def upcoming(job: str, rate: float, seconds: float) -> list[Sent]:
    """The records of a live run that begins as soon as they are made."""
    lead = LEAD_S + LEAD_S_PER_RECORD * rate * seconds
    start_us = time.time_ns() // 1_000_000 * 1000 + round(lead * SECOND_US)
    simulation = Simulation(
        domain=job,
        rate=rate,
        duration=seconds,
        users=USERS,
        seed=start_us // SECOND_US,
        start_us=start_us,
        replayed=False,
    )
    return list(simulate(simulation))


def samples_of(job: str, records: Sequence[Sent], rate: float) -> list[Sample]:
    """Some of the records, evenly spread; those of nobody have no row."""
    view = VIEWS[SAMPLED[job]]
    some = records[:: max(1, round(rate / SAMPLES_PER_SECOND))]
    received = pl.Series([sent.due_us for sent in some], dtype=pl.Int64)
    decoded = Decoder(CONTRACTS[view.topic]).decode([sent.value for sent in some], received)
    at = pl.col("event_at").dt.timestamp("us")
    events = decoded.events.drop_nulls(view.key).with_columns(event_at=at)
    return [
        Sample(view.redis_key.format(**event), to_iso(event["event_at"]), some[event["row"]].due_us)
        for event in events.select("row", "event_at", *view.key).iter_rows(named=True)
    ]


def send(records: Sequence[Sent], brokers: str) -> Summary:
    """Each at its due time; returns when all are acknowledged."""
    sink, stopped = KafkaSink(brokers), threading.Event()
    time.sleep(max(0.0, (records[0].due_us - time.time_ns() // 1000) / SECOND_US))
    pace = Pace(time.time_ns() // 1000, time.monotonic, stopped.wait)
    return run(paced(records, pace), sink, stopped=stopped)


def floor_of(lines: Iterable[Mapping[str, Any]], from_us: int, to_us: int) -> Floor:
    """Of the epochs with events that ended in that time, by the lines that the stream logged."""
    epochs = [
        (_micros(line["timestamp"]), line)
        for line in lines
        if line.get("event") == "epoch" and line["rows_in"]
    ]
    ours = [(at, line) for at, line in epochs if from_us <= at <= to_us]
    if len(ours) < 2:  # noqa: PLR2004 - a time between epochs needs two
        return Floor(epochs=len(ours), every=0.0, between=0.0, parts={})
    every = (ours[-1][0] - ours[0][0]) / SECOND_US / (len(ours) - 1)
    took = fmean(line["seconds"] for _, line in ours[1:])
    stages = ours[0][1]["stages"]
    parts = {name: fmean(line["stages"][name] for _, line in ours) for name in stages}
    return Floor(epochs=len(ours), every=every, between=max(0.0, every - took), parts=parts)


def _micros(timestamp: str) -> int:
    return round(datetime.fromisoformat(timestamp).timestamp() * SECOND_US)
