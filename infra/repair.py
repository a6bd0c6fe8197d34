"""Wiring of repairs: Redis becomes again what PostgreSQL says, while a stream may run.

What the stream writes meanwhile is newer and stays. Its epochs that only let time pass write no
hash that is not there, and those that delete find nothing to delete yet; so what changed during the
first pass is looked at once more, and what PostgreSQL has no more is dropped at the end.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import polars as pl
import psycopg
from redis import Redis
from redis.exceptions import RedisError

from features.batch_views import BatchView
from features.marts import PUBLISHED
from features.views import VIEWS, FeatureView
from infra.database import pipeline_conninfo
from infra.endpoints import Endpoints
from infra.errors import RepairFailed
from infra.publish import restore_published
from streaming.jobs import JOBS
from streaming.sinks.postgres_online import BEFORE_ALL, OnlineTables, Version
from streaming.sinks.redis import RedisSink
from streaming.sinks.redis_text import key_of

__all__ = ["Repaired", "ViewRepaired", "repair_redis", "served_views"]

SAY_EVERY_S = 5.0
# While one chunk is written the next is made ready, and the one after it read.
CHUNKS_AT_ONCE = 2
# Behind all others, so that every hash has a place before the end.
LAST_HASH = pl.Series([2**64 - 1], dtype=pl.UInt64)
Say = Callable[[str], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class ViewRepaired:
    """`rows`: how many PostgreSQL has that are young enough; `written`: how many of them Redis
    lacked or had older; `dropped`: how many it had that PostgreSQL has not.
    """

    rows: int
    written: int
    dropped: int
    seconds: float

    def to_json(self) -> dict[str, object]:
        """The public form."""
        return {
            "rows": self.rows,
            "written": self.written,
            "dropped": self.dropped,
            "seconds": round(self.seconds, 2),
            "rows_per_second": round(self.rows / self.seconds),
        }


@dataclass(frozen=True, slots=True)
class Repaired:
    """What was done, by view."""

    views: Mapping[str, ViewRepaired]

    def to_json(self) -> dict[str, object]:
        """The public form."""
        return {"views": {name: view.to_json() for name, view in self.views.items()}}


def served_views() -> list[str]:
    """The views that Redis serves: of the streams, and published ones."""
    return [*(view.name for view in VIEWS.values() if view.redis_key), *PUBLISHED]


def repair_redis(
    names: Iterable[str],
    *,
    endpoints: Endpoints,
    say: Say,
    views: Mapping[str, FeatureView] = VIEWS,
) -> Repaired:
    """Bring Redis to what PostgreSQL has of these views. Raises `RepairFailed`."""
    chosen = list(names)
    try:
        streamed = _repair_streamed([views[n] for n in chosen if n in views], views, endpoints, say)
        published = _repair_published(
            [PUBLISHED[n] for n in chosen if n not in views], endpoints, say
        )
    except (psycopg.OperationalError, RedisError) as error:
        store = "Redis" if isinstance(error, RedisError) else "PostgreSQL"
        raise RepairFailed(
            f"{store} did not answer ({type(error).__name__}), so the repair stopped half-way: "
            "what is written is right; start `userflow repair redis` again when it answers."
        ) from error
    return Repaired(streamed | published)


def _repair_streamed(
    chosen: Sequence[FeatureView], views: Mapping[str, FeatureView], endpoints: Endpoints, say: Say
) -> dict[str, ViewRepaired]:
    with (
        closing(OnlineTables(pipeline_conninfo(endpoints.postgres))) as tables,
        closing(RedisSink(endpoints.redis, views=views)) as sink,
    ):
        return {view.name: _View(view, tables, sink, say).repair() for view in chosen}


def _repair_published(
    chosen: Sequence[BatchView], endpoints: Endpoints, say: Say
) -> dict[str, ViewRepaired]:
    """A published view is one hash, which is replaced as a whole."""
    done = {}
    with (
        psycopg.connect(pipeline_conninfo(endpoints.postgres), autocommit=True) as connection,
        closing(Redis.from_url(endpoints.redis, socket_timeout=30)) as client,
    ):
        for view in chosen:
            started = time.perf_counter()
            rows = restore_published(view, connection, client)
            seconds = time.perf_counter() - started
            say(f"{view.name}: {rows:,} published rows")
            done[view.name] = ViewRepaired(rows=rows, written=rows, dropped=0, seconds=seconds)
    return done


@dataclass(frozen=True, slots=True)
class _View:
    view: FeatureView
    tables: OnlineTables
    sink: RedisSink
    say: Say

    def repair(self) -> ViewRepaired:
        started = time.perf_counter()
        newest = self._newest_epoch()
        rows, written = self._restore(BEFORE_ALL)
        if newest is not None:
            _, again = self._restore(newest)
            written += again
        dropped = self._drop()
        done = ViewRepaired(
            rows=rows, written=written, dropped=dropped, seconds=time.perf_counter() - started
        )
        rate = round(rows / done.seconds)
        self.say(
            f"{self.view.name}: {rows:,} rows ({rate:,}/s), "
            f"{written:,} written, {dropped:,} dropped"
        )
        return done

    def _restore(self, after: Version) -> tuple[int, int]:
        """Write what is younger than its time to live; returns how many are and were written."""
        since = datetime.now(UTC) - timedelta(seconds=self.view.ttl_seconds)
        rows, written, said = 0, 0, time.monotonic()
        for count, wrote in self._written(self.tables.rows(self.view, since=since, after=after)):
            rows, written = rows + count, written + wrote
            if time.monotonic() - said > SAY_EVERY_S:
                self.say(f"{self.view.name}: {rows:,} rows so far")
                said = time.monotonic()
        return rows, written

    def _written(self, chunks: Iterable[pl.DataFrame]) -> Iterator[tuple[int, int]]:
        """Of each chunk how many rows it has and how many were written."""

        def write(chunk: pl.DataFrame) -> tuple[int, int]:
            now_us = time.time_ns() // 1000
            return chunk.height, self.sink.restore(self.view.name, chunk, now_us=now_us)

        under_way: deque[Future[tuple[int, int]]] = deque()
        with ThreadPoolExecutor(CHUNKS_AT_ONCE) as pool:
            for chunk in chunks:
                under_way.append(pool.submit(write, chunk))
                if len(under_way) > CHUNKS_AT_ONCE:
                    yield under_way.popleft().result()
            yield from (one.result() for one in under_way)

    def _drop(self) -> int:
        """Delete what PostgreSQL has no more: an entity that comes back is of a newer epoch."""
        newest = self._newest_epoch()
        if newest is None:  # nobody knows what Redis holds then
            return 0
        generation, epoch = newest
        return sum(
            self.sink.drop(self.view.name, gone, (generation, epoch + 1)) for gone in self._gone()
        )

    def _gone(self) -> Iterator[pl.DataFrame]:
        """Entities that Redis has and PostgreSQL has not: who is asked for is only who has a key
        that no row has, and that is next to nobody.
        """
        key = key_of(self.view.redis_key).hash()
        of_rows = [chunk.select(key).to_series() for chunk in self.tables.keys(self.view)]
        known = pl.concat([*of_rows, LAST_HASH]).sort()
        for keys in self.sink.keys(self.view.name):
            if strange := _others(keys, known):
                yield self.tables.missing(self.view, self.sink.entities(self.view.name, strange))

    def _newest_epoch(self) -> Version | None:
        jobs = [job.name for job in JOBS.values() if self.view.topic in job.topics]
        return self.tables.newest_epoch(jobs[0])


def _others(keys: list[str], known: pl.Series) -> list[str]:
    """The keys whose hashes are not among the sorted ones."""
    mine = pl.DataFrame({"key": keys}, schema={"key": pl.String})
    hashes = mine.select(pl.col("key").hash()).to_series()
    nearest = known.gather(known.search_sorted(hashes))
    return mine.filter(hashes != nearest).to_series().to_list()
