"""What the sink suite drives: every store behind the same three questions, and rows to give it."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any, Protocol
from uuid import uuid4

import polars as pl
import psycopg
from deltalake import DeltaTable
from redis import Redis

from features.columns import Column, ColumnType, polars_schema
from features.contracts import contract_named
from features.decoding import event_schema
from features.tables import online_table
from features.views import FeatureView
from streaming.ports import DEAD, Clock, Epoch, EpochStore, Output, Sink
from streaming.sinks.memory import MemoryEpochStore, MemorySink

# One column of every type that a view may have.
VIEW = FeatureView(
    name="sink_suite",
    version=3,
    topic="webtoon_user_events",
    owner="tests",
    doc="Rows of the sink suite.",
    entity=(
        Column("reader_id", ColumnType.STRING, "Reader.", nullable=False),
        Column("episode_id", ColumnType.STRING, "Episode.", nullable=False),
    ),
    stored=(
        Column("note", ColumnType.STRING, "Text."),
        Column("ratio", ColumnType.DOUBLE, "Number."),
        Column("total", ColumnType.LONG, "Whole number."),
        Column("small", ColumnType.INT, "Small whole number."),
        Column("is_closed", ColumnType.BOOLEAN, "Truth."),
        Column("seen_at", ColumnType.TIMESTAMP, "Time."),
        Column("day", ColumnType.DATE, "Day."),
        Column("tags", ColumnType.STRING_LIST, "Texts."),
    ),
    redis_key="suite:{reader_id}:{episode_id}",
    redis_lists={"tags": "suite_tags:{reader_id}"},
    ttl_seconds=600,
)
VIEWS = {VIEW.name: VIEW}
START = datetime(2026, 1, 1, tzinfo=UTC)
START_US = int(START.timestamp()) * 1_000_000
CLOCK = Clock(watermark_us=START_US, event_times={"t/0": START_US + 7}, offsets={"t/0": 12})
ROW: dict[str, Any] = {
    "reader_id": "r1",
    "episode_id": "e1",
    "note": "plain",
    "ratio": 0.5,
    "total": 2**53 + 1,
    "small": -3,
    "is_closed": True,
    "seen_at": START + timedelta(microseconds=123_456),
    "day": START.date(),
    "tags": ["a", "b"],
    "event_at": START + timedelta(seconds=1),
    "by_event": True,
}
ALL_NULL = dict.fromkeys(column.name for column in VIEW.features)
SCHEMA = {
    **polars_schema(VIEW.columns),
    "event_at": pl.Datetime("us", "UTC"),
    "by_event": pl.Boolean(),
}

Rows = dict[tuple[str, str], dict[str, Any]]


def rows_of(*rows: Mapping[str, Any]) -> pl.DataFrame:
    return pl.DataFrame([{**ROW, **row} for row in rows], schema=SCHEMA)


def output(*rows: Mapping[str, Any], dead: pl.DataFrame | None = None) -> Output:
    return Output(
        rows={VIEW.name: rows_of(*rows)},
        events={},
        dead=pl.DataFrame(schema=DEAD) if dead is None else dead,
        rows_in=len(rows),
        duplicates=0,
    )


def epoch(number: int, *, generation: int = 1, at_s: int = 0, checkpoint: str = "c1") -> Epoch:
    return Epoch(
        job="suite",
        checkpoint_id=checkpoint,
        number=number,
        generation=generation,
        committed_at_us=START_US + (number * 10 + at_s) * 1_000_000,
    )


def expected(at: Epoch, *rows: Mapping[str, Any]) -> Rows:
    """The rows as any store must give them back."""
    stamps = {
        "updated_at": START + timedelta(microseconds=at.committed_at_us - START_US),
        "feature_version": VIEW.version,
    }
    return _by_key({**ROW, **row, **stamps} for row in rows)


def _by_key(rows: Any) -> Rows:
    return {
        (row["reader_id"], row["episode_id"]): {
            name: value for name, value in row.items() if name in SHOWN
        }
        for row in rows
    }


SHOWN = {c.name for c in VIEW.online_columns} - {"generation", "epoch"}


class Driven(Protocol):
    """A store as the suite sees it: the newest rows, and all it holds."""

    def write(self, epoch: Epoch, output: Output) -> None: ...

    def rows(self) -> Rows: ...

    def dump(self) -> Any: ...


@dataclass
class DrivenMemory:
    store: MemoryEpochStore | MemorySink

    def write(self, epoch: Epoch, output: Output) -> None:
        if isinstance(self.store, MemoryEpochStore):
            self.store.commit(epoch, output, CLOCK)
        else:
            self.store.write(epoch, output)

    def rows(self) -> Rows:
        return _by_key(self.dump())

    def dump(self) -> Any:
        return self.store.rows(VIEW.name).to_dicts()


@dataclass
class DrivenPostgres:
    store: EpochStore
    url: str

    def write(self, epoch: Epoch, output: Output) -> None:
        self.store.commit(epoch, output, CLOCK)

    def rows(self) -> Rows:
        return _by_key(self.dump())

    def dump(self) -> Any:
        with psycopg.connect(self.url, row_factory=psycopg.rows.dict_row) as connection:
            connection.execute("SET TIME ZONE 'UTC'")
            query = f"SELECT * FROM online.{VIEW.name} ORDER BY reader_id, episode_id"
            return connection.execute(query).fetchall()


@dataclass
class DrivenRedis:
    sink: Sink
    client: Redis

    def write(self, epoch: Epoch, output: Output) -> None:
        self.sink.write(epoch, output)

    def rows(self) -> Rows:
        return _by_key(_typed(fields) for fields in self.dump().values())

    def dump(self) -> Any:
        return {key: self.client.hgetall(key) for key in self.client.scan_iter("suite:*")}


@dataclass
class DrivenDelta:
    sink: Sink
    lake: str

    def write(self, epoch: Epoch, output: Output) -> None:
        self.sink.write(epoch, output)

    def rows(self) -> Rows:
        log = sorted(self.dump(), key=lambda row: (row["generation"], row["batch_id"]))
        return _by_key({**row, "updated_at": row["available_at"]} for row in log)

    def dump(self) -> Any:
        table = DeltaTable(f"{self.lake}/features/{VIEW.name}")
        return table.to_pyarrow_table().to_pylist()


def _typed(fields: Mapping[str, str]) -> dict[str, Any]:
    columns = {column.name: column.type for column in VIEW.online_columns}
    present = {n: READ[columns[n]](v) for n, v in fields.items() if n in columns}
    return {**ALL_NULL, **present}


READ: dict[ColumnType, Callable[[str], Any]] = {
    ColumnType.STRING: str,
    ColumnType.DOUBLE: float,
    ColumnType.LONG: int,
    ColumnType.INT: int,
    ColumnType.BOOLEAN: {"true": True, "false": False}.__getitem__,
    ColumnType.TIMESTAMP: datetime.fromisoformat,
    ColumnType.DATE: date.fromisoformat,
    ColumnType.STRING_LIST: json.loads,
}


def create_table(url: str) -> None:
    """The suite's own table; a new table of the owner is writable by the pipeline."""
    with psycopg.connect(url) as connection:
        connection.execute(f"DROP TABLE IF EXISTS online.{VIEW.name}")
        for statement in online_table(VIEW):
            connection.execute(statement)


