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
AWAY = "PostgreSQL does not answer."


class Postgres:
    """Reads with the rights of the role in `conninfo`; at most `size` queries at once."""

    def __init__(self, conninfo: str, *, size: int = 4, timeout_s: float = 0.27) -> None:
        self._conninfo = conninfo
        self._timeout_s = timeout_s
        self._turns = asyncio.Semaphore(size)
        self._idle: deque[Connection] = deque()
        self._given_up: set[asyncio.Task[Any]] = set()
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

    async def stop(self) -> None:
        """Close what is open."""
        while self._idle:
            await self._idle.popleft().close()
        for task in self._given_up:
            task.cancel()

    def _admit(self) -> bool:
        """Whether this is the one request that finds out if it is back; others are refused."""
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
            done, _ = await asyncio.wait({task}, timeout=deadline - loop.time())
        finally:
            self._turns.release()
        if not done:
            self._give_up(task)
            raise TimeoutError(AWAY)
        return task.result()

    async def _fetch(self, query: Query, parameters: Sequence[Any]) -> list[tuple[Any, ...]]:
        connection = await self._connection()
        try:
            rows = await (await connection.execute(query, parameters)).fetchall()
        except BaseException:
            connection.pgconn.finish()
            raise
        self._idle.append(connection)
        return rows

    async def _connection(self) -> Connection:
        while self._idle:
            connection = self._idle.pop()
            if not connection.closed:
                return connection
        return await psycopg.AsyncConnection.connect(
            self._conninfo, autocommit=True, connect_timeout=2
        )

    def _give_up(self, task: asyncio.Task[Any]) -> None:
        task.cancel()
        self._given_up.add(task)
        task.add_done_callback(self._forget)

    def _forget(self, task: asyncio.Task[Any]) -> None:
        self._given_up.discard(task)
        if not task.cancelled():
            task.exception()  # asked, so that nobody is told it never was
