"""PostgreSQL, the store that decides: an epoch and all it changes are one transaction.

The transaction begins by claiming the epoch's row. Who gets it writes; who does not, because an
earlier attempt or another process was first, reads back what that one wrote. So a lost connection,
even during COMMIT, is cured by doing the whole transaction again.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime
from functools import partial
from typing import Any, TypeVar

import polars as pl
import psycopg
import structlog
from psycopg.types.json import Jsonb

from features.columns import polars_schema
from features.views import VIEWS, FeatureView
from streaming.ports import Clock, Epoch, Output
from streaming.sinks import lease
from streaming.sinks import postgres_rows as rows
from streaming.sinks import postgres_sql as statements

__all__ = ["PostgresEpochStore"]

Connection = psycopg.Connection[tuple[Any, ...]]
Result = TypeVar("Result")
Put = Callable[[Connection, rows.Part], pl.DataFrame]
KEPT_EPOCHS = 10_000
WAITS_S = (0.1, 0.3, 1.0, 3.0, 5.0)
log = structlog.get_logger()


class PostgresEpochStore:
    """`conninfo` already names the role to act as. Rows arrive with `features.columns` types.

    Not thread-safe. `sleep` is an argument so that tests need not wait.
    """

    name = "postgres"

    def __init__(
        self,
        conninfo: str,
        *,
        views: Mapping[str, FeatureView] = VIEWS,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._conninfo = conninfo
        self._views = views
        self._sleep = sleep
        self._open: Connection | None = None
        self._held: str | None = None

    def hold(self, job: str) -> None:
        """Be the only one to write this job from now on; raises `LeaseTaken`."""
        self._held = job
        self._transact(lambda _: None)

    def clock_after(self, job: str, checkpoint_id: str, number: int) -> Clock | None:
        """The clock that the committed epoch `number` left; None before the first."""

        def read(connection: Connection) -> Clock | None:
            identity = [job, checkpoint_id, number]
            found = connection.execute(statements.CLOCK_AFTER, identity).fetchone()
            return _clock(*found) if found else None

        return self._transact(read)

    def pin_watermark(self, job: str, checkpoint_id: str, number: int, watermark_us: int) -> int:
        """Fix the watermark of an epoch that is about to run; a retry gets the first one back."""
        identity = [job, checkpoint_id, number]

        def pin(connection: Connection) -> int:
            values = [*identity, rows.to_datetime(watermark_us)]
            if connection.execute(statements.PIN_WATERMARK, values).rowcount == 1:
                return watermark_us
            found = connection.execute(statements.PINNED_WATERMARK, identity).fetchone()
            if found is None:
                raise psycopg.OperationalError(f"The watermark of epoch {number} was deleted.")
            return rows.to_micros(found[0])

        return self._transact(pin)

    def newest(self, view: str) -> pl.DataFrame:
        """The row of every entity: the view's columns and `event_at`."""
        declared = self._views[view]

        def read(connection: Connection) -> pl.DataFrame:
            return _frame(declared, connection.execute(statements.read_all(declared)))

        return self._transact(read)

    def commit(self, epoch: Epoch, output: Output, clock: Clock) -> tuple[Epoch, Output, Clock]:
        """Write the epoch, or return what it wrote when it happened."""
        write = partial(self._write, epoch, output, clock)
        try:
            return self._transact(partial(write, rows.put_all))
        except rows.REFUSING as error:
            # Its text holds data of the row.
            log.warning("rows_refused", epoch=epoch.number, error=type(error).__name__)
            return self._transact(partial(write, rows.put_in_halves))

    def set_aside(self, epoch: Epoch, refused: pl.DataFrame) -> None:
        """Keep what the sinks refused, once."""
        self._transact(lambda connection: rows.put_refused(connection, epoch, refused))

    def close(self) -> None:
        """Close the connection; the next call would open another."""
        if self._open is not None:
            self._open.close()
        self._open = None

    def _transact(self, work: Callable[[Connection], Result]) -> Result:
        for wait in WAITS_S:
            try:
                return self._attempt(work)
            except rows.REFUSING:
                raise
            except psycopg.OperationalError as error:
                # No parameters in the log: they hold personal data.
                log.warning("postgres_failed", error=type(error).__name__, again_in_s=wait)
                self.close()
                self._sleep(wait)
        return self._attempt(work)

    def _attempt(self, work: Callable[[Connection], Result]) -> Result:
        if self._open is None or self._open.closed:
            self._open = self._connect()
        with self._open.transaction():
            return work(self._open)

    def _connect(self) -> Connection:
        connection: Connection = psycopg.connect(self._conninfo, autocommit=True)
        try:
            self._prepare(connection)
        except BaseException:
            connection.close()
            raise
        return connection

    def _prepare(self, connection: Connection) -> None:
        if self._held is not None:
            lease.take(connection, self._held, sleep=self._sleep)
        connection.execute("SET TIME ZONE 'UTC'")
        for view in self._views.values():
            connection.execute(statements.create_incoming(view))

    def _write(
        self, epoch: Epoch, output: Output, clock: Clock, put: Put, connection: Connection
    ) -> tuple[Epoch, Output, Clock]:
        if not _claim(connection, epoch, output, clock):
            return self._read_back(connection, epoch, output)
        for name, entities in output.gone.items():
            rows.delete(connection, self._views[name], epoch, entities)
        parts = rows.parts_of(connection, self._views, epoch, output)
        refused = pl.concat([output.refused, *(put(connection, part) for part in parts)])
        rows.put_refused(connection, epoch, refused)
        _forget(connection, epoch)
        return epoch, rows.without(output, self._views, refused), clock

    def _read_back(
        self, connection: Connection, epoch: Epoch, output: Output
    ) -> tuple[Epoch, Output, Clock]:
        identity = [epoch.job, epoch.checkpoint_id, epoch.number]
        row = connection.execute(statements.FIND_EPOCH, identity).fetchone()
        if row is None:
            raise psycopg.OperationalError(f"The row of epoch {epoch.number} was deleted just now.")
        generation, committed_at, watermark, stored, rows_in, duplicates = row
        first = replace(epoch, generation=generation, committed_at_us=rows.to_micros(committed_at))
        found = {name: _rows_of(connection, self._views[name], first) for name in stored["views"]}
        repeated = replace(output, rows=found, rows_in=rows_in, duplicates=duplicates)
        return first, repeated, _clock(watermark, stored)


