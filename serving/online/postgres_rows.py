"""Rows of the online store itself: one query for all entities."""

from __future__ import annotations

from datetime import UTC, date, datetime
from functools import lru_cache
from typing import Any

import msgspec
from psycopg import sql

from features.columns import sql_type
from serving.online.plan import Found, Plan
from serving.online.ports import Entities
from serving.postgres import Postgres

__all__ = ["PostgresRows"]

TIME = "%Y-%m-%dT%H:%M:%S.%fZ"


class PostgresRows:
    """Reads `online.<view>`."""

    def __init__(self, postgres: Postgres) -> None:
        self._postgres = postgres

    async def read(self, plan: Plan, entities: Entities) -> dict[str, Found]:
        """The rows that are there."""
        asked = {i: parts for i, parts in entities.items() if _is_storable((i, *parts))}
        if not asked:
            return {}
        arrays = [list(parts) for parts in zip(*asked.values(), strict=True)]
        rows = await self._postgres.fetch(_query(plan), [list(asked), *arrays])
        return {row[0]: _found(row) for row in rows}


def _is_storable(texts: tuple[str, ...]) -> bool:
    """PostgreSQL holds no text with a NUL, nor half a character; so it has no such entity."""
    return not any("\0" in text or not _is_unicode(text) for text in texts)


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


@lru_cache(maxsize=256)
def _query(plan: Plan) -> sql.Composed:
    view = plan.view
    event_at = sql.SQL("t.event_at") if view.has_event_at else sql.SQL("NULL")
    features = (sql.Identifier("t", name) for name in plan.names)
    typed = (sql.SQL("%s::text[]::{}[]").format(_sql_type(column)) for column in view.entity)
    return sql.SQL(
        "SELECT given.id, {wanted} FROM unnest({given}) AS given (id, {keys}) "
        "JOIN online.{view} AS t USING ({keys})"
    ).format(
        wanted=sql.SQL(", ").join([event_at, sql.SQL("t.updated_at"), *features]),
        given=sql.SQL(", ").join([sql.SQL("%s::text[]"), *typed]),
        keys=sql.SQL(", ").join(map(sql.Identifier, view.key)),
        view=sql.Identifier(view.name),
    )


def _sql_type(column: Any) -> sql.SQL:
    return sql.SQL(sql_type(column))


def _found(row: tuple[Any, ...]) -> Found:
    _, event_at, updated_at, *values = row
    return Found(
        event_at=None if event_at is None else _time(event_at).encode(),
        updated_at=_time(updated_at).encode(),
        pieces=[msgspec.json.encode(_plain(value)) for value in values],
        source="postgres",
    )


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return _time(value)
    if isinstance(value, date):
        return value.isoformat()
    return value


def _time(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime(TIME)
