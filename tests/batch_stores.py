"""A database of its own for the batch half, and rows to put into it.

The stack's PostgreSQL and Redis serve it, so it costs no start of a service, and what other tests
keep there does not meet what these put into `raw` and `marts`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict

from features.columns import sql_type
from features.marts import MARTS
from infra.database import PIPELINE
from infra.endpoints import Endpoints
from infra.initialise import _apply_ddl
from infra.settings import Settings
from infra.stack.credentials import Credentials

__all__ = ["DAY", "TOPIC", "fill", "load", "make_marts", "new_database", "reading", "settings_of"]

DAY = date(2026, 1, 15)
TOPIC = "webtoon_user_events"
NOON = datetime(DAY.year, DAY.month, DAY.day, 12, tzinfo=UTC)


def new_database(stack: Endpoints, stack_home: Path, name: str) -> Endpoints:
    """The endpoints of a database with our schemas, empty, and of a Redis database, empty too."""
    with psycopg.connect(stack.postgres, autocommit=True) as owner:
        for statement in ("DROP DATABASE IF EXISTS {} WITH (FORCE)", "CREATE DATABASE {}"):
            owner.execute(sql.SQL(statement).format(sql.Identifier(name)))
    database = conninfo_to_dict(stack.postgres)["dbname"]
    url = f"{stack.postgres.removesuffix(str(database))}{name}"
    _apply_ddl(url, Credentials(stack_home / "services" / "secrets.json"))
    return replace(stack, postgres=url, redis=f"{stack.redis}/7")


def settings_of(endpoints: Endpoints, home: Path, **more: Any) -> Settings:
    """The settings of a home that knows these endpoints."""
    endpoints.write(home)
    return Settings(home=home, lake="", kafka=None, postgres=None, redis=None, **more)


def reading(number: int, **other: Any) -> dict[str, Any]:
    """A canonical event of a reader."""
    return {
        "event_id": f"event-{number}",
        "user_id": f"reader-{number % 7}",
        "session_id": f"session-{number % 11}",
        "episode_id": "episode-1",
        "event_type": "scroll",
        "scroll_ratio": 0.5,
        "country": "KR",
        "device": "mobile",
        "platform": "ios",
        "timestamp": NOON.isoformat(),
        "extra": {},
        **other,
    }


def load(
    url: str,
    events: Iterable[Mapping[str, Any]],
    *,
    day: date = DAY,
    topic: str = TOPIC,
    at: Callable[[Mapping[str, Any]], datetime] | None = None,
) -> None:
    """These events become the day's of their topic, at noon unless `at` says when each was."""
    partition = sql.Identifier("raw", f"events_{day:%Y%m%d}")
    create = sql.SQL(
        "CREATE TABLE IF NOT EXISTS {} PARTITION OF raw.events FOR VALUES FROM ({}) TO ({})"
    ).format(partition, sql.Literal(day), sql.Literal(day + timedelta(days=1)))
    keys = ("event_id", "event_type", "user_id", "session_id")
    noon = NOON + (day - DAY)
    with psycopg.connect(url) as owner, owner.cursor() as cursor:
        cursor.execute("SET LOCAL client_min_messages = warning")
        cursor.execute(create)
        cursor.execute("DELETE FROM raw.events WHERE run_date = %s AND topic = %s", [day, topic])
        with cursor.copy("COPY raw.events FROM STDIN") as copy:
            for event in events:
                ids = (event.get(key) for key in keys)
                event_at = at(event) if at else noon
                copy.write_row((day, topic, *ids, event_at, json.dumps(event), "run", noon))


def make_marts(url: str) -> None:
    """The marts as declared, without a row; the pipeline owns them, as if dbt had made them."""
    with psycopg.connect(url) as owner:
        for mart in MARTS.values():
            name = sql.Identifier("marts", mart.name)
            columns = sql.SQL(", ").join(
                sql.SQL("{} {}").format(sql.Identifier(c.name), sql.SQL(sql_type(c)))
                for c in mart.columns
            )
            owner.execute(sql.SQL("DROP TABLE IF EXISTS {}").format(name))
            owner.execute(sql.SQL("CREATE TABLE {} ({})").format(name, columns))
            owner.execute(
                sql.SQL("ALTER TABLE {} OWNER TO {}").format(name, sql.Identifier(PIPELINE))
            )


def fill(url: str, schema: str, table: str, rows: Iterable[Mapping[str, Any]]) -> None:
    """Put rows of the same columns into a table."""
    with psycopg.connect(url) as owner, owner.cursor() as cursor:
        for row in rows:
            insert = sql.SQL("INSERT INTO {} ({}) VALUES ({})").format(
                sql.Identifier(schema, table),
                sql.SQL(", ").join(map(sql.Identifier, row)),
                sql.SQL(", ").join([sql.Placeholder()] * len(row)),
            )
            cursor.execute(insert, list(row.values()))
