"""`raw.events` in PostgreSQL: one load of a day at a time, and a day as a whole or not at all."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import date, timedelta
from typing import Any

import polars as pl
import psycopg
from psycopg import sql
from psycopg.copy import QueuedLibpqWriter

from expectations.checks.day import CARTS
from infra.errors import LoadFailed
from infra.raw.encoding import COLUMNS

__all__ = ["add_partition", "carts_of", "locked", "replace_day"]

# Any fixed number; the second part of the lock is the day.
LOCK = 730_512_201
PARENT = sql.Identifier("raw", "events")

Connection = psycopg.Connection[Any]


@contextmanager
def locked(connection: Connection, day: date) -> Iterator[None]:
    """Hold the day for as long as the block lasts, or raise `LoadFailed` if it is held already.

    The lock belongs to the connection: if the process dies, it is free.
    """
    key = [LOCK, day.toordinal()]
    row = connection.execute("SELECT pg_try_advisory_lock(%s, %s)", key).fetchone()
    if not (row and row[0]):
        raise LoadFailed(
            f"{day} is being loaded by another process: wait until that has ended. Nothing was "
            "changed."
        )
    try:
        yield
    finally:
        if not connection.broken:
            connection.execute("SELECT pg_advisory_unlock(%s, %s)", key)


def add_partition(connection: Connection, day: date) -> None:
    """Make the partition of a day if there is none; needs the owner's connection.

    Attached and not created in place: that would wait for every reader of the table, and every
    later one for it.
    """
    name = _partition(day)
    with connection.transaction():
        # Two loads of different days take turns; what another load has just made is seen.
        connection.execute("SELECT pg_advisory_xact_lock(%s, 0)", [LOCK])
        found = connection.execute("SELECT to_regclass(%s)", [f"raw.{name}"]).fetchone()
        if found and found[0] is not None:
            return
        names = {"parent": PARENT, "partition": sql.Identifier("raw", name)}
        create = "CREATE TABLE {partition} (LIKE {parent} INCLUDING DEFAULTS INCLUDING CONSTRAINTS)"
        connection.execute(sql.SQL(create).format(**names))
        attach = "ALTER TABLE {parent} ATTACH PARTITION {partition} FOR VALUES FROM ({a}) TO ({b})"
        bounds = {"a": sql.Literal(day), "b": sql.Literal(day + timedelta(days=1))}
        connection.execute(sql.SQL(attach).format(**names, **bounds))


def carts_of(connection: Connection, day: date) -> pl.DataFrame | None:
    """Who put something into a cart on a day, or None if that day was never loaded."""
    rows = connection.execute(
        "SELECT DISTINCT user_id, session_id FROM raw.events "
        "WHERE run_date = %s AND event_type = 'add_to_cart'",
        [day],
    ).fetchall()
    if not rows and not _is_loaded(connection, day):
        return None
    return pl.DataFrame(rows, schema=CARTS, orient="row")


def replace_day(connection: Connection, day: date, texts: Iterable[bytes]) -> None:
    """What the texts hold becomes the day, in one transaction."""
    copy = sql.SQL("COPY {} ({}) FROM STDIN").format(
        sql.Identifier("raw", _partition(day)), sql.SQL(", ").join(map(sql.Identifier, COLUMNS))
    )
    with connection.transaction(), connection.cursor() as cursor:
        cursor.execute("DELETE FROM raw.events WHERE run_date = %s", [day])
        # The server reads one text while the next is made.
        with cursor.copy(copy, writer=QueuedLibpqWriter(cursor)) as copying:
            for text in texts:
                copying.write(text)


def _is_loaded(connection: Connection, day: date) -> bool:
    found = connection.execute("SELECT 1 FROM raw.events WHERE run_date = %s LIMIT 1", [day])
    return found.fetchone() is not None


def _partition(day: date) -> str:
    return f"events_{day:%Y%m%d}"
