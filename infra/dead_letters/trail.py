"""The audit trail: every try to replay a letter, and how it ended (`ops.dead_letter_replays`).

A try that sends something is written down before and ended after it. A process that dies between
the two leaves a try of which nobody knows how it ended; `unended` finds it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from psycopg import sql
from psycopg.rows import class_row

from features.validation import Rejected
from infra.dead_letters.judging import UNKNOWN_TOPIC
from infra.dead_letters.letters import Connection, Letter, Place, columns_of

__all__ = [
    "ARCHIVED",
    "INVALID",
    "KNOWN",
    "LOST",
    "SENT",
    "Try",
    "begin",
    "chain",
    "end",
    "refuse",
    "tries_of",
    "unended",
]

# How a try ended. A letter that came back, one way or another, has a status of its own.
SENT, ARCHIVED, KNOWN, LOST, INVALID = "sent", "archived", "known", "lost", "invalid"
STATUS = {SENT: "replayed", ARCHIVED: "archived", KNOWN: "archived"}
UNENDED = "unknown"

BEGIN = """
INSERT INTO ops.dead_letter_replays
    (topic, partition, "offset", started_at, outcome, contract_version, search_from)
SELECT topic, partition, "offset", clock_timestamp(), %s, %s, search_from
FROM unnest(%s::text[], %s::integer[], %s::bigint[], %s::bigint[])
    AS t (topic, partition, "offset", search_from)
RETURNING replay_id"""
END = """
UPDATE ops.dead_letter_replays r
SET outcome = %s, ended_at = clock_timestamp(), sent_offset = t.sent_offset
FROM unnest(%s::text[], %s::integer[], %s::bigint[], %s::bigint[])
    AS t (topic, partition, "offset", sent_offset)
WHERE (r.topic, r.partition, r."offset") = (t.topic, t.partition, t."offset")
    AND r.ended_at IS NULL"""
CLOSE = """
UPDATE ops.dead_letters SET status = %s, updated_at = clock_timestamp()
WHERE (topic, partition, "offset") IN
    (SELECT * FROM unnest(%s::text[], %s::integer[], %s::bigint[]))"""
REFUSE = """
INSERT INTO ops.dead_letter_replays (topic, partition, "offset", started_at, ended_at, outcome,
    contract_version, reason_code, reason)
VALUES (%s, %s, %s, clock_timestamp(), clock_timestamp(), %s, %s, %s, %s)"""
REASON_NOW = """
UPDATE ops.dead_letters SET reason_code = %s, reason = %s, contract_version = %s,
    updated_at = clock_timestamp()
WHERE topic = %s AND partition = %s AND "offset" = %s"""
TRIES = """
SELECT topic, partition, "offset", started_at, ended_at, outcome, contract_version, reason_code,
    reason, search_from, sent_offset,
    extract(epoch FROM clock_timestamp() - started_at)::float8 AS age_s
FROM ops.dead_letter_replays """
OF_LETTER = 'WHERE topic = %s AND partition = %s AND "offset" = %s ORDER BY replay_id'
WITHOUT_END = "WHERE ended_at IS NULL ORDER BY replay_id"
BEFORE = """
SELECT topic, partition, "offset" FROM ops.dead_letter_replays
WHERE topic = %s AND partition = %s AND sent_offset = %s"""
AFTER = """
SELECT l.topic, l.partition, l."offset" FROM ops.dead_letter_replays r
JOIN ops.dead_letters l
    ON (l.topic, l.partition, l."offset") = (r.topic, r.partition, r.sent_offset)
WHERE r.topic = %s AND r.partition = %s AND r."offset" = %s"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Try:
    """A row of the trail. What was sent went to the letter's own partition, at `sent_offset`."""

    topic: str
    partition: int
    offset: int
    started_at: datetime
    ended_at: datetime | None
    outcome: str
    contract_version: int | None
    reason_code: str | None
    reason: str | None
    search_from: int | None
    sent_offset: int | None
    age_s: float

    @property
    def place(self) -> Place:
        return Place(self.topic, self.partition, self.offset)


def begin(
    connection: Connection,
    places: Sequence[Place],
    version: int | None,
    search_from: Sequence[int | None],
) -> int:
    """Write down what is about to happen to letters that this version of a contract accepts.

    Returns a number larger than that of any try before.
    """
    values = [UNENDED, version, *columns_of(places), list(search_from)]
    return max(int(number) for (number,) in connection.execute(BEGIN, values))


def end(connection: Connection, outcome: str, sent: Mapping[Place, int | None]) -> None:
    """Say how the tries of these letters ended, and the letters' status; `sent`: at which offset
    each stands now.
    """
    if not sent:
        return
    columns = columns_of([*sent])
    with connection.transaction():
        connection.execute(END, [outcome, *columns, [*sent.values()]])
        if outcome in STATUS:
            connection.execute(CLOSE, [STATUS[outcome], *columns])


def refuse(
    connection: Connection, invalid: Iterable[tuple[Letter, Rejected]], version: int | None
) -> None:
    """These are still invalid: their rows say why today. `version`: of today's contract."""
    tries, rows = [], []
    for letter, now in invalid:
        place = (letter.topic, letter.partition, letter.offset)
        why = (now.reason_code, now.reason)
        tries.append((*place, INVALID, version, *why))
        # Without a contract nothing new is known of the event itself.
        if now.reason_code != UNKNOWN_TOPIC:
            rows.append((*why, version, *place))
    with connection.transaction(), connection.cursor() as cursor:
        cursor.executemany(REFUSE, tries)
        cursor.executemany(REASON_NOW, rows)


def tries_of(connection: Connection, place: Place) -> list[Try]:
    """Every try to replay the letter, the first one first."""
    values = [place.topic, place.partition, place.offset]
    with connection.cursor(row_factory=class_row(Try)) as cursor:
        return cursor.execute(sql.SQL(TRIES) + sql.SQL(OF_LETTER), values).fetchall()


def unended(connection: Connection) -> list[Try]:
    """Tries of which nobody knows how they ended; nobody else may be replaying."""
    with connection.cursor(row_factory=class_row(Try)) as cursor:
        return cursor.execute(sql.SQL(TRIES) + sql.SQL(WITHOUT_END)).fetchall()


def chain(connection: Connection, place: Place) -> list[Place]:
    """The letters of one event: what was rejected first, and each time that it came back."""
    first = place
    while found := _next(connection, BEFORE, first):
        first = found
    places = [first]
    while found := _next(connection, AFTER, places[-1]):
        places.append(found)
    return places


def _next(connection: Connection, query: str, place: Place) -> Place | None:
    found = connection.execute(query, [place.topic, place.partition, place.offset]).fetchone()
    return Place(*found) if found else None
