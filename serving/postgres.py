"""PostgreSQL for requests: a few connections, and an answer in time or none.

A connection that has not answered in time is given up, and so is the query: waiting for it to be
cancelled would take as long as the server likes.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import Sequence
from typing import Any, LiteralString

import psycopg
from psycopg import sql

from serving.errors import Unavailable

__all__ = ["Postgres"]

Query = LiteralString | sql.Composed | sql.SQL
Connection = psycopg.AsyncConnection[tuple[Any, ...]]


class Postgres:
    """Reads with the rights of the role in `conninfo`; at most `size` queries at once."""

    def __init__(self, conninfo: str, *, size: int = 4, timeout_s: float = 0.18) -> None:
        self._conninfo = conninfo
        self._timeout_s = timeout_s
        self._turns = asyncio.Semaphore(size)
        self._idle: deque[Connection] = deque()
        self._abandoned: set[asyncio.Task[Any]] = set()

    async def fetch(
        self, query: Query, parameters: Sequence[Any] = (), *, timeout_s: float | None = None
    ) -> list[tuple[Any, ...]]:
        """All rows; raises `Unavailable` when there is no answer in time."""
        task = asyncio.create_task(self._fetch(query, parameters))
        done, _ = await asyncio.wait({task}, timeout=timeout_s or self._timeout_s)
        if not done:
            self._abandon(task)
            raise Unavailable("PostgreSQL does not answer in time.")
        try:
            return task.result()
        except (psycopg.OperationalError, OSError) as error:
            raise Unavailable("PostgreSQL does not answer.") from error

    async def stop(self) -> None:
        """Close what is open."""
        while self._idle:
            await self._idle.popleft().close()
        for task in self._abandoned:
            task.cancel()

    async def _fetch(self, query: Query, parameters: Sequence[Any]) -> list[tuple[Any, ...]]:
        async with self._turns:
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

    def _abandon(self, task: asyncio.Task[Any]) -> None:
        task.cancel()
        self._abandoned.add(task)
        task.add_done_callback(self._forget)

    def _forget(self, task: asyncio.Task[Any]) -> None:
        self._abandoned.discard(task)
        with contextlib.suppress(asyncio.CancelledError):
            task.exception()