def _claim(connection: Connection, epoch: Epoch, output: Output, clock: Clock) -> bool:
    """Whether this transaction is the one to write the epoch."""
    watermark = None if clock.watermark_us is None else rows.to_datetime(clock.watermark_us)
    positions = {
        "event_times": dict(clock.event_times),
        "offsets": dict(clock.offsets),
        # Which views to read back: epochs of other jobs have the same numbers.
        "views": list(output.rows),
    }
    values = [
        *(epoch.job, epoch.checkpoint_id, epoch.number, epoch.generation),
        *(rows.to_datetime(epoch.committed_at_us), watermark, Jsonb(positions)),
        *(output.rows_in, _height(output.rows), _height(output.events)),
        *(output.duplicates, output.dead.height),
    ]
    return connection.execute(statements.CLAIM_EPOCH, values).rowcount == 1


def _forget(connection: Connection, epoch: Epoch) -> None:
    """What is long past; a retry needs the epoch before, and the watermark of its own."""
    for statement in (statements.FORGET_EPOCHS, statements.FORGET_WATERMARKS):
        connection.execute(statement, [epoch.job, epoch.checkpoint_id, epoch.number - KEPT_EPOCHS])


def _rows_of(connection: Connection, view: FeatureView, epoch: Epoch) -> pl.DataFrame:
    cursor = connection.execute(statements.read_epoch(view), [epoch.generation, epoch.number])
    return _frame(view, cursor).with_columns(by_event=pl.lit(value=True))


def _frame(view: FeatureView, cursor: psycopg.Cursor[tuple[Any, ...]]) -> pl.DataFrame:
    schema = polars_schema(statements.row_columns(view))
    return pl.DataFrame(cursor.fetchall(), schema=schema, orient="row")


def _clock(watermark: datetime | None, stored: Mapping[str, Any]) -> Clock:
    return Clock(
        watermark_us=None if watermark is None else rows.to_micros(watermark),
        event_times=stored["event_times"],
        offsets=stored["offsets"],
    )


def _height(frames: Mapping[str, pl.DataFrame]) -> int:
    return sum(frame.height for frame in frames.values())
