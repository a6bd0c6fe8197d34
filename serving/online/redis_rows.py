"""Rows of the serving copy: one round trip for all entities, and only the fields that are asked."""

from __future__ import annotations

from typing import Any

import msgspec

from features.columns import ColumnType
from features.timestamps import parse_timestamp, to_iso
from serving.online.plan import Found, Plan
from serving.online.ports import Entities
from serving.online.redis_link import RedisLink, command

__all__ = ["RedisRows"]

NULL = b"null"


class RedisRows:
    """Reads the hashes of the streams, and those of the batch views."""

    def __init__(self, link: RedisLink) -> None:
        self._link = link

    async def read(self, plan: Plan, entities: Entities) -> dict[str, Found]:
        """The rows that Redis has."""
        if plan.view.batch_key:
            return await self._of_batch(plan, entities)
        if not plan.view.redis_key:
            return {}
        key_of, hmget = plan.view.key_of, plan.hmget
        payload = b"".join([hmget(key_of(parts)) for parts in entities.values()])
        replies = await self._link.call(payload, len(entities))
        found = {}
        for entity_id, reply in zip(entities, replies, strict=True):
            # Anything else is an error of Redis, as for a key that holds no hash.
            if type(reply) is list and (row := plan.from_hash(reply)) is not None:
                found[entity_id] = row
        return found

    async def _of_batch(self, plan: Plan, entities: Entities) -> dict[str, Found]:
        view = plan.view
        fields = ["|".join(parts).encode("utf-8", "surrogatepass") for parts in entities.values()]
        payload = command("GET", view.batch_version_key) + command("HMGET", view.batch_key, *fields)
        stamp, rows = await self._link.call(payload, 2)
        if type(stamp) is not bytes or type(rows) is not list:
            return {}
        updated_at = _spelled(msgspec.json.decode(stamp, type=_Stamp).updated_at).encode()
        given = zip(entities, rows, strict=True)
        return {i: _from_json(plan, row, updated_at) for i, row in given if row is not None}


class _Stamp(msgspec.Struct):
    updated_at: str


def _from_json(plan: Plan, row: bytes, updated_at: bytes) -> Found:
    values = msgspec.json.decode(row, type=dict[str, msgspec.Raw])
    pieces = [bytes(values.get(name, NULL)) for name in plan.names]
    for i, column in enumerate(plan.columns):
        if column.type is ColumnType.TIMESTAMP:
            pieces[i] = _respelled(pieces[i])
    return Found(None, updated_at, pieces, "redis")


def _respelled(piece: bytes) -> bytes:
    """A time as all other views have it: in UTC, with microseconds."""
    value: Any = msgspec.json.decode(piece)
    return piece if value is None else msgspec.json.encode(_spelled(value))


def _spelled(moment: str) -> str:
    return to_iso(parse_timestamp(moment))
