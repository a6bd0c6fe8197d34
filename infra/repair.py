"""Wiring of repairs: Redis becomes again what PostgreSQL says, while a stream may run.

What the stream writes meanwhile is newer and stays. Its epochs that only let time pass write no
hash that is not there, and those that delete find nothing to delete yet; so what changed during the
first pass is looked at once more, and what PostgreSQL has no more is dropped at the end.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import psycopg
from redis.exceptions import RedisError

from features.views import VIEWS, FeatureView
from infra.database import pipeline_conninfo
from infra.endpoints import Endpoints
from infra.errors import RepairFailed
from streaming.jobs import JOBS
from streaming.sinks.postgres_online import BEFORE_ALL, OnlineTables, Version
from streaming.sinks.redis import RedisSink

__all__ = ["Repaired", "ViewRepaired", "repair_redis", "served_views"]

SAY_EVERY_S = 5.0
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
    """The views that Redis serves."""
    return [view.name for view in VIEWS.values() if view.redis_key]


def repair_redis(
    names: Iterable[str],
    *,
    endpoints: Endpoints,
    say: Say,
    views: Mapping[str, FeatureView] = VIEWS,
) -> Repaired:
    """Bring Redis to what PostgreSQL has of these views. Raises `RepairFailed`."""
    try:
        sink = RedisSink(endpoints.redis, views=views)
        with (
            closing(OnlineTables(pipeline_conninfo(endpoints.postgres))) as tables,
            closing(sink),
        ):
            return Repaired(
                {name: _View(views[name], tables, sink, say).repair() for name in names}
            )
    except (psycopg.OperationalError, RedisError) as error:
        store = "Redis" if isinstance(error, RedisError) else "PostgreSQL"
        raise RepairFailed(
            f"{store} did not answer ({type(error).__name__}), so the repair stopped half-way: "
            "what is written is right; start `userflow repair redis` again when it answers."
        ) from error


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
        for chunk in self.tables.rows(self.view, since=since, after=after):
            written += self.sink.restore(self.view.name, chunk, now_us=time.time_ns() // 1000)
            rows += chunk.height
            if time.monotonic() - said > SAY_EVERY_S:
                self.say(f"{self.view.name}: {rows:,} rows so far")
                said = time.monotonic()
        return rows, written

    def _drop(self) -> int:
        """Delete what PostgreSQL has no more: an entity that comes back is of a newer epoch."""
        newest = self._newest_epoch()
        if newest is None:  # nobody knows what Redis holds then
            return 0
        generation, epoch = newest
        missing = (
            self.tables.missing(self.view, entities)
            for entities in self.sink.entities(self.view.name)
        )
        return sum(
            self.sink.drop(self.view.name, gone, (generation, epoch + 1)) for gone in missing
        )

    def _newest_epoch(self) -> Version | None:
        jobs = [job.name for job in JOBS.values() if self.view.topic in job.topics]
        return self.tables.newest_epoch(jobs[0])
