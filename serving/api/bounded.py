"""No request has more bytes than it may: told by its head, or by what has come so far."""

from __future__ import annotations

from collections.abc import Mapping

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from serving.api.answers import refused
from serving.errors import ServingError, TooLarge

__all__ = ["Bounded"]


class Bounded:
    """Refuses what is larger before anybody reads it; `larger`: paths that may have more."""

    def __init__(self, app: ASGIApp, *, most: int, larger: Mapping[str, int]) -> None:
        self._app = app
        self._most = most
        self._larger = larger

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] == "GET":
            await self._app(scope, receive, send)
            return
        most = self._larger.get(scope["path"], self._most)
        if _declared(scope) > most:
            await refused(_too_large(most))(scope, receive, send)
        else:
            await self._app(scope, _counting(receive, most), send)


def _counting(receive: Receive, most: int) -> Receive:
    seen = 0

    async def counted() -> Message:
        nonlocal seen
        message = await receive()
        seen += len(message.get("body", b""))
        if seen > most:
            raise _too_large(most)
        return message

    return counted


def _too_large(most: int) -> ServingError:
    return TooLarge(f"A request may have {most:,} bytes.")


def _declared(scope: Scope) -> int:
    for name, value in scope["headers"]:
        if name == b"content-length":
            return int(value) if value.isdigit() else 0
    return 0
