"""Rows of the serving copy: one round trip for all entities, and only the fields that are asked."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
from redis.asyncio import Redis

from features.columns import Column
from serving.online.reader import Entities
from serving.online.redis_values import reader_of
from serving.online.rows import Row, age_ms_of
from serving.online.served import ServedView

__all__ = ["RedisRows"]

STAMPS = ("event_at", "updated_at")


class RedisRows:
    """Reads hashes of the streams, and of the batch views."""

    def __init__(self, client: Redis) -> None:
        self._client = client

    async def read(
        self, view: ServedView, entities: Entities, columns: Sequence[Column]
    ) -> dict[str, Row]:
        """The rows that Redis has."""
        if view.batch_key:
            return await self._batch(view, entities, columns)
        pipeline = self._client.pipeline(transaction=False)
        names = [*STAMPS, *(column.name for column in columns)]
        for parts in entities.values():
            pipeline.hmget(view.key_of(parts), names)
        found = await pipeline.execute()
        return {
            entity_id: _row(view, entity_id, values, columns)
            for entity_id, values in zip(entities, found, strict=True)
            if values[1] is not None
        }

    async def _batch(
        self, view: ServedView, entities: Entities, columns: Sequence[Column]
    ) -> dict[str, Row]:
        pipeline = self._client.pipeline(transaction=False)
        pipeline.get(view.batch_version_key)
        pipeline.hmget(view.batch_key, ["|".join(parts) for parts in entities.values()])
        stamp, found = await pipeline.execute()
        if stamp is None:
            return {}
        updated_at = msgspec.json.decode(stamp)["updated_at"]
        rows = {i: msgspec.json.decode(row) for i, row in zip(entities, found, strict=True) if row}
        return {i: _batch_row(view, i, row, columns, updated_at) for i, row in rows.items()}


def _row(view: ServedView, entity_id: str, values: list[Any], columns: Sequence[Column]) -> Row:
    age_ms = age_ms_of(values[1])
    return Row(
        id=entity_id,
        features={
            column.name: None if text is None else reader_of(column)(text)
            for column, text in zip(columns, values[2:], strict=True)
        },
        event_at=values[0],
        updated_at=values[1],
        age_ms=age_ms,
        source="redis",
        is_stale=age_ms > view.stale_after_s * 1000,
    )


def _batch_row(
    view: ServedView, entity_id: str, row: Any, columns: Sequence[Column], updated_at: str
) -> Row:
    age_ms = age_ms_of(updated_at)
    return Row(
        id=entity_id,
        features={column.name: row.get(column.name) for column in columns},
        event_at=None,
        updated_at=updated_at,
        age_ms=age_ms,
        source="redis",
        is_stale=age_ms > view.stale_after_s * 1000,
    )
