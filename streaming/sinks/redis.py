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

from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, NamedTuple

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
from streaming.ports import Epoch, Output, Sink, Write, no_refusals, refusals
from streaming.sinks.halves import in_halves
from streaming.sinks.redis_text import from_text, key_of, text_of

__all__ = ["VERSION_FIELD", "RedisSink"]

VERSION_FIELD = "_version"
ROWS_PER_CALL = 500
CALLS_AT_ONCE = 2
KEYS_PER_SCAN = 5_000
UTC = pl.Datetime("us", "UTC")
VERSION = ("generation", "epoch", "updated_at")
STAMPS = (
    Column("event_at", ColumnType.TIMESTAMP, "Newest event time in the row."),
    Column("updated_at", ColumnType.TIMESTAMP, "When its epoch was committed."),
    Column("feature_version", ColumnType.INT, "Version of the declaration."),
)

OLDER = """
local generation, epoch = tonumber(ARGV[1]), tonumber(ARGV[2])
local function is_older(stored)
  local g, e = string.match(stored, '^(%d+):(-?%d+)$')
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
local fields, written = {'_version', version}, 0
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
    written = written + 1
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
return written
"""
)

# ARGV: generation, epoch, how many rows. KEYS: as above, of entities that are no more.
DELETE = (
    OLDER
    + """
local rows, deleted = tonumber(ARGV[3]), 0
for row = 1, rows do
  local stored = redis.call('HGET', KEYS[row], '_version')
  if stored and is_older(stored) then
    deleted = deleted + 1
    for at = row, #KEYS, rows do redis.call('DEL', KEYS[at]) end
  end
end
return deleted
"""
)


class _Run(NamedTuple):
    """Rows of one version, which lie side by side. `ttl_ms` 0: only time passed."""

    generation: int
    epoch: int
    ttl_ms: int
    rows: range


class _Ready(NamedTuple):
    """Rows of a view as the script takes them: the names of their fields, their keys (see `_keys`),
    the values of each in msgpack, and what their entities are called.
    """

    view: str
    names: bytes
    keys: list[list[str]]
    rows: list[bytes]
    entities: pl.Series


class _Sent(NamedTuple):
    """How many hashes were written, as they were not there, and what was refused."""

    written: int
    refused: list[pl.DataFrame]


