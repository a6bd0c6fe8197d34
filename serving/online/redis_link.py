"""One connection to Redis for all requests of a process, as short as the way can be.

Requests write their commands one behind the other and get their replies in that order, so nobody
waits for a turn and nothing is taken from a pool. Who is not answered in time brings the connection
down for all: from then on every request is told at once that Redis is away, and goes elsewhere,
until a background task has reached it again. So a dead Redis costs one timeout, not one a request.
"""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections import deque
from collections.abc import Iterable
from typing import Any, cast

import hiredis
from redis.asyncio.connection import SSLConnection, parse_url

from serving.errors import Unavailable

__all__ = ["RedisLink", "command"]

AWAY = "Redis does not answer."
# How long is waited after an attempt to reach it, and for one.
PAUSE_S, ATTEMPT_S = 0.25, 1.0


def command(*parts: bytes | str) -> bytes:
    """A command as it goes over the wire."""
    packed: bytes = hiredis.pack_command(parts)  # type: ignore[arg-type]
    return packed


class _Waiting:
    """A request and the replies it still waits for."""

    __slots__ = ("deadline", "done", "missing", "replies")

    def __init__(self, done: asyncio.Future[list[Any]], missing: int, deadline: float) -> None:
        self.done = done
        self.missing = missing
        self.deadline = deadline
        self.replies: list[Any] = []


class _Wire(asyncio.Protocol):
    """Bytes to replies, in the order of the requests."""

    def __init__(self, timeout_s: float) -> None:
        self._timeout_s = timeout_s
        self._loop = asyncio.get_running_loop()
        self._replies = hiredis.Reader()
        self._waiting: deque[_Waiting] = deque()
        self._timer: asyncio.TimerHandle | None = None
        self._transport: asyncio.Transport | None = None
        self.lost = asyncio.Event()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's are such by what they can do, not by their class.
        self._transport = cast("asyncio.Transport", transport)

    def send(self, payload: bytes, replies: int) -> asyncio.Future[list[Any]]:
        """Send commands that so many replies will come to."""
        done: asyncio.Future[list[Any]] = self._loop.create_future()
        if self._transport is None or self.lost.is_set():
            done.set_exception(Unavailable(AWAY))
            return done
        deadline = self._loop.time() + self._timeout_s
        self._waiting.append(_Waiting(done, replies, deadline))
        self._transport.write(payload)
        if self._timer is None:
            self._timer = self._loop.call_at(deadline, self._look)
        return done

    def data_received(self, data: bytes) -> None:
        self._replies.feed(data)
        reply = self._replies.gets()
        while reply is not False:
            if not self._waiting:
                return self.close()
            first = self._waiting[0]
            first.replies.append(reply)
            first.missing -= 1
            if first.missing == 0:
                self._waiting.popleft()
                if not first.done.done():
                    first.done.set_result(first.replies)
            reply = self._replies.gets()
        return None

    def connection_lost(self, exc: Exception | None) -> None:
        del exc
        self.close()

    def close(self) -> None:
        """Tell everybody who waits, and end."""
        self.lost.set()
        if self._timer:
            self._timer.cancel()
        if self._transport:
            self._transport.abort()
        while self._waiting:
            done = self._waiting.popleft().done
            if not done.done():
                done.set_exception(Unavailable(AWAY))
                done.exception()  # whoever waited may have left

    def _look(self) -> None:
        """The first one waits longest; one timer is enough for all."""
        self._timer = None
        if not self._waiting:
            return
        if self._waiting[0].deadline <= self._loop.time():
            self.close()
        else:
            self._timer = self._loop.call_at(self._waiting[0].deadline, self._look)


class RedisLink:
    """Sends commands to the Redis at `url`, and reaches it again when it was away."""

    def __init__(self, url: str, *, timeout_s: float = 0.12) -> None:
        self._where = parse_url(url)
        self._timeout_s = timeout_s
        self._wire: _Wire | None = None
        self._keeper: asyncio.Task[None] | None = None

    @property
    def is_up(self) -> bool:
        """Whether commands would be sent."""
        return self._wire is not None and not self._wire.lost.is_set()

    async def start(self) -> None:
        """Connect, and stay so; a Redis that is away is not waited for."""
        await self._reach()
        self._keeper = asyncio.create_task(self._keep_up())

    async def stop(self) -> None:
        """Close the connection."""
        if self._keeper:
            self._keeper.cancel()
            await asyncio.wait({self._keeper})
        if self._wire:
            self._wire.close()

    async def call(self, payload: bytes, replies: int) -> list[Any]:
        """The replies to these commands; raises `Unavailable` at once while Redis is away.

        An error that Redis answers with is among the replies, a `hiredis.ReplyError`.
        """
        if not replies:  # nothing would ever come
            return []
        if self._wire is None:
            raise Unavailable(AWAY)
        return await self._wire.send(payload, replies)

    async def answers(self) -> bool:
        """Whether it answers right now."""
        try:
            (reply,) = await self.call(command("PING"), 1)
        except Unavailable:
            return False
        return not isinstance(reply, hiredis.ReplyError)

    async def _keep_up(self) -> None:
        while True:
            if self._wire is not None:
                await self._wire.lost.wait()
                self._wire = None
            await asyncio.sleep(PAUSE_S)
            await self._reach()

    async def _reach(self) -> None:
        wire: _Wire | None = None
        with contextlib.suppress(OSError, TimeoutError, Unavailable):
            async with asyncio.timeout(ATTEMPT_S):
                wire = await self._connected()
                greeting = list(self._greeting())
                replies = await wire.send(b"".join(greeting), len(greeting))
            if not any(isinstance(reply, hiredis.ReplyError) for reply in replies):
                self._wire = wire
                return
        if wire is not None:
            wire.close()

    async def _connected(self) -> _Wire:
        loop, where = asyncio.get_running_loop(), self._where
        if "path" in where:
            _, wire = await loop.create_unix_connection(self._new_wire, where["path"])
            return wire
        is_tls = where.get("connection_class") is SSLConnection
        _, wire = await loop.create_connection(
            self._new_wire,
            where.get("host", "localhost"),
            where.get("port", 6379),
            ssl=ssl.create_default_context() if is_tls else None,
        )
        return wire

    def _new_wire(self) -> _Wire:
        return _Wire(self._timeout_s)

    def _greeting(self) -> Iterable[bytes]:
        where = self._where
        if password := where.get("password"):
            user = [where["username"]] if where.get("username") else []
            yield command("AUTH", *user, password)
        if where.get("db"):
            yield command("SELECT", str(where["db"]))
        # A Redis that loads its data refuses this.
        yield command("GET", "userflow")
