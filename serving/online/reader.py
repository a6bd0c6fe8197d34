"""The reader: Redis first, PostgreSQL for what Redis does not have and while it is away."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

from redis.exceptions import RedisError

from features.columns import Column
from serving.errors import Unavailable
from serving.online.rows import Row, unknown
from serving.online.served import ServedView, served_view

__all__ = ["OnlineReader", "RowStore"]

Entities = dict[str, tuple[str, ...]]


class RowStore(Protocol):
    """One of the two stores."""

    async def read(
        self, view: ServedView, entities: Entities, columns: Sequence[Column]
    ) -> dict[str, Row]:
        """The rows that it has, by id; raises `Unavailable` if it does not answer in time."""
        ...


class OnlineReader:
    """What everything reads features with, also in-process."""

    def __init__(self, redis: RowStore, postgres: RowStore) -> None:
        self._redis = redis
        self._postgres = postgres

    async def read(
        self, view: str, ids: Sequence[str], features: Sequence[str] | None = None
    ) -> list[Row]:
        """The rows of these entities, in their order; of unknown ones `features` is None.

        `features` None means all. Raises `NotFound` for a view or a feature that is not declared,
        `Unavailable` if PostgreSQL had to be asked and does not answer.
        """
        served = served_view(view)
        columns = served.columns(features)
        parsed = {entity_id: served.entity_of(entity_id) for entity_id in ids}
        entities = {name: parts for name, parts in parsed.items() if parts is not None}
        found = await self._found(served, entities, columns)
        return [found.get(entity_id) or unknown(entity_id) for entity_id in ids]

    async def _found(
        self, view: ServedView, entities: Entities, columns: Sequence[Column]
    ) -> dict[str, Row]:
        found: dict[str, Row] = {}
        if view.redis_key or view.batch_key:
            try:
                found = await self._redis.read(view, entities, columns)
            except (Unavailable, RedisError, OSError):
                found = {}
        missing = {name: parts for name, parts in entities.items() if name not in found}
        if missing:
            found |= await self._postgres.read(view, missing, columns)
        return found


def as_json(row: Row) -> dict[str, Any]:
    """The public form of a row."""
    document = {
        "id": row.id,
        "features": row.features,
        "event_at": row.event_at,
        "updated_at": row.updated_at,
        "age_ms": row.age_ms,
    }
    return {**document, "stale": True} if row.is_stale else document
