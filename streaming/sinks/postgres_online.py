"""The online tables as others follow them: whole rows, some thousands at a time."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import polars as pl
import psycopg

from features.columns import polars_schema
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
        schema = polars_schema(view.online_columns)
        with self._connection.transaction(), self._connection.cursor("rows") as cursor:
            cursor.execute(statements.read_served(view), [since, *after])
            while rows := cursor.fetchmany(ROWS_AT_ONCE):
                yield pl.DataFrame(rows, schema=schema, orient="row")

    def missing(self, view: FeatureView, entities: pl.DataFrame) -> pl.DataFrame:
        """Those of the entities that have no row."""
        lists = [entities[part].to_list() for part in view.key]
        found = self._connection.execute(statements.find_missing(view), lists).fetchall()
        return pl.DataFrame(found, schema=polars_schema(view.entity), orient="row")

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()
