"""What the dashboard reads from PostgreSQL: small, bounded queries over schema `online` and `dim`.

No query touches a table that grows with the events: segments, tests and jobs are few, alerts and
products are found by an index.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from types import MappingProxyType
from typing import Any

import polars as pl
import psycopg
from psycopg import sql
from psycopg.rows import dict_row

from serving.dashboard.group_tests import GROUPS
from serving.dashboard.kpis import HOUR
from serving.dashboard.messages import ALERTS, TIME

__all__ = ["DETAILS", "RATES", "SOURCES", "WINDOWS", "Progress", "Stored", "connect", "read"]

CONNECT_S = 2
SESSION = {"statement_timeout": "2s", "default_transaction_read_only": "on"}
MOST_ALERTS = 1_000
MOST_ROWS = 500
WINDOWS = ("1h", "24h", "7d")

RATES: dict[str, Any] = {
    "name": pl.String,
    "read_count": pl.Int64,
    "completion_rate": pl.Float64,
    "exit_rate": pl.Float64,
}
DETAILS: dict[str, Any] = {
    "product_id": pl.String,
    "name": pl.String,
    "category": pl.String,
    "cart_count_1h": pl.Int64,
    "purchase_count_1h": pl.Int64,
}
SOURCES: dict[str, Any] = {
    "topic": pl.String,
    "since": TIME,
    "seen": pl.Int64,
    "share": pl.Float64,
    "reason": pl.String,
}

_NEWEST_ALERTS = """
SELECT event_id, alert_type, severity, reason, value, threshold, event_at
FROM online.alerts WHERE event_at > %(since)s AND event_at <= %(until)s
ORDER BY event_at DESC LIMIT %(most)s"""

# Means of means, weighted: what they would be over all reads.
_RATES_BY = """
SELECT {by} AS name, sum(read_count_7d)::bigint AS read_count,
    sum(read_count_7d * avg_completion_rate_7d) / sum(read_count_7d) AS completion_rate,
    sum(read_count_7d * exit_rate_7d) / sum(read_count_7d) AS exit_rate
FROM online.segment_features WHERE read_count_7d > 0
GROUP BY 1 ORDER BY 2 DESC, 1 LIMIT %(most)s"""

_READING_TESTS = """
SELECT experiment_group AS "group", ui_version AS beside, {count} AS count, {rate} AS rate,
    {z} AS z, {p} AS p_value
FROM online.experiment_features ORDER BY 2, 1 LIMIT %(most)s"""

_SALES_TESTS = """
SELECT experiment_group AS "group", '' AS beside, {count} AS count, {rate} AS rate,
    {z} AS z, {p} AS p_value
FROM online.commerce_experiment_features ORDER BY 1 LIMIT %(most)s"""

_PROGRESS = """
SELECT job, epoch, committed_at, watermark, rows_in, rejected, offsets
FROM online.stream_progress ORDER BY job LIMIT %(most)s"""

_DEGRADED = """
SELECT topic, since, seen, share, reason FROM online.source_health
WHERE state = 'degraded' ORDER BY since LIMIT %(most)s"""

_DETAILS = """
SELECT wanted.id AS product_id, named.name, coalesce(lately.category, named.category) AS category,
    lately.cart_count_1h, lately.purchase_count_1h
FROM unnest(%(ids)s::text[]) AS wanted (id)
LEFT JOIN online.product_features AS lately ON lately.product_id = wanted.id
LEFT JOIN dim.products AS named ON named.product_id = wanted.id"""

Connection = psycopg.Connection[Any]
Rows = list[dict[str, Any]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """The last epoch of a job. `offsets`: by `topic/partition`, the next one to read."""

    job: str
    epoch: int
    committed_at: datetime
    watermark: datetime | None
    rows_in: int
    rejected: int
    offsets: Mapping[str, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Stored:
    """Frames by the schemas above; the tests by window, as `group_tests.GROUPS`."""

    alerts: pl.DataFrame
    by_genre: pl.DataFrame
    by_country: pl.DataFrame
    reading_tests: Mapping[str, pl.DataFrame]
    sales_tests: Mapping[str, pl.DataFrame]
    progress: Sequence[Progress]
    degraded: pl.DataFrame
    products: pl.DataFrame


def connect(conninfo: str) -> Connection:
    """A connection that gives up soon: on a host that is gone, on a slow query."""
    connection = psycopg.connect(
        conninfo,
        connect_timeout=CONNECT_S,
        tcp_user_timeout=CONNECT_S * 1000,
        application_name="userflow dashboard",
        row_factory=dict_row,
        autocommit=True,
    )
    for name, value in SESSION.items():
        connection.execute("SELECT set_config(%s, %s, false)", [name, value])
    return connection


def read(connection: Connection, *, as_of: datetime, products: Sequence[str]) -> Stored:
    """Everything, as of a time for what has windows; the details of these products."""

    def rows(statement: sql.SQL | sql.Composed, **given: object) -> Rows:
        return connection.execute(statement, {"most": MOST_ROWS, **given}).fetchall()

    def by(column: str) -> pl.DataFrame:
        statement = sql.SQL(_RATES_BY).format(by=sql.Identifier(column))
        return pl.DataFrame(rows(statement), schema=RATES)

    two_hours = {"since": as_of - 2 * HOUR, "until": as_of, "most": MOST_ALERTS}
    return Stored(
        alerts=pl.DataFrame(rows(sql.SQL(_NEWEST_ALERTS), **two_hours), schema=ALERTS),
        by_genre=by("genre"),
        by_country=by("country"),
        reading_tests={w: _groups(rows(_tests(_READING_TESTS, READS, w))) for w in WINDOWS},
        sales_tests={w: _groups(rows(_tests(_SALES_TESTS, SALES, w))) for w in WINDOWS},
        progress=[_progress(row) for row in rows(sql.SQL(_PROGRESS))],
        degraded=pl.DataFrame(rows(sql.SQL(_DEGRADED)), schema=SOURCES),
        products=pl.DataFrame(rows(sql.SQL(_DETAILS), ids=list(products)), schema=DETAILS),
    )


# What the columns of a test are called before their window.
READS = MappingProxyType({"count": "read_count", "rate": "exit_rate", "z": "z", "p": "p_value"})
SALES = MappingProxyType({**READS, "count": "session_count", "rate": "conversion_rate"})


def _tests(statement: str, names: Mapping[str, str], window: str) -> sql.Composed:
    columns = {part: sql.Identifier(f"{name}_{window}") for part, name in names.items()}
    return sql.SQL(statement).format(**columns)


def _groups(rows: Rows) -> pl.DataFrame:
    return pl.DataFrame(rows, schema=GROUPS)


def _progress(row: dict[str, Any]) -> Progress:
    return Progress(**{**row, "offsets": row["offsets"] or {}})
