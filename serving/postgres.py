"""PostgreSQL for requests: a few connections, and an answer in time or none.

A connection that has not answered in time is given up, and so is the query: waiting for it to be
cancelled would take as long as the server likes. After that, and after a refused connection, nobody
is sent there for a moment, and then one request alone is: so a PostgreSQL that is away costs one
timeout, and not one a request.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence
from typing import Any, LiteralString

import psycopg
from psycopg import sql

from serving.errors import Unavailable

__all__ = ["Postgres"]

Query = LiteralString | sql.Composed | sql.SQL
Connection = psycopg.AsyncConnection[tuple[Any, ...]]
PAUSE_S = 0.5
ENDING_S = 0.2
AWAY = "PostgreSQL does not answer."


class Postgres:
    """Reads with the rights of the role in `conninfo`; at most `size` queries at once."""

    def __init__(self, conninfo: str, *, size: int = 4, timeout_s: float = 0.27) -> None:
        self._conninfo = conninfo
        self._timeout_s = timeout_s
        self._turns = asyncio.Semaphore(size)
        self._idle: deque[Connection] = deque()
        self._open: set[Connection] = set()
        self._tasks: set[asyncio.Task[Any]] = set()
        self._is_stopped = False
        self._away_until: float | None = None
        self._is_tried = False

    @property
    def is_up(self) -> bool:
        """Whether queries are sent there."""
        return self._away_until is None

    async def fetch(
        self, query: Query, parameters: Sequence[Any] = (), *, timeout_s: float | None = None
    ) -> list[tuple[Any, ...]]:
        """All rows; raises `Unavailable` when there is no answer in time."""
        is_trial = self._admit()
        try:
            rows = await self._in_time(query, parameters, timeout_s or self._timeout_s)
        except (psycopg.OperationalError, OSError) as error:
            self._away_until = asyncio.get_running_loop().time() + PAUSE_S
            raise Unavailable(AWAY) from error
        finally:
            self._is_tried &= not is_trial
        self._away_until = None
        return rows

    async def answers(self) -> bool:
        """Whether it answers right now."""
        try:
            await self.fetch("SELECT 1")
        except Unavailable:
            return False
        return True

    async def start(self) -> None:
        """Connect, so that the first request need not; a PostgreSQL that is away is no failure."""
        await self.answers()

    async def stop(self) -> None:
        """Close what is open; queries that run are given up."""
        self._is_stopped = True
        for task in self._tasks:
            task.cancel()
        for connection in self._open:
            connection.pgconn.finish()
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=ENDING_S)

    def _admit(self) -> bool:
        """Whether this is the one request that finds out if it is back; others are refused."""
        if self._is_stopped:
            raise Unavailable(AWAY)
        if self._away_until is None:
            return False
        if self._is_tried or asyncio.get_running_loop().time() < self._away_until:
            raise Unavailable(AWAY)
        self._is_tried = True
        return True

    async def _in_time(
        self, query: Query, parameters: Sequence[Any], timeout_s: float
    ) -> list[tuple[Any, ...]]:
        """Raises `TimeoutError`, an `OSError`."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + timeout_s
        async with asyncio.timeout(timeout_s):
            await self._turns.acquire()
        try:
            task = loop.create_task(self._fetch(query, parameters))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
            done, _ = await asyncio.wait({task}, timeout=deadline - loop.time())
        finally:
            self._turns.release()
        if not done:
            task.cancel()
            task.add_done_callback(_forget)
            raise TimeoutError(AWAY)
        return task.result()

    async def _fetch(self, query: Query, parameters: Sequence[Any]) -> list[tuple[Any, ...]]:
        connection = await self._connection()
        try:
            rows = await (await connection.execute(query, parameters)).fetchall()
        except BaseException:
            connection.pgconn.finish()
            self._open.discard(connection)
            raise
        self._idle.append(connection)
        return rows

    async def _connection(self) -> Connection:
        while self._idle:
            connection = self._idle.pop()
            if not connection.closed:
                return connection
            self._open.discard(connection)
        connection = await psycopg.AsyncConnection.connect(
            self._conninfo, autocommit=True, connect_timeout=2
        )
        self._open.add(connection)
        return connection


def _forget(task: asyncio.Task[Any]) -> None:
    """Ask how it ended, so that nobody is told it never was."""
    if not task.cancelled():
        task.exception()