def clean(url: str) -> None:
    with psycopg.connect(url) as connection:
        connection.execute(f"TRUNCATE online.{VIEW.name}, ops.dead_letters")
        for table in ("stream_epochs", "stream_watermarks", "refused_rows"):
            connection.execute(f"DELETE FROM ops.{table} WHERE job = 'suite'")


def letters(*rows: Mapping[str, Any]) -> pl.DataFrame:
    letter = {
        "topic": f"t-{uuid4().hex[:8]}",
        "partition": 1,
        "offset": 9,
        "key": b"k",
        "payload": b"{",
        "received_at_us": 1_790_000_000_000_000,
        "reason_code": "not_json",
        "reason": "Not JSON.",
        "contract_version": 1,
    }
    return pl.DataFrame([{**letter, **row} for row in rows], schema=DEAD)


def archived() -> pl.DataFrame:
    contract = contract_named("user-events")
    event = dict.fromkeys(event_schema(contract)) | {
        "event_id": "e1",
        "event_at": START - timedelta(microseconds=1),
        "event_type": "purchase",
        "user_id": "u 😀",
        "extra": [{"key": 'k"', "value": "v"}, {"key": "n", "value": None}],
        "kafka_partition": 3,
        "kafka_offset": 2**40,
        "received_at": START,
        "contract_version": 1,
    }
    schema = event_schema(contract) | {
        "kafka_partition": pl.Int32(),
        "kafka_offset": pl.Int64(),
        "received_at": pl.Datetime("us", "UTC"),
        "contract_version": pl.Int32(),
    }
    return pl.DataFrame([event, {**event, "extra": None}], schema=schema)
