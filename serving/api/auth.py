"""Who may call what: `Depends(needs("read"))` on a route, and its key in the handler if wanted."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any

from fastapi import Request

from serving.api.keys import Key, Scope
from serving.api.services import services_of
from serving.errors import Forbidden, Unauthorised

__all__ = ["needs", "needs_also_in_query"]

Dependency = Callable[[Request], Coroutine[Any, Any, Key]]


def needs(scope: Scope) -> Dependency:
    """A dependency: the key of `Authorization: Bearer`, which must have this scope.

    Without a key that is known it answers 401, without the scope 403.
    """

    async def authorise(request: Request) -> Key:
        return await _authorised(request, _bearer(request), scope)

    return authorise


def needs_also_in_query(scope: Scope) -> Dependency:
    """The same, but `?key=` will do: for a browser's beacon, which can set no headers."""

    async def authorise(request: Request) -> Key:
        secret = _bearer(request) or request.query_params.get("key")
        return await _authorised(request, secret, scope)

    return authorise


def _bearer(request: Request) -> str | None:
    kind, _, secret = request.headers.get("authorization", "").partition(" ")
    return secret.strip() if kind.lower() == "bearer" and secret.strip() else None


async def _authorised(request: Request, secret: str | None, scope: Scope) -> Key:
    if secret is None:
        raise Unauthorised("A key is missing: send it as `Authorization: Bearer <key>`.")
    key = await services_of(request).keys.find(secret)
    if scope not in key.scopes:
        raise Forbidden(f"This key may not {scope}: it has {', '.join(sorted(key.scopes))}.")
    return key
