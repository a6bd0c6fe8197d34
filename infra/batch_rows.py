"""Where the rows of batch views come from: schema `marts`, or the tables of the daily Spark jobs.

Either puts the rows of a view into its empty online table, within the caller's transaction.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, Protocol

import msgspec
import polars as pl
import psycopg
from deltalake import DeltaTable
from deltalake.exceptions import TableNotFoundError
from psycopg import sql

from features.batch_views import AS_OF, BatchView
from features.columns import ColumnType
from infra.errors import PublishFailed

__all__ = ["LakeRows", "MartRows", "Rows", "computed_day"]

Connection = psycopg.Connection[Any]
ROWS_AT_ONCE = 50_000


class Rows(Protocol):
    """The rows of one view."""

    def insert(self, connection: Connection, view: BatchView, now: datetime, version: int) -> int:
        """Put them all into `online.<view>`; returns how many they are."""


class MartRows:
    """What dbt has built, in the same database."""

    def require(
        self, connection: Connection, view: BatchView, run_date: date, *, allow_empty: bool
    ) -> None:
        """Raise `PublishFailed` if the mart is not as declared, or has no row and should have."""
        mart, name = view.mart, sql.Identifier("marts", view.mart.name)
        query = sql.SQL("SELECT {} FROM {} LIMIT 1").format(_names(view), name)
        try:
            found = connection.execute(query)
        except (psycopg.errors.UndefinedTable, psycopg.errors.UndefinedColumn) as error:
            missing = str(error.diag.message_primary)
            raise PublishFailed(
                f"marts.{mart.name} is not as declared ({missing}), so nothing was published: "
                f"run `userflow marts --date {run_date}` first."
            ) from error
        if found.fetchone() is None and not (allow_empty or mart.may_be_empty):
            raise PublishFailed(
                f"marts.{mart.name} has no row, so nothing was published and readers keep "
                "what they have: look at what built it, or say --allow-empty if nothing is right."
            )

    def insert(self, connection: Connection, view: BatchView, now: datetime, version: int) -> int:
        """All in one statement: no row leaves the server."""
        online, mart = (
            sql.Identifier(schema, name)
            for schema, name in (("online", view.name), ("marts", view.mart.name))
        )
        statement = sql.SQL("INSERT INTO {} ({}, updated_at, version) SELECT {}, %s, %s FROM {}")
        query = statement.format(online, _names(view), _names(view), mart)
        return connection.execute(query, [now, version]).rowcount


@dataclass(frozen=True, slots=True)
class LakeRows:
    """What Spark has computed of one day, below `batch/` of the lake."""

    lake: str
    day: date

    def insert(self, connection: Connection, view: BatchView, now: datetime, version: int) -> int:
        """By COPY, a part at a time."""
        copy = sql.SQL("COPY {} ({}, updated_at, version) FROM STDIN").format(
            sql.Identifier("online", view.name), _names(view)
        )
        count = 0
        with connection.cursor() as cursor, cursor.copy(copy) as copying:
            for row in self._rows(view):
                copying.write_row((*row, now, version))
                count += 1
        return count

    def _rows(self, view: BatchView) -> Iterator[tuple[Any, ...]]:
        nested = [at for at, c in enumerate(view.columns) if c.type is ColumnType.RECORDS]
        for part in self._frame(view).iter_slices(ROWS_AT_ONCE):
            for row in part.iter_rows():
                yield _with_json(row, nested) if nested else row

    def _frame(self, view: BatchView) -> pl.DataFrame:
        names = (c.name for c in view.columns if c.name != AS_OF)
        table = pl.scan_delta(_table(self.lake, view))
        of_day = table.filter(pl.col("run_date") == self.day).select(
            *names, pl.col("run_date").alias(AS_OF)
        )
        try:
            return of_day.select(column.name for column in view.columns).collect()
        except pl.exceptions.ColumnNotFoundError as error:
            missing = str(error).partition("\n")[0]
            raise PublishFailed(
                f"batch/{view.mart.name} is not as declared ({missing}): run `userflow daily "
                f"--date {self.day}` again."
            ) from error


def computed_day(lake: str, view: BatchView, run_date: date) -> date | None:
    """The newest day up to `run_date` that Spark has computed; None if there is none."""
    try:
        files = _table(lake, view).get_add_actions(flatten=True)
    except TableNotFoundError:
        return None
    days = pl.DataFrame(files)["partition.run_date"]
    newest: date | None = days.filter(days <= run_date).max()  # type: ignore[assignment]
    return newest


def _table(lake: str, view: BatchView) -> DeltaTable:
    return DeltaTable(f"{lake}/batch/{view.mart.name}")


def _with_json(row: tuple[Any, ...], nested: list[int]) -> tuple[Any, ...]:
    """A list of records as the text of jsonb."""
    return tuple(
        msgspec.json.encode(cell).decode() if at in nested and cell is not None else cell
        for at, cell in enumerate(row)
    )


def _names(view: BatchView) -> sql.Composed:
    return sql.SQL(", ").join(sql.Identifier(column.name) for column in view.columns)
