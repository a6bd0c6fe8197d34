"""Around everything: each answer is counted and logged, and no failure of ours reaches a client.

The log has no body, no query, no id and no key; who called stands in it by the id of the key.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import Any

import msgspec
import structlog
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from serving.metrics.values import Metrics

__all__ = ["Observed", "access_log"]

FAILED = b'{"error":{"code":"internal","message":"This could not be answered; the log says why."}}'
# What is noted when nobody waits for the answer any more; nothing is sent.
GONE = 499
JSON = (b"content-type", b"application/json")
Log = Callable[..., Any]


class Observed:
    """The outermost application."""

    def __init__(self, app: ASGIApp, *, metrics: Metrics, log: Log | None) -> None:
        self._app = app
        self._metrics = metrics
        self._log = log

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began, status, size = time.perf_counter(), 0, 0

        async def noticing(message: Message) -> None:
            nonlocal status, size
            if message["type"] == "http.response.start":
                status = message["status"]
            else:
                size += len(message.get("body", b""))
            await send(message)

        try:
            await self._app(scope, receive, noticing)
        except ClientDisconnect:
            status = status or GONE
        except Exception:
            structlog.get_logger().exception("request_failed", route=_route(scope))
            if status:
                raise  # half of an answer is no answer: the connection has to end
            await _fail(noticing)
        finally:
            self._note(scope, status, size, time.perf_counter() - began)

    def _note(self, scope: Scope, status: int, size: int, seconds: float) -> None:
        route = _route(scope)
        self._metrics.add("userflow_api_requests_total", 1, route, str(status))
        self._metrics.observe("userflow_api_request_duration_seconds", seconds, route)
        if self._log:
            self._log(
                "request",
                method=scope["method"],
                route=route,
                status=status,
                ms=round(seconds * 1000, 2),
                bytes=size,
                key_id=scope.get("userflow.key_id"),
            )


def _route(scope: Scope) -> str:
    """The template of the path."""
    return getattr(scope.get("route"), "path_format", "none")


async def _fail(send: Send) -> None:
    await send({"type": "http.response.start", "status": 500, "headers": [JSON]})
    await send({"type": "http.response.body", "body": FAILED})


def access_log() -> Log:
    """One line of JSON for each request on standard error, as cheap as a line can be."""
    log: Log = structlog.wrap_logger(
        structlog.BytesLogger(sys.stderr.buffer),
        processors=[
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.JSONRenderer(serializer=_serialised),
        ],
        wrapper_class=structlog.BoundLogger,
        cache_logger_on_first_use=True,
    ).info
    return log


def _serialised(document: Any, **_: Any) -> bytes:
    return msgspec.json.encode(document)
