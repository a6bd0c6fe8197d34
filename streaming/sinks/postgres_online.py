"""The online tables as others follow them: whole rows, some thousands at a time.

They travel as CSV that Polars reads: a row costs a tenth of what it does value by value.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from io import BytesIO
from itertools import islice
from typing import Any

import polars as pl
import psycopg

from features.columns import Column, ColumnType, polars_schema, polars_type
from features.views import FeatureView
from streaming.sinks import postgres_sql as statements

__all__ = ["BEFORE_ALL", "OnlineTables", "Version"]

# Generation and epoch: who wrote a row.
Version = tuple[int, int]
BEFORE_ALL: Version = (-1, -1)
LONG_AGO = datetime(1970, 1, 1, tzinfo=UTC)
ROWS_AT_ONCE = 20_000


class OnlineTables:
    """`conninfo` already names the role to act as. Not thread-safe."""

    def __init__(self, conninfo: str) -> None:
        self._connection: psycopg.Connection[Any] = psycopg.connect(conninfo, autocommit=True)
        self._connection.execute("SET TIME ZONE 'UTC'")

    def newest_epoch(self, job: str) -> Version | None:
        """The newest epoch that is committed; None before the first."""
        return self._connection.execute(statements.NEWEST_EPOCH, [job]).fetchone()

    def rows(
        self, view: FeatureView, *, since: datetime = LONG_AGO, after: Version = BEFORE_ALL
    ) -> Iterator[pl.DataFrame]:
        """The rows updated since a time by versions after another, in order of their version.

        All are of one moment. Columns: those of `online.<view>`.
        """
        yield from self._copied(view, view.online_columns, since, after)

    def keys(self, view: FeatureView) -> Iterator[pl.DataFrame]:
        """The entity of every row."""
        yield from self._copied(view, view.entity, LONG_AGO, BEFORE_ALL)

    def _copied(
        self, view: FeatureView, columns: Sequence[Column], since: datetime, after: Version
    ) -> Iterator[pl.DataFrame]:
        statement = statements.copy_out(view, columns)
        with self._connection.cursor() as cursor, cursor.copy(statement, [since, *after]) as copy:
            rows = iter(copy)  # the server sends one at a time
            while chunk := b"".join(islice(rows, ROWS_AT_ONCE)):
                yield _read_csv(chunk, columns)

    def missing(self, view: FeatureView, entities: pl.DataFrame) -> pl.DataFrame:
        """Those of the entities that have no row."""
        lists = [entities[part].to_list() for part in view.key]
        found = self._connection.execute(statements.find_missing(view), lists).fetchall()
        return pl.DataFrame(found, schema=polars_schema(view.entity), orient="row")

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()


def _read_csv(text: bytes, columns: Iterable[Column]) -> pl.DataFrame:
    """What `copy_out` has written: an empty string (`""`) is not null (nothing)."""
    read = {column.name: _copied_type(column) for column in columns}
    found = pl.read_csv(BytesIO(text), has_header=False, schema=read)
    return found.select(map(_as_declared, columns))


def _copied_type(column: Column) -> pl.DataType:
    if column.type is ColumnType.TIMESTAMP:
        return pl.Int64()
    return polars_type(column) if column.type in statements.PLAIN else pl.String()


def _as_declared(column: Column) -> pl.Expr:
    value, declared = pl.col(column.name), polars_type(column)
    if column.type is ColumnType.BOOLEAN:
        return value == "t"
    if column.type is ColumnType.DATE:
        return value.str.to_date()
    if column.type is ColumnType.STRING_LIST:
        return value.str.json_decode(declared)
    return value.cast(declared)
