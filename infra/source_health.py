"""Which sources are degraded, for `userflow status` and for readers of features."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg

from features.breaker import SourceHealth

__all__ = ["read_sources"]

READ = "SELECT topic, state, since, seen, share, reason FROM online.source_health ORDER BY topic"
START = datetime(1970, 1, 1, tzinfo=UTC)


def read_sources(connection: psycopg.Connection[Any]) -> list[SourceHealth]:
    """Every source that was ever degraded, as the recommender may read it; the others are fine.

    Raises `psycopg.errors.UndefinedTable` in a database that `userflow init` has not brought to it.
    """
    return [
        SourceHealth(
            topic=topic,
            is_degraded=state == "degraded",
            since_us=(since - START) // timedelta(microseconds=1),
            seen=seen,
            share=share,
            reason=reason,
        )
        for topic, state, since, seen, share, reason in connection.execute(READ)
    ]
