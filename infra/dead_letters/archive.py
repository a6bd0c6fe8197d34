"""Late events: the stream would only refuse them again, so they go straight to the archive.

There a backfill counts them. An event stands in the archive once: what it holds already, by id and
event time, is not appended again, so a try that died half-way is simply made again. Each append
carries its number in the table's log, so that of two at the same time one fails.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date

import polars as pl
from deltalake import DeltaTable
from deltalake.exceptions import CommitFailedError, TableNotFoundError

from features.contracts import CONTRACTS
from infra.errors import ReplayFailed
from streaming.ports import DEAD, Epoch, Output
from streaming.sinks.delta import DeltaSink
from streaming.sinks.lake_tables import archive_of

__all__ = ["append", "last_day", "unarchived"]

APPLICATION = "userflow-dlq"
IDENTITY = ("event_id", "event_at")


def unarchived(lake: str, topic: str, events: pl.DataFrame) -> pl.DataFrame:
    """Those of the events that the archive does not hold, each once."""
    once = events.unique(IDENTITY, keep="first", maintain_order=True)
    table = _table(lake, topic)
    if table is None:
        return once
    days = once["event_at"].dt.date().unique().to_list()
    known = (
        pl.scan_delta(table)
        .filter(pl.col("event_date").is_in(days), pl.col("event_id").is_in(once["event_id"]))
        .select(IDENTITY)
        .collect()
    )
    return once.join(known, on=IDENTITY, how="anti", maintain_order="left")


def append(lake: str, events: Mapping[str, pl.DataFrame], number: int, now_us: int) -> None:
    """Append events by topic; `number` is larger than that of any append before."""
    epoch = Epoch(
        job=APPLICATION,
        checkpoint_id=APPLICATION,
        number=number,
        generation=0,
        committed_at_us=now_us,
    )
    nothing = pl.DataFrame(schema=DEAD)
    output = Output(rows={}, events=events, dead=nothing, rows_in=0, duplicates=0)
    sink = DeltaSink(lake)
    try:
        sink.write(epoch, output)
    except CommitFailedError as error:
        raise ReplayFailed(
            "Another replay has appended to the archive meanwhile: replay again."
        ) from error
    finally:
        sink.close()


def last_day(lake: str, topic: str) -> date | None:
    """The day of the newest archived event."""
    table = _table(lake, topic)
    days = [str(part["event_date"]) for part in table.partitions()] if table else []
    return max(map(date.fromisoformat, days), default=None)


def _table(lake: str, topic: str) -> DeltaTable | None:
    try:
        return DeltaTable(f"{lake}/{archive_of(CONTRACTS[topic]).path}")
    except TableNotFoundError:
        return None
