"""What `userflow status` tells beside the services: sections, each read from PostgreSQL.

A section is a function from a connection to what programs get (`document`) and people (`lines`). A
new one is a line in SECTIONS. Where PostgreSQL does not answer nothing is known of any of them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg.rows import dict_row

from features.breaker import SourceHealth
from features.timestamps import to_iso
from infra.database import pipeline_conninfo
from infra.source_health import read_sources

__all__ = ["SECTIONS", "Section", "read_sections"]

Connection = psycopg.Connection[Any]
CONNECT_S = 2
NOTHING_DEGRADED = "No source is degraded."
NO_EPOCH = "No stream has run yet."
LAST_EPOCHS = """
SELECT DISTINCT ON (job) job, epoch, committed_at, watermark, rows_in, rows_out, rejected,
    extract(epoch FROM now() - committed_at)::float AS age_s
FROM ops.stream_epochs ORDER BY job, committed_at DESC"""


@dataclass(frozen=True, slots=True)
class Section:
    """`document` can be written as JSON; None where nothing is known."""

    document: object
    lines: Sequence[str]


def _sources(connection: Connection) -> Section:
    sources = read_sources(connection)
    degraded = [line for one in sources if one.is_degraded for line in _degraded(one)]
    document = {one.topic: _document(one) for one in sources}
    return Section(document, degraded or [NOTHING_DEGRADED])


def _epochs(connection: Connection) -> Section:
    with connection.cursor(row_factory=dict_row) as cursor:
        found = cursor.execute(LAST_EPOCHS).fetchall()
    lines = [
        f"{one['job']}: epoch {one['epoch']} {one['age_s']:,.0f} s ago, "
        f"watermark {one['watermark'] or 'none'}, {one['rows_in']:,} events in, "
        f"{one['rows_out']:,} rows out, {one['rejected']:,} rejected"
        for one in found
    ]
    return Section(found, lines or [NO_EPOCH])


SECTIONS: Mapping[str, Callable[[Connection], Section]] = {"epochs": _epochs, "sources": _sources}


def read_sections(url: str | None) -> dict[str, Section]:
    """Every section; `url` is None while PostgreSQL is known to be away."""
    if url is None:
        return _unknown("PostgreSQL does not answer")
    try:
        with psycopg.connect(pipeline_conninfo(url), connect_timeout=CONNECT_S) as connection:
            connection.read_only = True
            connection.execute("SET LOCAL statement_timeout = '1s'")
            return {name: read(connection) for name, read in SECTIONS.items()}
    except psycopg.errors.UndefinedTable:
        return _unknown("run `userflow init` first")
    except psycopg.Error as error:
        return _unknown(type(error).__name__)


def _unknown(why: str) -> dict[str, Section]:
    return {name: Section(None, [f"Not known: {why}."]) for name in SECTIONS}


def _degraded(source: SourceHealth) -> Sequence[str]:
    share = f"{source.share:.1%} of {source.seen:,} events in a minute broke the contract"
    return (
        f"{source.topic} is degraded since {to_iso(source.since_us)}.",
        f"  {share}, most of them with {source.reason}.",
        f"  Views: {', '.join(_views(source.topic)) or 'none'}.",
        f"  Look at `userflow dlq list --reason {source.reason}`; it clears by itself.",
    )


def _views(topic: str) -> list[str]:
    from features.views import views_of  # noqa: PLC0415 - mostly there is nothing to name

    return views_of(topic)


def _document(source: SourceHealth) -> dict[str, object]:
    return {
        "state": "degraded" if source.is_degraded else "ok",
        "since": to_iso(source.since_us),
        "share": source.share,
        "seen": source.seen,
        "reason": source.reason,
        "views": _views(source.topic),
    }
