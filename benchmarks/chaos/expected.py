"""What the stores should hold, by what was sent and where Kafka has it.

Which records break their contract, and why, is the simulator's word; what the accepted ones come to
is the naive oracle's. Only where a record lies, and where the watermark ended, is taken from the
system: a copy that a producer sends twice has a place of its own.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl

from benchmarks.chaos.kafka_log import Record
from benchmarks.chaos.oracle import Oracle, Rows
from features.contracts import CONTRACTS
from features.decoding import Decoder
from infra.errors import UserflowError
from producer.sent import Sent
from streaming.jobs import Job

__all__ = ["DELAY_US", "Expected", "Known", "NotKept", "expect"]

DELAY_US = 10_000_000
Place = tuple[str, int, int]
GOOD = ("clean", "duplicate")
RULES_JOB = "commerce"


class NotKept(UserflowError):
    """Kafka does not hold what it acknowledged, or the stream has not come to its end."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """What the system is asked for: where the job's watermark ended, genres, categories."""

    watermark_us: int
    genres: Mapping[str, str]
    categories: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Expected:
    """Of one job. `rows`: by view and key, times in microseconds; `accepted`: event ids; `dead`:
    reason and bytes by place; `alerts` and `detections`: what the rules over events find.
    """

    rows: Mapping[str, Rows]
    accepted: frozenset[str]
    dead: Mapping[Place, tuple[str, bytes]]
    alerts: set[tuple[str, str]]
    detections: list[tuple[str, str, tuple[str, ...], int]]


def expect(
    job: Job, sent: Iterable[Sent], records: Sequence[Record], *, known: Known, oracle: Oracle
) -> Expected:
    """Of a job with one topic; `records` are all that lies in it."""
    (topic,) = job.topics
    kinds = _kinds(topic, sent, records)
    good = [record for record in records if kinds[record.value or b""][0] in GOOD]
    events = _events(topic, good)
    if known.watermark_us < max(event["event_at"] for event in events) - DELAY_US:
        raise NotKept(f"{job.name} is not drained: its watermark ended before the events did.")
    log = oracle.log(events, known.watermark_us, known.genres, known.categories)
    alerts, detections = oracle.findings(log) if job.name == RULES_JOB else (set(), [])
    return Expected(
        rows={view: oracle.rows(view, log) for view in job.views},
        accepted=frozenset(event["event_id"] for event in events),
        dead={
            record.place: (reason, record.value or b"")
            for record in records
            if (reason := kinds[record.value or b""][1]) is not None
        },
        alerts=alerts,
        detections=detections,
    )


def _kinds(
    topic: str, sent: Iterable[Sent], records: Iterable[Record]
) -> dict[bytes, tuple[str, str | None]]:
    """By value: what it is, and why it is refused if it is."""
    mine = [one for one in sent if one.topic == topic]
    lost = Counter(one.value for one in mine) - Counter(r.value or b"" for r in records)
    kinds: dict[bytes, tuple[str, str | None]] = {
        one.value: (one.kind, _reason(one)) for one in mine
    }
    foreign = sum((record.value or b"") not in kinds for record in records)
    if lost or foreign:
        raise NotKept(
            f"Kafka topic {topic}: {lost.total()} acknowledged records are missing, and {foreign} "
            "are there that nobody sent."
        )
    return kinds


def _reason(sent: Sent) -> str | None:
    return "late" if sent.kind == "late" else sent.expected_reason


def _events(topic: str, records: Sequence[Record]) -> list[dict[str, Any]]:
    """What validation lets pass (proved by its own tests), each event once."""
    values = [record.value for record in records]
    received = pl.Series([_received_ms(record) * 1000 for record in records], dtype=pl.Int64)
    decoded = Decoder(CONTRACTS[topic]).decode(values, received).events
    if decoded.height != len(records):
        raise NotKept(f"{len(records) - decoded.height} good records of {topic} are refused.")
    rows = decoded.with_columns(pl.col("event_at").dt.timestamp("us"))
    return rows.unique("event_id", keep="first", maintain_order=True).to_dicts()


def _received_ms(record: Record) -> int:
    return int(record.headers.get("received_at", record.at_ms))
