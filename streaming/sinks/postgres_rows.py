"""The rows of one epoch in a transaction of PostgreSQL, all of them or those that it takes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import polars as pl
import psycopg

from features.views import FeatureView
from features.watching import ALERTS
from streaming.ports import DEAD, REFUSED, Epoch, Output, no_refusals, refusals
from streaming.sinks import postgres_sql as statements
from streaming.sinks.halves import in_halves

__all__ = [
    "REFUSING",
    "Part",
    "delete",
    "parts_of",
    "put_all",
    "put_in_halves",
    "put_refused",
    "to_datetime",
    "to_micros",
    "without",
]

Connection = psycopg.Connection[tuple[Any, ...]]
# What is raised about the values of a row, and not about the server.
REFUSING = (psycopg.DataError, psycopg.IntegrityError, psycopg.errors.ProgramLimitExceeded)
STORE = "postgres"
START = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True)
class Part:
    """Rows that go to one table, and how; `key`: the columns that name a row."""

    target: str
    key: Sequence[str]
    rows: pl.DataFrame
    put: Callable[[pl.DataFrame], None]


def parts_of(
    connection: Connection, views: Mapping[str, FeatureView], epoch: Epoch, output: Output
) -> list[Part]:
    """Everything that an epoch puts somewhere."""
    views_of_rows = [(views[name], rows) for name, rows in output.rows.items()]
    alerts = output.sent.get("alerts", pl.DataFrame())
    dead = partial(_put_dead_letters, connection, epoch)
    return [
        *(
            Part(view.name, view.key, rows, partial(_upsert, connection, view, epoch))
            for view, rows in views_of_rows
        ),
        Part("dead_letters", ("topic", "partition", "offset"), output.dead, dead),
        Part("alerts", ("event_id", "alert_type"), alerts, partial(_put_alerts, connection)),
    ]


def put_all(_: Connection, part: Part) -> pl.DataFrame:
    """Put them; raises what PostgreSQL does not take."""
    if part.rows.height:
        part.put(part.rows)
    return no_refusals()


def put_in_halves(connection: Connection, part: Part) -> pl.DataFrame:
    """Put those that PostgreSQL takes; returns the others."""

    def saved(rows: pl.DataFrame) -> None:
        with connection.transaction():
            part.put(rows)

    left = in_halves(part.rows, saved, lambda error: isinstance(error, REFUSING))
    return pl.concat(
        [
            no_refusals(),
            *(refusals(STORE, part.target, _names(row, part.key), _told(e)) for row, e in left),
        ]
    )


def put_refused(connection: Connection, epoch: Epoch, refused: pl.DataFrame) -> None:
    """Keep what was refused, once."""
    at = to_datetime(epoch.committed_at_us)
    identity = (epoch.job, epoch.checkpoint_id, epoch.number, at)
    with connection.cursor() as cursor:
        rows = ((*identity, *row) for row in refused.select(*REFUSED).iter_rows())
        cursor.executemany(statements.PUT_REFUSED, rows)


def without(output: Output, views: Mapping[str, FeatureView], refused: pl.DataFrame) -> Output:
    """The output without the rows that PostgreSQL has refused: the other stores follow it."""
    if refused.is_empty():
        return output
    ours = refused.filter(pl.col("store") == STORE)
    rows = {
        name: found.filter(
            ~_names(found, views[name].key).is_in(
                ours.filter(pl.col("target") == name)["key"].to_list()
            )
        )
        for name, found in output.rows.items()
    }
    return replace(output, rows=rows, refused=refused)


def delete(connection: Connection, view: FeatureView, epoch: Epoch, entities: pl.DataFrame) -> None:
    """Delete the rows of entities that are no more."""
    version = (epoch.generation, epoch.number)
    keys = entities.select(view.key).iter_rows()
    with connection.cursor() as cursor:
        cursor.executemany(statements.delete(view), ((*version, *key) for key in keys))


def to_datetime(micros: int) -> datetime:
    """Microseconds since 1970 as a time."""
    return START + micros * MICROSECOND


def to_micros(at: datetime) -> int:
    """A time as microseconds since 1970."""
    return (at - START) // MICROSECOND


def _upsert(connection: Connection, view: FeatureView, epoch: Epoch, rows: pl.DataFrame) -> None:
    with connection.cursor() as cursor:
        with cursor.copy(statements.copy_rows(view)) as copy:
            copy.write(statements.csv_of(view, rows))
        at = to_datetime(epoch.committed_at_us)
        cursor.execute(statements.upsert(view), [at, view.version, epoch.generation, epoch.number])


def _put_dead_letters(connection: Connection, epoch: Epoch, dead: pl.DataFrame) -> None:
    at = to_datetime(epoch.committed_at_us)
    letters = dead.select(*DEAD).iter_rows()
    with connection.cursor() as cursor:
        dated: Iterable[Any] = ((*letter, at, at) for letter in letters)
        cursor.executemany(statements.PUT_DEAD_LETTER, dated)


def _put_alerts(connection: Connection, alerts: pl.DataFrame) -> None:
    with connection.cursor() as cursor:
        cursor.executemany(statements.PUT_ALERT, alerts.select(*ALERTS).iter_rows())


def _names(rows: pl.DataFrame, key: Sequence[str]) -> pl.Series:
    """What names each row, as text."""
    return rows.select(pl.concat_str(key, separator="|")).to_series()


def _told(error: Exception) -> str:
    return str(error).partition("\n")[0]
