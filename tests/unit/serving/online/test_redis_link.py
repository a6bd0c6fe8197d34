"""The connection to Redis, against a server of ten lines: order, silence, coming back."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any

import hiredis
import pytest
import uvloop

from serving.errors import Unavailable
from serving.online.redis_link import RedisLink, command


class Server:
    """Answers each command with its last argument; says nothing while `is_silent`."""

    def __init__(self) -> None:
        self.is_silent = False
        self.seen: list[list[bytes]] = []
        self.port = 0
        self._server: asyncio.Server | None = None
        self._writers: list[asyncio.StreamWriter] = []

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        assert self._server
        self._server.close()
        for writer in self._writers:
            writer.transport.abort()
        self._writers.clear()
        await asyncio.sleep(0)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.append(writer)
        commands = hiredis.Reader()
        while data := await reader.read(65_536):
            commands.feed(data)
            while (parts := commands.gets()) is not False:
                self.seen.append(parts)
                if not self.is_silent:
                    writer.write(b"$%d\r\n%b\r\n" % (len(parts[-1]), parts[-1]))
        writer.close()


@asynccontextmanager
async def linked(path: str = "") -> AsyncIterator[tuple[Server, RedisLink]]:
    server = Server()
    await server.start()
    link = RedisLink(f"redis://user:secret@127.0.0.1:{server.port}{path}", timeout_s=0.1)
    await link.start()
    try:
        yield server, link
    finally:
        await link.stop()
        await server.stop()


async def until(is_so: Callable[[], bool], seconds: float = 5) -> None:
    deadline = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < deadline
        await asyncio.sleep(0.01)


def run(test: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """On both event loops: theirs differ in what a transport is."""
    asyncio.run(test())
    uvloop.run(test())


def test_who_asks_for_nothing_gets_it_and_takes_nobody_down() -> None:
    async def test() -> None:
        async with linked() as (_, link):
            assert await link.call(b"", 0) == []
            await asyncio.sleep(0.2)
            assert link.is_up

    run(test)


def test_everybody_gets_the_replies_to_what_he_sent() -> None:
    async def test() -> None:
        async with linked() as (_, link):
            asked = [
                link.call(b"".join(command("ECHO", f"{i}.{j}") for j in range(i + 1)), i + 1)
                for i in range(20)
            ]
            for i, replies in enumerate(await asyncio.gather(*asked)):
                assert replies == [f"{i}.{j}".encode() for j in range(i + 1)]

    run(test)


def test_it_says_who_it_is_and_picks_the_database() -> None:
    async def test() -> None:
        async with linked("/3") as (server, _):
            assert server.seen[:2] == [[b"AUTH", b"user", b"secret"], [b"SELECT", b"3"]]

    run(test)


def test_silence_is_an_outage_after_the_timeout_and_none_waits_after_that() -> None:
    async def test() -> None:
        async with linked() as (server, link):
            server.is_silent = True
            began = time.monotonic()
            asked = [asyncio.create_task(link.call(command("GET", "a"), 1)) for _ in range(3)]
            told = await asyncio.gather(*asked, return_exceptions=True)
            assert all(isinstance(one, Unavailable) for one in told)
            assert 0.09 < time.monotonic() - began < 0.4
            began = time.monotonic()
            with pytest.raises(Unavailable):
                await link.call(command("GET", "a"), 1)
            assert time.monotonic() - began < 0.05
            assert not link.is_up

    run(test)


def test_it_comes_back_by_itself() -> None:
    async def test() -> None:
        async with linked() as (server, link):
            await server.stop()
            await until(lambda: not link.is_up)
            with pytest.raises(Unavailable):
                await link.call(command("GET", "a"), 1)
            await server.start()
            await until(lambda: link.is_up)
            assert await link.call(command("GET", "a"), 1) == [b"a"]

    run(test)


def test_a_redis_that_is_away_delays_no_start() -> None:
    async def test() -> None:
        link = RedisLink("redis://127.0.0.1:1", timeout_s=0.1)
        await link.start()
        assert not link.is_up
        assert not await link.answers()
        await link.stop()

    run(test)


def test_replies_for_one_who_left_are_not_given_to_the_next() -> None:
    async def test() -> None:
        async with linked() as (_, link):
            left = asyncio.create_task(link.call(command("GET", "first"), 1))
            await asyncio.sleep(0)
            left.cancel()
            assert await link.call(command("GET", "second"), 1) == [b"second"]

    run(test)
