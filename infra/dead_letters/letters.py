"""Reading `ops.dead_letters`: which letters there are, how many of each kind, one as a whole.

A letter is named by its place: the topic, partition and offset of the record that was rejected.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import psycopg
from psycopg import sql
from psycopg.rows import class_row

from infra.database import pipeline_conninfo
from infra.endpoints import Endpoints
from infra.errors import ReplayFailed, ServiceError

__all__ = [
    "OPEN",
    "Connection",
    "Heading",
    "Letter",
    "Place",
    "Selection",
    "columns_of",
    "connected",
    "count_of_each",
    "missing",
    "newest",
    "places_of",
    "read",
    "read_one",
]

Connection = psycopg.Connection[tuple[Any, ...]]
OPEN = "open"

COUNTS = """
SELECT topic, reason_code, status, count(*) FROM ops.dead_letters WHERE {}
GROUP BY 1, 2, 3 ORDER BY 4 DESC, 1, 2, 3"""
NEWEST = """
SELECT topic, partition, "offset", reason_code, status, created_at, updated_at,
    octet_length(payload) AS payload_bytes,
    (SELECT count(*) FROM ops.dead_letter_replays r
     WHERE (r.topic, r.partition, r."offset") = (l.topic, l.partition, l."offset")) AS replays
FROM ops.dead_letters l WHERE {} ORDER BY created_at DESC, topic, partition, "offset" DESC LIMIT %s
"""
PLACES = """
SELECT topic, partition, "offset", coalesce(octet_length(payload), 0)
FROM ops.dead_letters WHERE {} ORDER BY 1, 2, 3"""
AMONG = """
(topic, partition, "offset") IN (SELECT * FROM unnest(%s::text[], %s::integer[], %s::bigint[]))"""
LETTERS = """
SELECT topic, partition, "offset", key, payload, received_at_us, reason_code, reason,
    contract_version, status, created_at, updated_at
FROM ops.dead_letters WHERE {} ORDER BY 1, 2, 3"""


@dataclass(frozen=True, slots=True, order=True)
class Place:
    """Where the record lies, or lay, in Kafka."""

    topic: str
    partition: int
    offset: int

    def __str__(self) -> str:
        return f"{self.topic}/{self.partition}/{self.offset}"

    @classmethod
    def parse(cls, text: str) -> Place:
        """`topic/partition/offset`; raises ValueError."""
        topic, partition, offset = text.split("/")
        place = cls(topic, int(partition), int(offset))
        if not topic or not 0 <= place.partition < 1 << 31 or not 0 <= place.offset < 1 << 63:
            raise ValueError(text)
        return place


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """Which letters are meant: those that fulfil all that is said. `since`: when rejected."""

    places: tuple[Place, ...] = ()
    reason: str | None = None
    topic: str | None = None
    status: str | None = None
    since: datetime | None = None

    def condition(self) -> tuple[sql.Composable, list[Any]]:
        """A condition on `ops.dead_letters` and its parameters."""
        wanted: list[tuple[str, list[Any]]] = [
            ("reason_code = %s", [self.reason]),
            ("topic = %s", [self.topic]),
            ("status = %s", [self.status]),
            ("created_at >= %s", [self.since]),
        ]
        said = [(text, values) for text, values in wanted if values != [None]]
        if self.places:
            said.append((AMONG, columns_of(self.places)))
        texts = [sql.SQL(text) for text, _ in said] or [sql.SQL("true")]
        return sql.SQL(" AND ").join(texts), [value for _, values in said for value in values]


@dataclass(frozen=True, slots=True, kw_only=True)
class Heading:
    """A letter in a list: without what may hold personal data."""

    topic: str
    partition: int
    offset: int
    reason_code: str
    status: str
    created_at: datetime
    updated_at: datetime
    payload_bytes: int | None
    replays: int

    @property
    def place(self) -> Place:
        return Place(self.topic, self.partition, self.offset)


@dataclass(frozen=True, slots=True, kw_only=True)
class Letter:
    """A letter as a whole. `received_at_us` is null in letters of versions that did not keep it."""

    topic: str
    partition: int
    offset: int
    key: bytes | None
    payload: bytes | None
    received_at_us: int | None
    reason_code: str
    reason: str
    contract_version: int
    status: str
    created_at: datetime
    updated_at: datetime

    @property
    def place(self) -> Place:
        return Place(self.topic, self.partition, self.offset)

    @property
    def received_ms(self) -> int:
        """When the record reached us, in the milliseconds that its header can say again; at the
        latest when it was rejected.
        """
        if self.received_at_us is not None:
            return self.received_at_us // 1000
        return int(self.created_at.timestamp() * 1000)


@contextmanager
def connected(endpoints: Endpoints) -> Iterator[Connection]:
    """A connection as the pipeline's role; every statement is its own transaction."""
    try:
        conninfo = pipeline_conninfo(endpoints.postgres)
        with psycopg.connect(conninfo, autocommit=True) as connection:
            connection.execute("SET TIME ZONE 'UTC'")
            yield connection
    except (psycopg.errors.UndefinedTable, psycopg.errors.UndefinedColumn) as error:
        raise ReplayFailed(
            "PostgreSQL lacks tables for dead letters: run `userflow init`."
        ) from error
    except psycopg.OperationalError as error:
        raise ServiceError(
            f"PostgreSQL does not answer ({type(error).__name__}): look at `userflow status`, "
            "then run this again."
        ) from error


def count_of_each(connection: Connection, selection: Selection) -> list[tuple[str, str, str, int]]:
    """(topic, reason, status, letters), most first."""
    condition, values = selection.condition()
    return [
        (topic, reason, status, count)
        for topic, reason, status, count in connection.execute(
            sql.SQL(COUNTS).format(condition), values
        )
    ]


def newest(connection: Connection, selection: Selection, limit: int) -> list[Heading]:
    """At most `limit` letters, the one that was rejected last first."""
    condition, values = selection.condition()
    with connection.cursor(row_factory=class_row(Heading)) as cursor:
        return cursor.execute(sql.SQL(NEWEST).format(condition), [*values, limit]).fetchall()


def places_of(connection: Connection, selection: Selection) -> list[tuple[Place, int]]:
    """The places that are meant, in their order, with the bytes of each payload."""
    condition, values = selection.condition()
    found = connection.execute(sql.SQL(PLACES).format(condition), values)
    return [(Place(topic, partition, offset), size) for topic, partition, offset, size in found]


def missing(connection: Connection, places: Sequence[Place]) -> list[Place]:
    """Those of the places at which no letter stands."""
    if not places:
        return []
    there = {place for place, _ in places_of(connection, Selection(places=tuple(places)))}
    return [place for place in places if place not in there]


def read(connection: Connection, places: Sequence[Place]) -> list[Letter]:
    """The letters at these places, in their order."""
    condition, values = Selection(places=tuple(places)).condition()
    with connection.cursor(row_factory=class_row(Letter)) as cursor:
        return cursor.execute(sql.SQL(LETTERS).format(condition), values).fetchall()


def read_one(connection: Connection, place: Place) -> Letter:
    """The letter at the place; raises `ReplayFailed` if there is none."""
    for letter in read(connection, [place]):
        return letter
    raise ReplayFailed(f"There is no dead letter {place}: `userflow dlq list` names those there.")


def columns_of(places: Sequence[Place]) -> list[Any]:
    """Three arrays for `unnest`."""
    return [
        [place.topic for place in places],
        [place.partition for place in places],
        [place.offset for place in places],
    ]
