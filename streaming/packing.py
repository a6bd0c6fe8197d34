"""Frames as single values: how columns cross Spark's row boundaries without becoming rows.

A row of the plan is (bucket, kind, blob): one blob holds all events that one task read for one
bucket, so that Spark moves and converts a handful of rows for tens of thousands of events.
"""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from zlib import crc32

import polars as pl
import pyarrow as pa

__all__ = [
    "PACKED",
    "bucket_labels",
    "bucket_of",
    "concat",
    "from_blob",
    "gather",
    "sorted_by",
    "to_blob",
]

PACKED = "bucket int, kind string, blob binary"
SEED = 42
MASK = 0xFFFFFFFF


def to_blob(frame: pl.DataFrame) -> bytes:
    """The frame as an Arrow stream."""
    buffer = io.BytesIO()
    # Else lists of texts keep those of the frame that this one is a part of.
    frame.write_ipc_stream(buffer, compression="lz4", compat_level=pl.CompatLevel.oldest())
    return buffer.getvalue()


def from_blob(blob: bytes) -> pl.DataFrame:
    """The frame of `to_blob`. Arrow's reader takes two thirds of the time that polars' takes."""
    return pl.DataFrame(pa.ipc.open_stream(blob).read_all())


def bucket_of(keys: pl.Series, buckets: int) -> pl.Series:
    """The bucket of each key. CRC-32, because it is the same in every process and version."""
    of = {key: crc32(key.encode()) % buckets for key in keys.unique().to_list()}
    return keys.replace_strict(of, return_dtype=pl.Int32)


def sorted_by(rows: pl.DataFrame, keys: pl.Series, buckets: int) -> Iterator[tuple[int, bytes]]:
    """The rows of each bucket, packed; `keys` are theirs. Rows without a key go nowhere."""
    if keys.null_count():
        rows, keys = rows.filter(keys.is_not_null()), keys.drop_nulls()
    numbered = rows.with_columns(bucket=bucket_of(keys, buckets))
    parts = numbered.partition_by("bucket", as_dict=True, include_key=False)
    for (bucket,), part in parts.items():
        yield int(str(bucket)), to_blob(part)


@cache
def bucket_labels(buckets: int) -> tuple[int, ...]:
    """The grouping keys of the buckets: numbers that Spark spreads evenly.

    Spark sends a key to partition `murmur3(key) mod partitions`, which would give one of two
    partitions nine of sixteen keys. These labels leave every remainder of `buckets` once, so that
    any number of partitions that divides it gets equal shares.
    """
    label_of: dict[int, int] = {}
    label = 0
    while len(label_of) < buckets:
        label_of.setdefault(_spark_hash(label) % buckets, label)
        label += 1
    return tuple(label_of[remainder] for remainder in range(buckets))


def _spark_hash(value: int) -> int:
    """Murmur3 (x86, 32 bits) of an int with Spark's seed, as its hash partitioning computes it."""

    def rotated(word: int, by: int) -> int:
        return (word << by | word >> (32 - by)) & MASK

    mixed = rotated(value * 0xCC9E2D51 & MASK, 15) * 0x1B873593 & MASK
    hashed = (rotated(SEED ^ mixed, 13) * 5 + 0xE6546B64 & MASK) ^ 4
    hashed = (hashed ^ hashed >> 16) * 0x85EBCA6B & MASK
    hashed = (hashed ^ hashed >> 13) * 0xC2B2AE35 & MASK
    hashed ^= hashed >> 16
    return hashed - (hashed >> 31 << 32)  # signed


def gather(packed: pa.Table) -> Mapping[str, pl.DataFrame]:
    """All frames of each kind in the rows that a batch put out, as one."""
    frames: dict[str, list[pl.DataFrame]] = {}
    kinds, blobs = packed.column("kind").to_pylist(), packed.column("blob").to_pylist()
    # The tasks of the batch are done: its cores are free.
    with ThreadPoolExecutor() as threads:
        for kind, frame in zip(kinds, threads.map(from_blob, blobs), strict=True):
            frames.setdefault(kind, []).append(frame)
    return {kind: concat(parts) for kind, parts in frames.items()}


def concat(frames: Iterable[pl.DataFrame]) -> pl.DataFrame:
    """One frame of those, which share a schema."""
    return pl.concat(frames, rechunk=True)
