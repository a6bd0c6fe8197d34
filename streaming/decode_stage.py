"""Kafka records to packed columns: validate, and sort into buckets, before the shuffle."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache

import polars as pl
import pyarrow as pa

from features.contracts import CONTRACTS
from features.decoding import Decoder
from features.timestamps import BadTimestamp, parse_timestamp
from streaming.outcome import WAKE, Packed
from streaming.packing import bucket_labels, sorted_by, to_blob
from streaming.ports import DEAD
from streaming.task import watermark_of_task

__all__ = ["READ", "decode_stage", "events_in_buckets", "key_of_event"]

READ = {
    "partition": pl.String,
    "records": pl.Int64,
    "next_offset": pl.Int64,
    "max_event_at": pl.Int64,
}
# What a bucket passes on untouched: its place does not matter.
PASSED = 0
EPOCH_MS = r"^[1-9]\d{11,12}$"


def decode_stage(
    key_of: Mapping[str, str], *, buckets: int, lifetime_us: int
) -> Callable[[Iterable[pa.RecordBatch]], Iterator[pa.RecordBatch]]:
    """The function for `mapInArrow`: record batches of Kafka records to packed rows.

    Events older than the watermark by `lifetime_us` may turn out to be late: they carry their
    original bytes along, so that a dead letter can keep them.
    """

    def decode(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        watermark = watermark_of_task()
        at_risk_before = None if watermark is None else watermark - lifetime_us
        read: dict[str, list[_Decoded]] = {}
        awake = False
        for batch in batches:
            awake = True
            records = pl.DataFrame(batch)
            for (topic,), part in records.partition_by("topic", as_dict=True).items():
                if topic in key_of:
                    decoded = _decode(str(topic), part, at_risk_before)
                    read.setdefault(str(topic), []).append(decoded)
        packed = [(bucket, WAKE, b"") for bucket in range(buckets)] if awake else []
        for topic, parts in read.items():
            decoded = _joined(parts)
            packed += _in_buckets(topic, key_of[topic], buckets, decoded)
        yield _rows(packed, bucket_labels(buckets))

    return decode


@cache  # compiled once in the life of a Python worker
def _decoder(topic: str) -> Decoder:
    return Decoder(CONTRACTS[topic])


@dataclass(frozen=True, slots=True)
class _Decoded:
    events: pl.DataFrame
    read: pl.DataFrame
    dead: pl.DataFrame


def _decode(topic: str, records: pl.DataFrame, at_risk_before: int | None) -> _Decoded:
    received = _received_at(records)
    decoded = _decoder(topic).decode(records["value"].to_list(), received)
    lineage = records.select(
        kafka_partition="partition", kafka_offset="offset", received_at=received, raw="value"
    )
    rows = decoded.events["row"]
    events = decoded.events.drop("row").with_columns(
        lineage[rows] if len(rows) < lineage.height else lineage
    )
    events = events.with_columns(pl.col("event_at").dt.timestamp("us"), raw=_raw(at_risk_before))
    dead = _dead(topic, records.with_columns(received_at_us=received), decoded.rejects)
    return _Decoded(events, _read(topic, records, events), dead)


def _joined(parts: list[_Decoded]) -> _Decoded:
    return _Decoded(
        pl.concat([part.events for part in parts]),
        pl.concat([part.read for part in parts]),
        pl.concat([part.dead for part in parts]),
    )


def _in_buckets(topic: str, key: str, buckets: int, decoded: _Decoded) -> Iterator[Packed]:
    yield PASSED, "read", to_blob(decoded.read)
    if decoded.dead.height:
        yield PASSED, "dead", to_blob(decoded.dead)
    if decoded.events.height:
        for bucket, blob in events_in_buckets(decoded.events, key, buckets):
            yield bucket, topic, blob


def events_in_buckets(events: pl.DataFrame, key: str, buckets: int) -> Iterator[tuple[int, bytes]]:
    """The accepted events of each bucket, packed; `key`: the field that they are bucketed by."""
    keys = events.select(key_of_event(key)).to_series()
    return sorted_by(events, keys, buckets)


def key_of_event(key: str) -> pl.Expr:
    """An event without its key belongs to no entity; it is still archived once."""
    return pl.coalesce(key, "event_id")


def _received_at(records: pl.DataFrame) -> pl.Series:
    """The time each record reached us: its header, else the broker's append time."""
    appended = records["timestamp"].dt.timestamp("us")
    headers = records["received_at"]
    if headers.null_count() == len(headers):
        return appended
    # What we write ourselves is epoch milliseconds; other forms are rare and read one by one.
    millis = pl.when(headers.str.contains(EPOCH_MS)).then(headers)
    frame = pl.select(plain=millis.cast(pl.Int64, strict=False) * 1000, appended=appended)
    received = frame.select(pl.coalesce("plain", "appended")).to_series()
    odd = (headers.is_not_null() & frame["plain"].is_null()).arg_true()
    return received.scatter(odd, [_parsed(headers[i], appended[i]) for i in odd.to_list()])


def _parsed(header: str, appended: int) -> int:
    try:
        return parse_timestamp(header)
    except BadTimestamp:
        return appended


def _raw(at_risk_before: int | None) -> pl.Expr:
    nothing = pl.lit(None, pl.Binary)
    if at_risk_before is None:
        return nothing
    return pl.when(pl.col("event_at") < at_risk_before).then("raw").otherwise(nothing)


def _read(topic: str, records: pl.DataFrame, events: pl.DataFrame) -> pl.DataFrame:
    newest = events.group_by(partition="kafka_partition").agg(max_event_at=pl.col("event_at").max())
    return (
        records.group_by("partition")
        .agg(records=pl.len().cast(pl.Int64), next_offset=pl.col("offset").max() + 1)
        .join(newest, on="partition", how="left")
        .with_columns(partition=pl.format("{}/{}", pl.lit(topic), "partition"))
        .select(*READ)
    )


def _dead(topic: str, records: pl.DataFrame, rejects: pl.DataFrame) -> pl.DataFrame:
    lost = records[rejects["row"]].with_columns(rejects["reason_code"], rejects["reason"])
    return lost.select(
        "topic",
        "partition",
        "offset",
        "key",
        "received_at_us",
        payload="value",
        reason_code="reason_code",
        reason="reason",
        contract_version=pl.lit(CONTRACTS[topic].version, pl.Int32),
    ).select(pl.col(name).cast(dtype) for name, dtype in DEAD.items())


def _rows(packed: list[Packed], labels: Sequence[int]) -> pa.RecordBatch:
    buckets, kinds, blobs = zip(*packed, strict=True) if packed else ((), (), ())
    keys = [labels[bucket] for bucket in buckets]
    return pa.RecordBatch.from_arrays(
        [pa.array(keys, pa.int32()), pa.array(kinds, pa.string()), pa.array(blobs, pa.binary())],
        names=["bucket", "kind", "blob"],
    )
