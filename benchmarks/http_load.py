"""A load on an HTTP server, in a process of its own that does next to nothing for a request.

`python -m benchmarks.http_load` reads a plan as JSON from standard input and prints what it saw.
The requests are bytes that were made before the first is sent; of an answer only the status, the
length and whether the head has a certain text are looked at. Each connection sends its next request
when it has the answer to the last, so this is a closed loop. It ends after so many requests or so
many seconds, whichever comes first.

With the argument `floor` it is the opposite: the smallest server there can be, which gives every
request the same answer, so that one can see what the load itself can do.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from itertools import cycle
from typing import Any, cast

import uvloop

from benchmarks.rates import quantiles

__all__ = ["main"]

HEAD_END = b"\r\n\r\n"
LENGTH = b"content-length:"
OK, UNAVAILABLE = b" 200 ", b" 503 "
LOOPBACK = "127.0.0.1"
# What an answer may take before the server counts as stuck.
STUCK_S = 30.0


class Broken(Exception):
    """The server did not answer as it should."""


class Connection(asyncio.Protocol):
    """Sends one request after the other; `next_request` gives None when it is enough."""

    def __init__(
        self,
        next_request: Callable[[], bytes | None],
        took: Callable[[float, bytes], None],
        ended: asyncio.Future[None],
    ) -> None:
        self._next_request, self._took, self._ended = next_request, took, ended
        self._buffer, self._missing, self._sent_at = b"", 0, 0.0
        self._gone = asyncio.Event()
        self._head = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin."""
        self._transport = cast("asyncio.Transport", transport)
        self._send()

    def data_received(self, data: bytes) -> None:
        """Go on when the answer is there as a whole."""
        if self._missing:
            self._missing -= len(data)
        else:
            self._begin(self._buffer + data)
        if not self._missing and not self._buffer and not self._ended.done():
            self._took(time.perf_counter() - self._sent_at, self._head)
            self._send()

    def connection_lost(self, exc: Exception | None) -> None:
        """Nobody hangs up before it is enough."""
        self._fail(f"The server hung up ({exc}).")
        self._gone.set()

    async def hang_up(self) -> None:
        """Return when the connection is no more."""
        self._transport.abort()
        await self._gone.wait()

    def _begin(self, data: bytes) -> None:
        end = data.find(HEAD_END)
        if end < 0:
            self._buffer = data
            return None
        head = data[:end].lower()
        at = head.find(LENGTH)
        if at < 0 or not (OK in head[:15] or UNAVAILABLE in head[:15]):
            return self._fail(
                f"The server answered: {' '.join(data[:400].decode(errors='replace').split())}"
            )
        length = int(head[at + len(LENGTH) :].split(b"\r", 1)[0])
        self._head = head
        self._buffer, self._missing = b"", length - (len(data) - end - len(HEAD_END))
        return None

    def _send(self) -> None:
        request = self._next_request()
        if request is None:
            if not self._ended.done():
                self._ended.set_result(None)
            self._transport.close()
            return
        self._sent_at = time.perf_counter()
        self._transport.write(request)

    def _fail(self, why: str) -> None:
        if not self._ended.done():
            self._ended.set_exception(Broken(why))


async def load(
    port: int,
    requests: list[bytes],
    *,
    connections: int,
    seconds: float,
    most: int,
    marker: str = "",
) -> dict[str, Any]:
    """Load the server; say how long each answer took, how many there were, and how many of them
    have `marker` in their head. A 503 is counted beside them.
    """
    loop = asyncio.get_running_loop()
    left = _until(cycle(requests), time.perf_counter() + seconds, most)
    latencies: list[float] = []
    marked = unavailable = 0
    sought = marker.encode()

    def took(seconds: float, head: bytes) -> None:
        nonlocal marked, unavailable
        if UNAVAILABLE in head[:15]:
            unavailable += 1
            return
        latencies.append(seconds)
        marked += sought in head

    ends = [loop.create_future() for _ in range(connections)]
    made: list[Connection] = []
    began = time.perf_counter()
    try:
        for end in ends:
            new = partial(Connection, lambda: next(left, None), took, end)
            made.append((await loop.create_connection(new, LOOPBACK, port))[1])
        await asyncio.wait_for(asyncio.gather(*ends), seconds + STUCK_S)
        passed = time.perf_counter() - began
    finally:
        for connection in made:
            await connection.hang_up()
    return {
        "requests": len(latencies),
        "marked": marked,
        "unavailable": unavailable,
        "per_second": len(latencies) / passed,
        "latency_ms": {name: 1000 * value for name, value in quantiles(latencies).items()},
    }


def _until(requests: Iterator[bytes], deadline: float, most: int) -> Iterator[bytes]:
    for _ in range(most):
        if time.perf_counter() > deadline:
            return
        yield next(requests)


class Floor(asyncio.Protocol):
    """Answers whatever comes, once for each request that fits into one piece."""

    def __init__(self, answer: bytes) -> None:
        self._answer, self._missing = answer, 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep what answers are written to."""
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        """Answer when the request is there as a whole."""
        if not self._missing:
            head, _, body = data.partition(HEAD_END)
            length = int(head.lower().split(LENGTH, 1)[1].split(b"\r", 1)[0])
            self._missing = length - len(body)
        else:
            self._missing -= len(data)
        if not self._missing:
            self._transport.write(self._answer)


async def serve_floor(port: int, size: int) -> None:
    """Listen until the process is ended."""
    answer = b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % size + b"x" * size
    server = await asyncio.get_running_loop().create_server(lambda: Floor(answer), LOOPBACK, port)
    print("ready", flush=True)
    await server.serve_forever()


def main() -> None:
    """Read a plan, do it, print what was seen."""
    plan = json.load(sys.stdin)
    if sys.argv[1:] == ["floor"]:
        uvloop.run(serve_floor(plan["port"], plan["size"]))
    requests = [request.encode() for request in plan.pop("requests")]
    print(json.dumps(uvloop.run(load(requests=requests, **plan))))


if __name__ == "__main__":
    main()