class RedisSink(Sink):
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

    def prepared(self, epoch: Epoch, output: Output) -> Write:
        """Write every changed row of every view that has a Redis key, and drop what is gone.

        Refused is a row whose key holds something that is not ours.
        """
        ready = [
            one
            for name, rows in output.rows.items()
            if self._views[name].redis_key
            for one in self._changed(self._views[name], epoch, rows)
        ]

        def write() -> pl.DataFrame:
            for name, entities in output.gone.items():
                if self._views[name].redis_key:
                    self.drop(name, entities, (epoch.generation, epoch.number))
            refused = [one for rows, run in ready for one in self._send(rows, [run]).refused]
            return pl.concat([no_refusals(), *refused])

        return write

    def restore(self, name: str, rows: pl.DataFrame, *, now_us: int) -> int:
        """Write rows as `online.<name>` has them, each in the version that it has there.

        A hash of the same or a newer version stays; a row whose time to live is over is left out,
        others get what remains of it. Returns how many hashes were written.
        """
        view = self._views[name]
        ends = pl.col("updated_at").dt.timestamp("us") + view.ttl_seconds * 1_000_000
        left_ms = (ends - now_us) // 1000
        alive = rows.with_columns(left_ms=left_ms).filter(pl.col("left_ms") > 0).sort(VERSION)
        return self._send(self._ready(view, alive), _runs_of(alive)).written

    def drop(self, name: str, entities: pl.DataFrame, version: tuple[int, int]) -> int:
        """Delete what Redis has of these entities, unless it is of that version (generation, epoch)
        or a newer one. Returns how many hashes were deleted.
        """
        keys = self._keys(self._views[name], entities)
        deleted = 0
        for at in range(0, entities.height, ROWS_PER_CALL):
            chunk = [of[at : at + ROWS_PER_CALL] for of in keys]
            args = [*version, len(chunk[0])]
            deleted += int(self._delete(keys=[key for of in chunk for key in of], args=args))
        return deleted

    def keys(self, name: str) -> Iterator[list[str]]:
        """Of the hashes that entities of a view may have, some thousands at a time; one may come
        twice, and be of another view.
        """
        pattern = self._views[name].redis_key.partition("{")[0] + "*"
        place = 0
        while True:
            place, keys = self._client.scan(place, pattern, KEYS_PER_SCAN, _type="hash")
            # What is no text is none of ours.
            yield [key.decode(errors="replace") for key in keys if isinstance(key, bytes)]
            if not place:
                return

    def close(self) -> None:
        """Close the connections."""
        self._calls.shutdown()
        self._client.close()

    def entities(self, name: str, keys: Iterable[str]) -> pl.DataFrame:
        """Whose hashes stand under these keys."""
        view = self._views[name]
        pipeline = self._client.pipeline(transaction=False)
        for key in keys:
            pipeline.hmget(key, view.key)
        # A hash may have expired since it was found.
        known = [[part.decode() for part in of] for of in pipeline.execute() if None not in of]
        texts = pl.DataFrame(known, schema=dict.fromkeys(view.key, pl.String), orient="row")
        return texts.select(map(from_text, view.entity))

    def _changed(
        self, view: FeatureView, epoch: Epoch, rows: pl.DataFrame
    ) -> Iterator[tuple[_Ready, _Run]]:
        """Events renew the time to live; the passing of time does not, and revives nothing."""
        stamped = rows.with_columns(
            updated_at=pl.lit(epoch.committed_at_us).cast(UTC),
            feature_version=pl.lit(view.version),
        )
        parts = stamped.filter("by_event"), stamped.filter(~pl.col("by_event"))
        for part, ttl_ms in zip(parts, (view.ttl_seconds * 1000, 0), strict=True):
            if part.height:
                run = _Run(epoch.generation, epoch.number, ttl_ms, range(part.height))
                yield self._ready(view, part), run

    def _ready(self, view: FeatureView, rows: pl.DataFrame) -> _Ready:
        """The rows as the script takes them."""
        columns = (*view.columns, *STAMPS)
        lists = [pl.col(name).alias(f"list:{name}") for name in view.redis_lists]
        texts = rows.select(*map(text_of, columns), *lists)
        return _Ready(
            view.name,
            self._encode([column.name for column in columns]),
            self._keys(view, rows),
            list(map(self._encode, texts.iter_rows())),
            rows.select(pl.concat_str(view.key, separator="|")).to_series(),
        )

    def _send(self, ready: _Ready, runs: Iterable[_Run]) -> _Sent:
        """Write those rows."""
        written = [0]

        def call(run: _Run, part: range) -> None:
            chunk = slice(part.start, part.stop)
            args: list[int | bytes] = [run.generation, run.epoch, run.ttl_ms, ready.names]
            args += ready.rows[chunk]
            found = self._script(keys=[key for of in ready.keys for key in of[chunk]], args=args)
            written.append(int(found))

        def send(run: _Run) -> list[tuple[range, Exception]]:
            return in_halves(run.rows, partial(call, run), _is_refusal)

        # While the server works on one call, the next is made ready.
        refused = [one for found in self._calls.map(send, _calls_of(runs)) for one in found]
        return _Sent(
            sum(written),
            [
                refusals(self.name, ready.view, ready.entities[part.start : part.stop], str(error))
                for part, error in refused
            ],
        )

    def _keys(self, view: FeatureView, rows: pl.DataFrame) -> list[list[str]]:
        """The keys of the hashes of all rows, then for each list those of all rows."""
        templates = (view.redis_key, *view.redis_lists.values())
        return [rows.select(key_of(one)).to_series().to_list() for one in templates]


def _is_refusal(error: Exception) -> bool:
    return isinstance(error, ResponseError) and "WRONGTYPE" in str(error)


def _runs_of(rows: pl.DataFrame) -> Iterator[_Run]:
    """The runs of rows that are in order of version, with `left_ms`."""
    first = 0
    groups: Any = rows.group_by(VERSION, maintain_order=True).agg(pl.first("left_ms"), pl.len())
    for generation, epoch, _, left_ms, count in groups.iter_rows():
        yield _Run(generation, epoch, left_ms, range(first, first + count))
        first += count


def _calls_of(runs: Iterable[_Run]) -> Iterator[_Run]:
    for run in runs:
        for at in range(0, len(run.rows), ROWS_PER_CALL):
            yield run._replace(rows=run.rows[at : at + ROWS_PER_CALL])
