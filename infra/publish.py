"""Publishing: what dbt has built becomes the batch views of the online store.

Each view changes at once. In PostgreSQL its rows are replaced in one transaction, so a reader sees
the old ones until it commits, and nobody waits for a lock; the table, its grants and what depends
on it stay. For Redis the new hash is filled under a name of its own while that transaction is open,
and takes the place of the old one, in one step, when it has committed. A version that grows with
each publication of a view keeps an older one, which was slow, from replacing a newer one.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import asdict, dataclass
from datetime import UTC, date, datetime
from typing import Any

import psycopg
from psycopg import sql
from psycopg.rows import dict_row
from redis import Redis
from redis.exceptions import RedisError

from features.marts import AS_OF, PUBLISHED, BatchView
from infra.batch_hashes import BatchHashes, Stamp
from infra.database import pipeline_conninfo
from infra.endpoints import Endpoints
from infra.errors import PublishFailed
from infra.settings import Settings

__all__ = ["Publication", "ViewPublished", "publish"]

Connection = psycopg.Connection[Any]
ROWS_AT_ONCE = 5_000


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
    """What was published, by view."""

    views: Mapping[str, ViewPublished]

    def to_json(self) -> dict[str, object]:
        """The public form."""
        return {"views": {name: view.to_json() for name, view in self.views.items()}}


def publish(*, settings: Settings, run_date: date, allow_empty: bool = False) -> Publication:
    """Publish all batch views as the marts are now.

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
            _check_marts(connection, run_date, allow_empty=allow_empty)
            hashes = BatchHashes(client)
            return Publication(
                views={
                    view.name: _View(view, connection, hashes).publish(run_date)
                    for view in PUBLISHED.values()
                }
            )
    except (psycopg.OperationalError, RedisError) as error:
        store = "Redis" if isinstance(error, RedisError) else "PostgreSQL"
        raise PublishFailed(
            f"{store} did not answer ({type(error).__name__}), so not every view of {run_date} is "
            "published: run `userflow publish` again when it does."
        ) from error


def _check_marts(connection: Connection, run_date: date, *, allow_empty: bool) -> None:
    """All of them before the first is published."""
    for view in PUBLISHED.values():
        mart = sql.Identifier("marts", view.mart.name)
        names = sql.SQL(", ").join(sql.Identifier(c.name) for c in view.mart.columns)
        try:
            found = connection.execute(sql.SQL("SELECT {} FROM {} LIMIT 1").format(names, mart))
        except (psycopg.errors.UndefinedTable, psycopg.errors.UndefinedColumn) as error:
            missing = str(error.diag.message_primary)
            raise PublishFailed(
                f"marts.{view.mart.name} is not as declared ({missing}), so nothing was published: "
                f"run `userflow marts --date {run_date}` first."
            ) from error
        if found.fetchone() is None and not (allow_empty or view.mart.may_be_empty):
            raise PublishFailed(
                f"marts.{view.mart.name} has no row, so nothing was published and readers keep "
                "what they have: look at what built it, or say --allow-empty if nothing is right."
            )


@dataclass(frozen=True, slots=True)
class _View:
    view: BatchView
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
        table, mart = sql.Identifier("online", self.view.name), self.view.mart
        names = sql.SQL(", ").join(sql.Identifier(column.name) for column in mart.columns)
        now = datetime.now(UTC)
        self.connection.execute(sql.SQL("DELETE FROM {}").format(table))
        try:
            inserted = self.connection.execute(
                sql.SQL(
                    "INSERT INTO {} ({}, updated_at, version) SELECT {}, %s, %s FROM {}"
                ).format(table, names, names, sql.Identifier("marts", mart.name)),
                [now, version],
            )
        except (psycopg.IntegrityError, psycopg.DataError) as error:
            # Not its text: that holds the row.
            raise PublishFailed(
                f"marts.{mart.name} has rows that online.{self.view.name} cannot hold "
                f"({type(error).__name__}, {error.diag.constraint_name or error.diag.column_name}),"
                " so readers keep what they have: run `userflow quality run --suite marts`."
            ) from None
        as_of = self._as_of() or run_date
        return Stamp(version=version, as_of_date=as_of, updated_at=now, rows=inserted.rowcount)

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
        names = sql.SQL(", ").join(sql.Identifier(c.name) for c in self.view.mart.columns)
        query = sql.SQL("SELECT {} FROM {}").format(names, sql.Identifier("online", self.view.name))
        with self.connection.cursor("published", row_factory=dict_row) as cursor:
            cursor.itersize = ROWS_AT_ONCE
            yield from cursor.execute(query)


def _published(stamp: Stamp, *, kept: bool) -> ViewPublished:
    return ViewPublished(
        rows=stamp.rows, version=stamp.version, as_of_date=stamp.as_of_date, kept=kept
    )
