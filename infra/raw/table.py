"""`raw.events` in PostgreSQL: one load of a day at a time, and a day as a whole or not at all."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import date, timedelta
from typing import Any, LiteralString

import polars as pl
import psycopg
from psycopg import sql
from psycopg.copy import QueuedLibpqWriter

from expectations.checks.day import CARTS
from infra.errors import LoadFailed
from infra.raw.encoding import COLUMNS

__all__ = ["carts_of", "has_partition", "locked", "make_day", "replace_day"]

# Any fixed number; the second part of the lock is the day.
LOCK = 730_512_201
PARENT = sql.Identifier("raw", "events")
KEY = ("run_date", "topic", "event_id")

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


def has_partition(connection: Connection, day: date) -> bool:
    """Whether the day was loaded before, be it without a row now."""
    found = connection.execute("SELECT to_regclass(%s)", [f"raw.{_partition(day)}"]).fetchone()
    return found is not None and found[0] is not None


def make_day(owner: Connection, day: date, texts: Iterable[bytes]) -> None:
    """What the texts hold becomes the day, as its new partition, in one transaction; needs the
    owner's connection.

    Filled before it has indexes, which takes a fifth less time, and attached when it is full, not
    created in place: that would wait for every reader of the table, and every later one for it.
    """
    partition = sql.Identifier("raw", _partition(day))
    create = "CREATE TABLE {} (LIKE {} INCLUDING DEFAULTS INCLUDING CONSTRAINTS)"
    with owner.transaction(), owner.cursor() as cursor:
        cursor.execute(sql.SQL(create).format(partition, PARENT))
        _copy(cursor, day, texts, options="(FREEZE)")
        key = sql.SQL(", ").join(map(sql.Identifier, KEY))
        cursor.execute(sql.SQL("ALTER TABLE {} ADD PRIMARY KEY ({})").format(partition, key))
        # Two loads of different days take turns from here on.
        cursor.execute("SELECT pg_advisory_xact_lock(%s, 0)", [LOCK])
        attach = "ALTER TABLE {} ATTACH PARTITION {} FOR VALUES FROM ({}) TO ({})"
        bounds = (sql.Literal(day), sql.Literal(day + timedelta(days=1)))
        cursor.execute(sql.SQL(attach).format(PARENT, partition, *bounds))


def replace_day(connection: Connection, day: date, texts: Iterable[bytes]) -> None:
    """What the texts hold becomes the day, in place of what it was, in one transaction."""
    with connection.transaction(), connection.cursor() as cursor:
        cursor.execute("DELETE FROM raw.events WHERE run_date = %s", [day])
        _copy(cursor, day, texts)


def _copy(
    cursor: psycopg.Cursor[Any], day: date, texts: Iterable[bytes], options: LiteralString = ""
) -> None:
    """The server reads one text while the next is made."""
    statement = sql.SQL("COPY {} ({}) FROM STDIN {}").format(
        sql.Identifier("raw", _partition(day)),
        sql.SQL(", ").join(map(sql.Identifier, COLUMNS)),
        sql.SQL(options),
    )
    with cursor.copy(statement, writer=QueuedLibpqWriter(cursor)) as copying:
        for text in texts:
            copying.write(text)


def _is_loaded(connection: Connection, day: date) -> bool:
    found = connection.execute("SELECT 1 FROM raw.events WHERE run_date = %s LIMIT 1", [day])
    return found.fetchone() is not None


def _partition(day: date) -> str:
    return f"events_{day:%Y%m%d}"
