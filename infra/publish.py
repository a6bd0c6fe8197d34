"""Publishing: what dbt and Spark have built becomes the batch views of the online store.

Each view changes at once. In PostgreSQL its rows are replaced in one transaction, so a reader sees
the old ones until it commits, and nobody waits for a lock; the table, its grants and what depends
on it stay. For Redis the new hash is filled under a name of its own while that transaction is open,
and takes the place of the old one, in one step, when it has committed. A version that grows with
each publication of a view keeps an older one, which was slow, from replacing a newer one.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any

import psycopg
from psycopg import sql
from psycopg.rows import dict_row
from redis import Redis
from redis.exceptions import RedisError

from features.batch_views import AS_OF, BatchView
from features.marts import PUBLISHED
from infra.batch_hashes import TTL_MS, BatchHashes, Stamp
from infra.batch_rows import LakeRows, MartRows, Rows, computed_day
from infra.database import pipeline_conninfo
from infra.endpoints import Endpoints
from infra.errors import PublishFailed
from infra.settings import Settings

__all__ = ["Publication", "ViewPublished", "publish", "restore_published"]

Connection = psycopg.Connection[Any]
ROWS_AT_ONCE = 5_000
# Where the table of a view is, and how to look into what is wrong with it.
_PLACES = {
    "dbt": ("marts.", "run `userflow quality run --suite marts`"),
    "spark": ("batch/", "run `userflow daily` for that day again"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class ViewPublished:
    """`kept`: the view shows a later day than the mart, so nothing was written."""

    rows: int
    version: int
    as_of_date: date
    kept: bool

    def to_json(self) -> dict[str, object]:
        """The public form."""
        return {**asdict(self), "as_of_date": self.as_of_date.isoformat()}


@dataclass(frozen=True, slots=True, kw_only=True)
class Publication:
    """What was published, by view. `not_computed`: views of which the daily jobs have nothing yet;
    readers keep what they have of them.
    """

    views: Mapping[str, ViewPublished]
    not_computed: tuple[str, ...] = ()

    def to_json(self) -> dict[str, object]:
        """The public form."""
        views = {name: view.to_json() for name, view in self.views.items()}
        return {"views": views, "not_computed": list(self.not_computed)}


def publish(
    *,
    settings: Settings,
    run_date: date,
    allow_empty: bool = False,
    views: Sequence[BatchView] = tuple(PUBLISHED.values()),
) -> Publication:
    """Publish batch views: those of dbt as the marts are now, those of Spark as of the newest day
    up to `run_date` that was computed.

    Raises `PublishFailed`, before anything is written, when a mart is missing or has no row, unless
    it may be empty or `allow_empty`; and when a store does not answer: then a view is what it was
    in both stores or, if Redis went away in the last moment, newer in PostgreSQL until a repeat.
    """
    endpoints = Endpoints.read(settings.home)
    try:
        with (
            psycopg.connect(pipeline_conninfo(endpoints.postgres), autocommit=True) as connection,
            closing(Redis.from_url(endpoints.redis, socket_timeout=30)) as client,
        ):
            found = _sources(
                connection, endpoints.lake, views, run_date=run_date, allow_empty=allow_empty
            )
            hashes = BatchHashes(client)
            return Publication(
                views={
                    view.name: _View(view, rows, connection, hashes).publish(run_date)
                    for view, rows in found
                },
                not_computed=tuple(v.name for v in views if v not in [one for one, _ in found]),
            )
    except (psycopg.OperationalError, RedisError) as error:
        store = "Redis" if isinstance(error, RedisError) else "PostgreSQL"
        raise PublishFailed(
            f"{store} did not answer ({type(error).__name__}), so not every view of {run_date} is "
            "published: run `userflow publish` again when it does."
        ) from error


def restore_published(view: BatchView, connection: Connection, client: Redis) -> int:
    """Put what is published of a view into Redis, which has lost it; returns how many rows.

    None where nothing is published, where its time to live is over, or Redis has a newer version.
    """
    return _View(view, MartRows(), connection, BatchHashes(client)).restore()


def _sources(
    connection: Connection,
    lake: str,
    views: Sequence[BatchView],
    *,
    run_date: date,
    allow_empty: bool,
) -> list[tuple[BatchView, Rows]]:
    """Where the rows of each view are; all are looked at before the first is published."""
    found: list[tuple[BatchView, Rows]] = []
    for view in views:
        if view.made_by == "dbt":
            marts = MartRows()
            marts.require(connection, view, run_date, allow_empty=allow_empty)
            found.append((view, marts))
        elif day := computed_day(lake, view, run_date):
            found.append((view, LakeRows(lake, day)))
    return found


@dataclass(frozen=True, slots=True)
class _View:
    view: BatchView
    rows: Rows
    connection: Connection
    hashes: BatchHashes

    def publish(self, run_date: date) -> ViewPublished:
        with self.connection.transaction() as transaction:
            before = self._before()
            stamp = self._replace(run_date, before.version + 1 if before else 1)
            newer = before if before and before.as_of_date > stamp.as_of_date else None
            if newer:
                raise psycopg.Rollback(transaction)
            self._write_down(stamp)
            fields = self.hashes.load(self.view, stamp.version, self._rows())
        if newer:
            return _published(newer, kept=True)
        if self.hashes.swap(self.view, stamp, fields) is None:
            raise PublishFailed(
                f"Redis lost what was loaded of {self.view.name}: it is new in PostgreSQL alone; "
                f"run `userflow publish --date {run_date}` again."
            )
        return _published(stamp, kept=False)

    def restore(self) -> int:
        """Under its version, for as long as it would have lived."""
        with self.connection.transaction():
            stamp = self._before()
            left_ms = _left_ms(stamp) if stamp else 0
            if stamp is None or left_ms <= 0:
                return 0
            fields = self.hashes.load(self.view, stamp.version, self._rows())
            has_swapped = self.hashes.swap(self.view, stamp, fields, ttl_ms=left_ms)
        return fields if has_swapped else 0

    def _before(self) -> Stamp | None:
        """What is published; others who publish the view wait until this transaction ends."""
        lock = "SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))"
        self.connection.execute(lock, [f"publish {self.view.name}"])
        row = self.connection.execute(
            "SELECT version, as_of_date, updated_at, rows FROM ops.published_views WHERE view = %s",
            [self.view.name],
        ).fetchone()
        if row is None:
            return None
        return Stamp(version=row[0], as_of_date=row[1], updated_at=row[2], rows=row[3])

    def _replace(self, run_date: date, version: int) -> Stamp:
        now = datetime.now(UTC)
        table = sql.Identifier("online", self.view.name)
        self.connection.execute(sql.SQL("DELETE FROM {}").format(table))
        try:
            rows = self.rows.insert(self.connection, self.view, now, version)
        except (psycopg.IntegrityError, psycopg.DataError) as error:
            # Not its text: that holds the row.
            place, suite = _PLACES[self.view.made_by]
            raise PublishFailed(
                f"{place}{self.view.mart.name} has rows that online.{self.view.name} cannot hold "
                f"({type(error).__name__}, {error.diag.constraint_name or error.diag.column_name}),"
                f" so readers keep what they have: {suite}."
            ) from None
        as_of = self._as_of() or run_date
        return Stamp(version=version, as_of_date=as_of, updated_at=now, rows=rows)

    def _as_of(self) -> date | None:
        """The day that the rows are of; None if there is none."""
        newest = sql.SQL("SELECT max({}) FROM {}").format(
            sql.Identifier(AS_OF), sql.Identifier("online", self.view.name)
        )
        row = self.connection.execute(newest).fetchone()
        return row[0] if row else None

    def _write_down(self, stamp: Stamp) -> None:
        self.connection.execute(
            "INSERT INTO ops.published_views (view, version, as_of_date, updated_at, rows) "
            "VALUES (%s, %s, %s, %s, %s) ON CONFLICT (view) DO UPDATE SET "
            "version = excluded.version, as_of_date = excluded.as_of_date, "
            "updated_at = excluded.updated_at, rows = excluded.rows",
            [self.view.name, stamp.version, stamp.as_of_date, stamp.updated_at, stamp.rows],
        )

    def _rows(self) -> Iterator[dict[str, Any]]:
        names = sql.SQL(", ").join(sql.Identifier(c.name) for c in self.view.columns)
        query = sql.SQL("SELECT {} FROM {}").format(names, sql.Identifier("online", self.view.name))
        with self.connection.cursor("published", row_factory=dict_row) as cursor:
            cursor.itersize = ROWS_AT_ONCE
            yield from cursor.execute(query)


def _published(stamp: Stamp, *, kept: bool) -> ViewPublished:
    return ViewPublished(
        rows=stamp.rows, version=stamp.version, as_of_date=stamp.as_of_date, kept=kept
    )


def _left_ms(stamp: Stamp) -> int:
    left = stamp.updated_at + timedelta(milliseconds=TTL_MS) - datetime.now(UTC)
    return left // timedelta(milliseconds=1)
