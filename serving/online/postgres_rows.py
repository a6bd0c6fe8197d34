"""Rows of the online store itself: one query for all entities."""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import UTC, date, datetime
from typing import Any

from psycopg import sql

from features.columns import Column, sql_type
from serving.online.reader import Entities
from serving.online.rows import Row, age_ms_of
from serving.online.served import ServedView
from serving.postgres import Postgres

__all__ = ["PostgresRows"]

TIME = "%Y-%m-%dT%H:%M:%S.%fZ"


class PostgresRows:
    """Reads `online.<view>`."""

    def __init__(self, postgres: Postgres) -> None:
        self._postgres = postgres

    async def read(
        self, view: ServedView, entities: Entities, columns: Sequence[Column]
    ) -> dict[str, Row]:
        """The rows that are there."""
        # PostgreSQL holds no text with a NUL, so it has no such entity.
        asked = {i: parts for i, parts in entities.items() if not any("\0" in p for p in parts)}
        arrays = [list(part) for part in zip(*asked.values(), strict=True)]
        if not arrays:
            return {}
        names = list(asked)
        rows = await self._postgres.fetch(_query(view, columns), [names, *arrays])
        return {row[0]: _row(view, row, columns) for row in rows}


def _query(view: ServedView, columns: Sequence[Column]) -> sql.Composed:
    stamps = [sql.SQL("t.event_at") if view.has_event_at else sql.SQL("NULL")]
    wanted = [*stamps, sql.SQL("t.updated_at"), *(sql.Identifier("t", c.name) for c in columns)]
    given = [sql.SQL("%s::text[]")]
    given += [sql.SQL("%s::text[]::" + sql_type(column) + "[]") for column in view.entity]
    keys = sql.SQL(", ").join(map(sql.Identifier, view.key))
    return sql.SQL(
        "SELECT given.id, {wanted} FROM unnest({given}) AS given (id, {keys}) "
        "JOIN online.{view} AS t USING ({keys})"
    ).format(
        wanted=sql.SQL(", ").join(wanted),
        given=sql.SQL(", ").join(given),
        keys=keys,
        view=sql.Identifier(view.name),
    )


def _row(view: ServedView, row: tuple[Any, ...], columns: Sequence[Column]) -> Row:
    entity_id, event_at, updated_at, *values = row
    updated = _as_json(updated_at)
    age_ms = age_ms_of(updated)
    return Row(
        id=entity_id,
        features={c.name: _as_json(value) for c, value in zip(columns, values, strict=True)},
        event_at=_as_json(event_at),
        updated_at=updated,
        age_ms=age_ms,
        source="postgres",
        is_stale=age_ms > view.stale_after_s * 1000,
    )


def _as_json(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.astimezone(UTC).strftime(TIME)
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
