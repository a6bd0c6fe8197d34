"""PostgreSQL that is silent, gone or back: an answer in time, and few who wait for one."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import psycopg
import pytest

from serving import postgres as module
from serving.api.services import Part
from serving.errors import Unavailable
from serving.postgres import Postgres


class Cursor:
    """One row."""

    async def fetchall(self) -> list[tuple[int]]:
        return [(1,)]


class Connection:
    """Does with a query what the server does now."""

    closed = False

    def __init__(self, server: Server) -> None:
        self._server = server
        self.pgconn = self

    def finish(self) -> None:
        self.closed = True

    async def close(self) -> None:
        self.closed = True

    async def execute(self, *_: object) -> Cursor:
        self._server.asked += 1
        if self._server.is_silent:
            await asyncio.sleep(30)
        if self._server.is_gone:
            raise psycopg.OperationalError("gone")
        return Cursor()


class Server:
    """How PostgreSQL is."""

    def __init__(self) -> None:
        self.is_silent = self.is_gone = False
        self.asked = self.connected = 0
        self.connections: list[Connection] = []

    async def connect(self, *_: object, **__: object) -> Connection:
        self.connected += 1
        if self.is_gone:
            raise psycopg.OperationalError("refused")
        self.connections.append(Connection(self))
        return self.connections[-1]


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Server:
    server = Server()
    monkeypatch.setattr(module.psycopg.AsyncConnection, "connect", server.connect)
    monkeypatch.setattr(module, "PAUSE_S", 0.1)
    return server


def ask(postgres: Postgres) -> Any:
    return postgres.fetch("SELECT 1")


def test_connections_are_used_again(server: Server) -> None:
    async def test() -> None:
        postgres = Postgres("", size=2)
        for _ in range(5):
            await asyncio.gather(*(ask(postgres) for _ in range(4)))
        assert server.connected <= 2
        await postgres.stop()

    asyncio.run(test())


def test_silence_ends_in_time_and_then_one_at_a_time_tries_again(server: Server) -> None:
    async def test() -> None:
        postgres = Postgres("", timeout_s=0.05)
        server.is_silent = True
        began = time.monotonic()
        told = await asyncio.gather(*(ask(postgres) for _ in range(8)), return_exceptions=True)
        assert all(isinstance(one, Unavailable) for one in told)
        assert time.monotonic() - began < 0.2
        asked = server.asked
        for _ in range(5):
            with pytest.raises(Unavailable):
                await ask(postgres)
        assert server.asked == asked
        await asyncio.sleep(0.12)
        await asyncio.gather(*(ask(postgres) for _ in range(8)), return_exceptions=True)
        assert server.asked == asked + 1
        await postgres.stop()

    asyncio.run(test())


def test_nothing_is_open_when_it_has_stopped(server: Server) -> None:
    async def test() -> None:
        postgres = Postgres("", size=3)
        assert isinstance(postgres, Part)
        await postgres.start()
        await asyncio.gather(*(ask(postgres) for _ in range(3)))
        await postgres.stop()
        assert all(connection.closed for connection in server.connections)
        with pytest.raises(Unavailable):
            await ask(postgres)

    asyncio.run(test())


def test_it_is_used_again_when_it_is_back(server: Server) -> None:
    async def test() -> None:
        postgres = Postgres("")
        server.is_gone = True
        assert not await postgres.answers()
        assert not postgres.is_up
        server.is_gone = False
        await asyncio.sleep(0.12)
        assert await ask(postgres) == [(1,)]
        assert postgres.is_up

    asyncio.run(test())


def test_a_connection_that_broke_is_not_used_again(server: Server) -> None:
    async def test() -> None:
        postgres = Postgres("")
        await ask(postgres)
        server.is_gone = True
        with pytest.raises(Unavailable):
            await ask(postgres)
        server.is_gone = False
        await asyncio.sleep(0.12)
        await ask(postgres)
        assert server.connected == 2

    asyncio.run(test())
