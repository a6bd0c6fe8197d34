"""Rows of every served view with values of every kind, in both online stores."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from datetime import UTC, date, datetime
from typing import Any

import polars as pl
import psycopg
from psycopg import sql
from psycopg.types.json import Jsonb
from redis import Redis

from features.batch_views import BatchView
from features.columns import Column, ColumnType, polars_schema
from features.marts import PUBLISHED
from features.views import VIEWS
from infra.batch_hashes import BatchHashes, Stamp
from infra.database import pipeline_conninfo
from infra.endpoints import Endpoints
from serving.online.served import SERVED
from streaming.ports import DEAD, Clock, Epoch, Output
from streaming.sinks.postgres import PostgresEpochStore
from streaming.sinks.redis import RedisSink

__all__ = ["MOMENT", "NOW", "ids_of", "value_of", "written"]

NOW = datetime.now(UTC)
MOMENT = datetime(2026, 1, 1, 12, 30, 15, tzinfo=UTC)
# Each id ends with the number of its row.
VALUES: Mapping[ColumnType, tuple[Any, ...]] = {
    ColumnType.STRING: ('né "q" \\ \n', "", None, "1"),
    ColumnType.DOUBLE: (0.1, 1.5e-7, None, 1e22),
    ColumnType.LONG: (0, -(2**53) - 1, None, 7),
    ColumnType.INT: (0, 2**31 - 1, None, 7),
    ColumnType.BOOLEAN: (True, False, None, True),
    ColumnType.TIMESTAMP: (MOMENT, NOW, None, MOMENT),
    ColumnType.DATE: (date(2026, 1, 1), date(1970, 1, 1), None, date(2026, 12, 31)),
    ColumnType.STRING_LIST: (["a", 'b"', "é"], [], None, ["1"]),
    ColumnType.STRING_MAP: ({"a": "b"}, {}, None, {}),
    ColumnType.RECORDS: ([], [], None, []),
}
ROWS = range(4)


def value_of(view: str, column: Column, row: int, *, is_key: bool) -> Any:
    if is_key and column.type is ColumnType.STRING:
        return f"api/{view} {row}"
    if is_key and column.type is ColumnType.INT:
        return row
    if is_key:
        return MOMENT
    value = VALUES[column.type][row]
    return VALUES[column.type][0] if value is None and not column.nullable else value


def _rows(view: str, columns: tuple[Column, ...], key: tuple[str, ...]) -> list[dict[str, Any]]:
    return [{c.name: value_of(view, c, row, is_key=c.name in key) for c in columns} for row in ROWS]


def ids_of(name: str) -> list[str]:
    """As the API takes them."""
    view = SERVED[name]
    return [
        "|".join(
            value.strftime("%Y-%m-%dT%H:%M:%SZ") if isinstance(value, datetime) else str(value)
            for value in (value_of(name, c, row, is_key=True) for c in view.entity)
        )
        for row in ROWS
    ]


@contextmanager
def written(stack: Endpoints) -> Iterator[None]:
    """Rows of every view, by the sinks of the streams and by a publication."""
    streams = {name: _frame(name) for name in VIEWS}
    epoch = Epoch(
        job="api",
        checkpoint_id="api",
        number=1,
        generation=1,
        committed_at_us=int(NOW.timestamp() * 1e6),
    )
    output = Output(
        rows=streams, events={}, dead=pl.DataFrame(schema=DEAD), rows_in=1, duplicates=0
    )
    with (
        closing(PostgresEpochStore(pipeline_conninfo(stack.postgres), views=VIEWS)) as postgres,
        closing(RedisSink(stack.redis, views=VIEWS)) as redis,
    ):
        postgres.commit(epoch, output, Clock())
        redis.write(epoch, output)
    for view in PUBLISHED.values():
        _publish(stack, view)
    yield
    with closing(Redis.from_url(stack.redis)) as client:
        for view in PUBLISHED.values():
            client.delete(view.redis_key, view.redis_version_key)
    with psycopg.connect(stack.postgres) as owner:
        for view in SERVED.values():
            statement = sql.SQL("DELETE FROM online.{} WHERE {} LIKE 'api/%'")
            names = (sql.Identifier(view.name), sql.Identifier(view.key[0]))
            owner.execute(statement.format(*names))


def _frame(name: str) -> pl.DataFrame:
    view = VIEWS[name]
    stamps = {"event_at": MOMENT, "by_event": True}
    some = [{**row, **stamps} for row in _rows(name, view.columns, view.key)]
    more = {"event_at": pl.Datetime("us", "UTC"), "by_event": pl.Boolean()}
    return pl.DataFrame(some, schema={**polars_schema(view.columns), **more})


def _publish(stack: Endpoints, view: BatchView) -> None:
    some = _rows(view.name, view.mart.columns, view.mart.key)
    stamps = {"updated_at": NOW, "version": 1}
    with psycopg.connect(stack.postgres) as owner:
        for row in some:
            whole = {**row, **stamps}
            statement = sql.SQL("INSERT INTO online.{} ({}) VALUES ({})").format(
                sql.Identifier(view.name),
                sql.SQL(", ").join(map(sql.Identifier, whole)),
                sql.SQL(", ").join(sql.Placeholder() * len(whole)),
            )
            types = {c.name: c.type for c in view.mart.columns}
            nested = (ColumnType.STRING_MAP, ColumnType.RECORDS)
            values = [
                Jsonb(v) if types.get(k) in nested and v is not None else v
                for k, v in whole.items()
            ]
            owner.execute(statement, values)
    with closing(Redis.from_url(stack.redis)) as client:
        hashes = BatchHashes(client)
        stamp = Stamp(version=1, as_of_date=MOMENT.date(), updated_at=NOW, rows=len(some))
        assert hashes.swap(view, stamp, hashes.load(view, 1, some))
