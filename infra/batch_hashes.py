"""Batch views in Redis: one hash for each view, entity id -> its row as JSON, replaced as a whole.

A reader that asks for several ids in one HMGET gets them of one publication. What is null is left
out of a row; the parts of a composite id are joined with `|`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from itertools import islice
from typing import Any

import msgspec
from redis import Redis

from features.batch_views import BatchView

__all__ = ["TTL_MS", "BatchHashes", "Stamp"]

# A view that nobody publishes any more vanishes; PostgreSQL keeps it.
TTL_MS = 2 * 24 * 3_600_000
# What a publication that died has loaded.
LOADING_TTL_S = 3_600
ROWS_PER_CALL = 1_000

# KEYS: the hash, its stamp, the loaded hash, the place for the old one. ARGV: version, stamp, how
# many fields were loaded, TTL in ms. The old hash steps aside first: a RENAME over it would free it
# while every client waits.
SWAP = """
local stored = redis.call('GET', KEYS[2])
if stored and cjson.decode(stored).version > tonumber(ARGV[1]) then
  redis.call('UNLINK', KEYS[3])
  return 0
end
if redis.call('HLEN', KEYS[3]) ~= tonumber(ARGV[3]) then return -1 end
if redis.call('EXISTS', KEYS[1]) == 1 then
  redis.call('RENAME', KEYS[1], KEYS[4])
  redis.call('UNLINK', KEYS[4])
end
if tonumber(ARGV[3]) > 0 then
  redis.call('RENAME', KEYS[3], KEYS[1])
  redis.call('PEXPIRE', KEYS[1], ARGV[4])
end
redis.call('SET', KEYS[2], ARGV[2], 'PX', ARGV[4])
return 1
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stamp:
    """Which publication a view is of; `version` grows with each."""

    version: int
    as_of_date: date
    updated_at: datetime
    rows: int


class BatchHashes:
    """Fills hashes beside the ones that are read, and lets them take their place."""

    def __init__(self, client: Redis) -> None:
        self._client = client
        self._swap = client.register_script(SWAP)

    def load(self, view: BatchView, version: int, rows: Iterable[Mapping[str, Any]]) -> int:
        """Fill a hash that nobody reads yet; returns how many fields it has."""
        key, fields = _loading(view, version), 0
        self._client.unlink(key)
        left = iter(rows)
        while some := dict(_field(view, row) for row in islice(left, ROWS_PER_CALL)):
            fields += self._client.hset(key, mapping=some)
            self._client.expire(key, LOADING_TTL_S)
        return fields

    def swap(
        self, view: BatchView, stamp: Stamp, fields: int, *, ttl_ms: int = TTL_MS
    ) -> bool | None:
        """Let readers see what was loaded. False if they see a newer version already; None if what
        was loaded is not there any more, and then they see what they saw.
        """
        loading = _loading(view, stamp.version)
        keys = [view.redis_key, view.redis_version_key, loading, f"{loading}:old"]
        arguments: list[int | bytes] = [stamp.version, msgspec.json.encode(stamp), fields, ttl_ms]
        return {1: True, 0: False, -1: None}[int(self._swap(keys=keys, args=arguments))]

    def read(self, view: BatchView, ids: Sequence[str]) -> list[dict[str, Any] | None]:
        """The rows of these entities, all of one publication; None where there is none."""
        found = self._client.hmget(view.redis_key, list(ids))
        return [None if row is None else msgspec.json.decode(row) for row in found]


def _field(view: BatchView, row: Mapping[str, Any]) -> tuple[Any, Any]:
    entity = "|".join(str(row[name]) for name in view.key)
    return entity, msgspec.json.encode({k: v for k, v in row.items() if v is not None})


def _loading(view: BatchView, version: int) -> str:
    return f"batch_loading:{view.name}:{version}"
