"""The health of sources in PostgreSQL: a row for each in `ops.source_health`, and the alerts.

A connection for each call: changes are rare, and this thread may come upon any outage.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg

from features.breaker import Limits, SourceHealth
from features.timestamps import to_iso
from streaming.source_watch import HealthStoreAway

__all__ = ["PostgresHealthStore", "alert_id"]

CONNECT_S = 5
START = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)
Connection = psycopg.Connection[tuple[Any, ...]]

DEGRADED = "SELECT topic, since FROM ops.source_health WHERE state = 'degraded'"
PUT_HEALTH = """
INSERT INTO ops.source_health (topic, state, since, seen, share, reason)
VALUES (%s, %s, %s, %s, %s, %s)
ON CONFLICT (topic) DO UPDATE SET state = excluded.state, since = excluded.since,
    seen = excluded.seen, share = excluded.share, reason = excluded.reason"""
PUT_ALERT = """
INSERT INTO ops.alerts (user_id, event_id, alert_type, severity, reason, value, threshold, event_at)
VALUES (NULL, %s, 'contract_breach', 'HIGH', %s, %s, %s, %s) ON CONFLICT DO NOTHING"""


class PostgresHealthStore:
    """`conninfo` already names the role to act as."""

    def __init__(self, conninfo: str) -> None:
        self._conninfo = conninfo

    def degraded(self) -> Mapping[str, int]:
        """The topics that are degraded, and since when (microseconds)."""
        with self._connection() as connection:
            found = connection.execute(DEGRADED).fetchall()
        return {topic: (since - START) // MICROSECOND for topic, since in found}

    def put(self, health: SourceHealth, limits: Limits) -> None:
        """Row and alert in one transaction."""
        since = START + health.since_us * MICROSECOND
        state = "degraded" if health.is_degraded else "ok"
        row = (health.topic, state, since, health.seen, health.share, health.reason)
        with self._connection() as connection:
            connection.execute(PUT_HEALTH, row)
            if health.is_degraded:
                alert = (_reason(health, limits), health.share, limits.share, since)
                connection.execute(PUT_ALERT, (alert_id(health), *alert))

    @contextmanager
    def _connection(self) -> Iterator[Connection]:
        """A transaction: committed at the end of the block."""
        try:
            with psycopg.connect(self._conninfo, connect_timeout=CONNECT_S) as connection:
                connection.execute("SET LOCAL statement_timeout = '10s'")
                yield connection
        except psycopg.Error as error:
            # Its text may hold what was to be written.
            raise HealthStoreAway(type(error).__name__) from error


def alert_id(health: SourceHealth) -> str:
    """The same for every attempt to raise one alert: the topic, and since when it is degraded."""
    return f"{health.topic}/{to_iso(health.since_us)}"


def _reason(health: SourceHealth, limits: Limits) -> str:
    return (
        f"{health.share:.0%} of the {health.seen} events of {health.topic} in the last minute "
        f"break the contract, most of them with {health.reason}; {limits.share:.0%} are allowed."
    )
