"""Frames as single values: how columns cross Spark's row boundaries without becoming rows.

A row of the plan is (bucket, kind, blob): one blob holds all events that one task read for one
bucket, so that Spark moves and converts a handful of rows for tens of thousands of events.
"""

from __future__ import annotations

import io
from collections.abc import Iterable, Mapping
from zlib import crc32

import polars as pl
import pyarrow as pa

__all__ = ["PACKED", "bucket_of", "from_blob", "gather", "to_blob"]

PACKED = "bucket int, kind string, blob binary"


def to_blob(frame: pl.DataFrame) -> bytes:
    """The frame as an Arrow stream."""
    buffer = io.BytesIO()
    frame.write_ipc_stream(buffer, compression="lz4")
    return buffer.getvalue()


def from_blob(blob: bytes) -> pl.DataFrame:
    """The frame of `to_blob`."""
    return pl.read_ipc_stream(io.BytesIO(blob))


def bucket_of(keys: pl.Series, buckets: int) -> pl.Series:
    """The bucket of each key. CRC-32, because it is the same in every process and version."""
    return pl.Series([crc32(key.encode()) % buckets for key in keys.to_list()], dtype=pl.Int32)


def gather(packed: pa.Table) -> Mapping[str, pl.DataFrame]:
    """All frames of each kind in the rows that a batch put out, as one."""
    blobs: dict[str, list[bytes]] = {}
    kinds, values = packed.column("kind").to_pylist(), packed.column("blob").to_pylist()
    for kind, blob in zip(kinds, values, strict=True):
        blobs.setdefault(kind, []).append(blob)
    return {kind: concat(map(from_blob, parts)) for kind, parts in blobs.items()}


def concat(frames: Iterable[pl.DataFrame]) -> pl.DataFrame:
    """One frame of those, which share a schema."""
    return pl.concat(frames, rechunk=True)
