"""Redis, the serving copy: one hash for each row, written whole and guarded.

The hash holds the entity, the features that are not null, `event_at`, `updated_at`,
`feature_version`, and one field of ours: `_version`, the `generation:epoch` that wrote it. The
guard stands inside the hash so that both always live and expire together; readers skip it.

A feature that is a list may also have a key of its own (`FeatureView.redis_lists`): it is written
and it expires with the hash, and stands under the hash's guard.

One script call writes hundreds of rows: the names travel once, each row as one msgpack array with
nil for null, since arguments by the thousand cost the server more than the hashes do. A row whose
hash is of the same or a newer version is left alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor

import msgspec
import polars as pl
from redis import Redis
from redis.backoff import ExponentialBackoff
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import ResponseError
from redis.exceptions import TimeoutError as RedisTimeoutError
from redis.retry import Retry

from features.columns import Column, ColumnType
from features.views import VIEWS, FeatureView
from streaming.ports import Epoch, Output, no_refusals, refusals
from streaming.sinks.halves import in_halves
from streaming.sinks.redis_text import key_of, text_of

__all__ = ["VERSION_FIELD", "RedisSink"]

VERSION_FIELD = "_version"
ROWS_PER_CALL = 500
CALLS_AT_ONCE = 2
UTC = pl.Datetime("us", "UTC")
STAMPS = (
    Column("event_at", ColumnType.TIMESTAMP, "Newest event time in the row."),
    Column("updated_at", ColumnType.TIMESTAMP, "When its epoch was committed."),
    Column("feature_version", ColumnType.INT, "Version of the declaration."),
)

OLDER = """
local generation, epoch = tonumber(ARGV[1]), tonumber(ARGV[2])
local function is_older(stored)
  local g, e = string.match(stored, '^(%d+):(%d+)$')
  g, e = tonumber(g), tonumber(e)
  return g == nil or g < generation or (g == generation and e < epoch)
end
"""

# ARGV: generation, epoch, TTL in ms (0: only time passed), the names, then each row: its values,
# then its lists. KEYS: the hashes of all rows, then for each list those of all rows.
SCRIPT = (
    OLDER
    + """
local ttl = tonumber(ARGV[3])
local names, version = cmsgpack.unpack(ARGV[4]), ARGV[1] .. ':' .. ARGV[2]
local width, call, rows = #names, redis.call, #ARGV - 4
local lists = #KEYS / rows - 1
local fields = {'_version', version}
for row = 1, rows do
  local key = KEYS[row]
  local stored = call('HGET', key, '_version')
  local wanted, expiry = not stored or is_older(stored), ttl
  if wanted and ttl == 0 then
    expiry = call('PTTL', key)
    wanted = expiry > 0 or expiry == -1
  end
  if wanted then
    local values, n = cmsgpack.unpack(ARGV[4 + row]), 2
    for field = 1, width do
      local value = values[field]
      if value then
        fields[n + 1], fields[n + 2] = names[field], value
        n = n + 2
      end
    end
    call('HSET', key, unpack(fields, 1, n))
    -- Written over, which costs less than anew: a field that is null now may still stand there.
    if stored and call('HLEN', key) * 2 > n then
      call('DEL', key)
      call('HSET', key, unpack(fields, 1, n))
    end
    if expiry > 0 then call('PEXPIRE', key, expiry) end
    -- Time alone changes no list.
    for list = 1, ttl > 0 and lists or 0 do
      local of, items = KEYS[list * rows + row], values[width + list]
      call('DEL', of)
      if items and #items > 0 then
        call('RPUSH', of, unpack(items))
        call('PEXPIRE', of, ttl)
      end
    end
  end
end
"""
)

# ARGV: generation, epoch. KEYS: the hashes of entities that are no more.
DELETE = (
    OLDER
    + """
for row = 1, #KEYS do
  local stored = redis.call('HGET', KEYS[row], '_version')
  if stored and is_older(stored) then redis.call('DEL', KEYS[row]) end
end
"""
)


class RedisSink:
    """Follows PostgreSQL; a repeated epoch finds its own version and changes nothing."""

    name = "redis"

    def __init__(self, url: str, *, views: Mapping[str, FeatureView] = VIEWS) -> None:
        self._views = views
        self._client = Redis.from_url(
            url,
            retry=Retry(ExponentialBackoff(cap=2, base=0.1), retries=6),
            retry_on_error=[RedisConnectionError, RedisTimeoutError],
            socket_timeout=30,
            socket_connect_timeout=5,
        )
        self._calls = ThreadPoolExecutor(CALLS_AT_ONCE)
        self._encode = msgspec.msgpack.Encoder().encode
        self._script = self._client.register_script(SCRIPT)
        self._delete = self._client.register_script(DELETE)

    def write(self, epoch: Epoch, output: Output) -> pl.DataFrame:
        """Write every changed row of every view that has a Redis key, and drop what is gone.

        Refused is a row whose key holds something that is not ours.
        """
        refused = [no_refusals()]
        for name, entities in output.gone.items():
            if template := self._views[name].redis_key:
                keys = entities.select(key_of(template)).to_series().to_list()
                for at in range(0, len(keys), ROWS_PER_CALL):
                    chunk = keys[at : at + ROWS_PER_CALL]
                    self._delete(keys=chunk, args=[epoch.generation, epoch.number])
        for name, rows in output.rows.items():
            view = self._views[name]
            if not view.redis_key:
                continue
            # Events renew the time to live; the passing of time does not, and revives nothing.
            parts = rows.filter("by_event"), rows.filter(~pl.col("by_event"))
            for part, ttl_ms in zip(parts, (view.ttl_seconds * 1000, 0), strict=True):
                refused += self._put(view, epoch, part, ttl_ms=ttl_ms)
        return pl.concat(refused)

    def close(self) -> None:
        """Close the connections."""
        self._calls.shutdown()
        self._client.close()

    def _put(
        self, view: FeatureView, epoch: Epoch, rows: pl.DataFrame, *, ttl_ms: int
    ) -> list[pl.DataFrame]:
        if rows.is_empty():
            return []
        columns = (*view.columns, *STAMPS)
        names = self._encode([column.name for column in columns])
        head: list[int | bytes] = [epoch.generation, epoch.number, ttl_ms, names]
        stamped = rows.with_columns(
            updated_at=pl.lit(epoch.committed_at_us).cast(UTC),
            feature_version=pl.lit(view.version),
        )
        lists = [pl.col(name).alias(f"list:{name}") for name in view.redis_lists]
        texts = stamped.select(*map(text_of, columns), *lists).rows()
        templates = (view.redis_key, *view.redis_lists.values())
        keys = [stamped.select(key_of(one)).to_series().to_list() for one in templates]

        def call(part: range) -> None:
            chunk = slice(part.start, part.stop)
            args = [*head, *map(self._encode, texts[chunk])]
            self._script(keys=[key for of in keys for key in of[chunk]], args=args)

        # While the server works on one call, the next is made ready.
        chunks = (
            range(len(texts))[at : at + ROWS_PER_CALL] for at in range(0, len(texts), ROWS_PER_CALL)
        )
        refused = self._calls.map(lambda part: in_halves(part, call, _is_refusal), chunks)
        names_of = rows.select(pl.concat_str(view.key, separator="|")).to_series()
        return [
            refusals(self.name, view.name, names_of[part.start : part.stop], str(error))
            for found in refused
            for part, error in found
        ]


def _is_refusal(error: Exception) -> bool:
    return isinstance(error, ResponseError) and "WRONGTYPE" in str(error)
