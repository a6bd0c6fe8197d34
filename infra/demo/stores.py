"""What the stores hold, as frames that can be compared: every store in its own way of reading.

Nothing here uses the code that wrote the rows: Redis text is parsed, Delta is read as files.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

import polars as pl
import psycopg
from deltalake import DeltaTable
from psycopg import sql
from redis import Redis

from features.columns import Column, ColumnType, polars_schema, polars_type
from features.views import FeatureView
from infra.database import pipeline_conninfo

__all__ = [
    "archived",
    "committed_offsets",
    "dead_letters",
    "delta_log",
    "epoch_sums",
    "open_though_ended",
    "postgres_rows",
    "redis_rows",
]

ARCHIVED = ("event_id", "kafka_partition", "kafka_offset", "received_at", "ingested_at", "epoch")
VERSION_FIELD = "_version"
KEYS_A_TRIP = 1000

NEWEST_CLOCKS = """
SELECT DISTINCT ON (job) clock -> 'offsets' FROM ops.stream_epochs
ORDER BY job, committed_at DESC, epoch DESC"""
EPOCH_SUMS = """
SELECT job, sum(rows_in)::bigint, sum(accepted)::bigint, sum(duplicates)::bigint,
    sum(rejected)::bigint
FROM ops.stream_epochs WHERE committed_at >= %s GROUP BY job"""
DEAD = """
SELECT topic, partition, "offset", reason_code FROM ops.dead_letters WHERE created_at >= %s"""
OPEN_THOUGH_ENDED = """
SELECT count(*) FROM online.session_features
WHERE NOT is_closed AND (is_completed OR is_exit_tag) AND updated_at >= %s"""


def committed_offsets(url: str) -> dict[str, int]:
    """`topic/partition` -> next offset, by the newest epoch of every job."""
    found: dict[str, int] = {}
    for (offsets,) in _query(url, NEWEST_CLOCKS):
        found.update(offsets)
    return found


def epoch_sums(url: str, since_us: int) -> dict[str, dict[str, int]]:
    """What the stream itself has counted, by job."""
    names = ("rows_in", "accepted", "duplicates", "rejected")
    rows = _query(url, EPOCH_SUMS, _at(since_us))
    return {job: dict(zip(names, sums, strict=True)) for job, *sums in rows}


def dead_letters(url: str, since_us: int) -> pl.DataFrame:
    """topic, partition, offset, reason."""
    schema = {
        "topic": pl.String,
        "partition": pl.Int32,
        "offset": pl.Int64,
        "reason": pl.String,
    }
    return pl.DataFrame(_query(url, DEAD, _at(since_us)), schema=schema, orient="row")


def open_though_ended(url: str, since_us: int) -> int:
    """Sessions with an `exit` or `complete` that the watermark has not passed yet."""
    return int(_query(url, OPEN_THOUGH_ENDED, _at(since_us))[0][0])


def archived(lake: str, topics: Iterable[str], since_us: int) -> pl.DataFrame:
    """The events that epochs since then have archived, of these topics."""
    frames = []
    for topic in topics:
        path = f"{lake}/events/{topic.replace('-', '_')}"
        if DeltaTable.is_deltatable(path):
            recent = pl.scan_delta(path).filter(pl.col("ingested_at") >= _at(since_us))
            frames.append(recent.select(pl.lit(topic).alias("topic"), *ARCHIVED).collect())
    return pl.concat(frames)


def postgres_rows(view: FeatureView, url: str, run: str) -> pl.DataFrame:
    """The view's online rows that belong to the run, by the name it has in their first key."""
    query = sql.SQL("SELECT {} FROM {} WHERE strpos({}, %s) > 0").format(
        sql.SQL(", ").join(sql.Identifier(column.name) for column in view.online_columns),
        sql.Identifier("online", view.name),
        sql.Identifier(view.key[0]),
    )
    schema = polars_schema(view.online_columns)
    return pl.DataFrame(_query(url, query, run), schema=schema, orient="row")


def delta_log(view: FeatureView, lake: str, run: str) -> pl.DataFrame:
    """Every change of the run's rows, named as the online table names them."""
    path = f"{lake}/features/{view.name}"
    schema = polars_schema(view.online_columns)
    if not DeltaTable.is_deltatable(path):
        return pl.DataFrame(schema=schema)
    of_run = pl.scan_delta(path).filter(pl.col(view.key[0]).str.contains(run, literal=True))
    return (
        of_run.rename({"available_at": "updated_at", "batch_id": "epoch"})
        .select(pl.col(name).cast(dtype) for name, dtype in schema.items())
        .collect()
    )


def redis_rows(view: FeatureView, url: str, run: str) -> pl.DataFrame:
    """The run's hashes, their text parsed by the declared types; what does not parse is null."""
    pattern = f"{view.redis_key.partition('{')[0]}*{run}*"
    with Redis.from_url(url, decode_responses=True) as client:
        keys = list(client.scan_iter(match=pattern, count=KEYS_A_TRIP))
        hashes: list[Mapping[str, str]] = []
        for at in range(0, len(keys), KEYS_A_TRIP):
            with client.pipeline(transaction=False) as trip:
                for key in keys[at : at + KEYS_A_TRIP]:
                    trip.hgetall(key)
                hashes += trip.execute()
    guard = ("generation", "epoch")
    names = [column.name for column in view.online_columns if column.name not in guard]
    texts = pl.DataFrame(hashes, schema=dict.fromkeys((*names, VERSION_FIELD), pl.String))
    version = pl.col(VERSION_FIELD).str.split(":").list
    return texts.with_columns(
        generation=version.get(0, null_on_oob=True), epoch=version.get(1, null_on_oob=True)
    ).select(parsed(column) for column in view.online_columns)


def parsed(column: Column) -> pl.Expr:
    """Redis text as the column's type."""
    text = pl.col(column.name)
    if column.type is ColumnType.TIMESTAMP:
        naive = text.str.to_datetime("%Y-%m-%dT%H:%M:%S%.fZ", time_unit="us", strict=False)
        return naive.dt.replace_time_zone("UTC")
    if column.type is ColumnType.BOOLEAN:
        return text.replace_strict(
            {"true": True, "false": False}, default=None, return_dtype=pl.Boolean
        )
    if column.type is ColumnType.STRING_LIST:
        return text.str.json_decode(pl.List(pl.String()))
    return text.cast(polars_type(column), strict=False)


def _query(url: str, query: Any, *parameters: object) -> list[tuple[Any, ...]]:
    with psycopg.connect(pipeline_conninfo(url)) as connection:
        connection.read_only = True
        connection.execute("SET TIME ZONE 'UTC'")
        return connection.execute(query, parameters or None).fetchall()


def _at(micros: int) -> datetime:
    return datetime.fromtimestamp(micros / 1_000_000, UTC)
