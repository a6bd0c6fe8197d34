"""What a demo sends: three simulated domains as one live log.

The simulator is pure, so a run is kept as its arguments: whoever wants to prove what became of it
simulates it again.
"""

from __future__ import annotations

import heapq
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass

import polars as pl

from features.contracts import CONTRACTS
from features.decoding import Decoder
from infra.errors import ServiceError
from producer.bad import carried_by
from producer.errors import ProducerError
from producer.run import Pace, Summary, paced
from producer.run import run as send
from producer.sent import Sent
from producer.simulate import Simulation, simulate
from producer.sinks.kafka import KafkaSink
from producer.times import MS_US, SECOND_US

__all__ = ["RATES", "Run", "now_us", "produce", "records", "sent_events", "simulations", "webtoon"]

PolarsType = type[pl.DataType] | pl.DataType
RATES: Mapping[str, float] = {"webtoon": 400.0, "commerce": 150.0, "sources": 20.0}
USERS = 10_000
NOISE = {"bad_rate": 0.02, "late_rate": 0.005, "duplicate_rate": 0.02, "disorder_rate": 0.05}
SENT: dict[str, PolarsType] = {
    "topic": pl.String,
    "kind": pl.String,
    "reason": pl.String,
    "event_id": pl.String,
}
VISITED: dict[str, PolarsType] = {
    "session_id": pl.String,
    "episode_id": pl.String,
    "event_at": pl.Datetime("us", "UTC"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One demo's input: its arguments, and where in the topics (`topic/partition`) it lies."""

    seconds: int
    start_us: int
    begins: Mapping[str, int]
    ends: Mapping[str, int]

    def to_json(self) -> dict[str, object]:
        """From which the run can be made again: `Run(**document)`."""
        return asdict(self)


def now_us() -> int:
    """The wall clock in whole milliseconds, as clients count."""
    return time.time_ns() // 1000 // MS_US * MS_US


def simulations(*, seconds: int, start_us: int) -> list[Simulation]:
    """The domains of a run; the start is the seed, so that every run is new input."""
    return [
        Simulation(
            domain=domain,
            rate=rate,
            duration=seconds,
            users=USERS,
            seed=start_us // SECOND_US,
            start_us=start_us,
            replayed=False,
            bad_kinds=carried_by("kafka"),
            **NOISE,
        )
        for domain, rate in RATES.items()
    ]


def webtoon(run: Run) -> Simulation:
    """The part of the run that makes sessions."""
    parts = simulations(seconds=run.seconds, start_us=run.start_us)
    return next(part for part in parts if part.domain == "webtoon")


def records(*, seconds: int, start_us: int) -> Iterator[Sent]:
    """Everything that is sent, in the order of sending."""
    logs = [simulate(one) for one in simulations(seconds=seconds, start_us=start_us)]
    return heapq.merge(*logs, key=lambda sent: sent.due_us)


def produce(
    servers: str, *, seconds: int, start_us: int, progress: Callable[[int], object]
) -> Summary:
    """Send the run to Kafka as it becomes due; returns when all of it is acknowledged."""
    stopped = threading.Event()
    pace = Pace(start_us, time.monotonic, stopped.wait)
    batches = paced(records(seconds=seconds, start_us=start_us), pace)
    try:
        return send(batches, KafkaSink(servers), stopped=stopped, progress=progress)
    except ProducerError as error:
        raise ServiceError(str(error)) from error


def sent_events(run: Run) -> pl.DataFrame:
    """One row for each record sent: topic, kind, the reason it must be refused for, and, where it
    is an event, its id and, where it belongs to a visit, which.
    """
    by_topic: dict[str, list[Sent]] = defaultdict(list)
    for sent in records(seconds=run.seconds, start_us=run.start_us):
        by_topic[sent.topic].append(sent)
    frames = [_frame(topic, part) for topic, part in by_topic.items()]
    return pl.concat(frames) if frames else pl.DataFrame(schema={**SENT, **VISITED})


def _frame(topic: str, part: list[Sent]) -> pl.DataFrame:
    good = [sent for sent in part if sent.kind != "bad"]
    due = pl.Series([sent.due_us for sent in good], dtype=pl.Int64)
    events = Decoder(CONTRACTS[topic]).decode([sent.value for sent in good], due).events
    kinds = pl.DataFrame({"kind": [sent.kind for sent in good]}).with_row_index("row")
    bad = [(topic, sent.kind, sent.expected_reason) for sent in part if sent.kind == "bad"]
    refused = pl.DataFrame(bad, schema=[*SENT.items()][:3], orient="row")
    accepted = kinds.join(events, on="row", how="left").with_columns(topic=pl.lit(topic))
    schema = {**SENT, **VISITED}
    known = [name for name in schema if name in accepted.columns]
    both = pl.concat([accepted.select(known), refused], how="diagonal")
    return both.select(
        (pl.col(name) if name in both.columns else pl.lit(None).alias(name)).cast(dtype)
        for name, dtype in schema.items()
    )
