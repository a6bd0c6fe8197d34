"""Who may call what: `Depends(needs("read"))` on a route, and its key in the handler if wanted."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Annotated, Any

from fastapi import Depends, Request
from fastapi.security import HTTPBearer
from starlette.types import Scope as AsgiScope

from serving.api.keys import Key, Scope
from serving.api.services import Services, services_of
from serving.errors import Forbidden, Unauthorised

__all__ = ["authorise", "needs", "needs_also_in_query"]

Dependency = Callable[..., Coroutine[Any, Any, Key]]
# What `/docs` shows; who is allowed is decided below.
DOCUMENTED = HTTPBearer(
    auto_error=False, description="A key of `userflow keys create`.", scheme_name="key"
)
Shown = Annotated[Any, Depends(DOCUMENTED)]


def needs(scope: Scope) -> Dependency:
    """A dependency: the key of `Authorization: Bearer`, which must have this scope.

    Without a key that is known it answers 401, without the scope 403, and 429 when the key has sent
    too much.
    """

    async def allowed(request: Request, _: Shown) -> Key:
        return await authorise(services_of(request), request.scope, scope)

    return allowed


def needs_also_in_query(scope: Scope) -> Dependency:
    """The same, but `?key=` will do: for a browser's beacon, which can set no headers. Such a key
    may do nothing else: whoever sees the address has it.
    """

    async def allowed(request: Request, _: Shown) -> Key:
        uses, given = services_of(request), request.query_params.get("key")
        if given is None or _bearer(request.scope) is not None:
            return await authorise(uses, request.scope, scope)
        key = await _allowed(uses, request.scope, given, scope)
        if key.scopes != {scope}:
            raise Forbidden(f"A key in an address may only {scope}: this one may do more.")
        return key

    return allowed


async def authorise(uses: Services, request: AsgiScope, scope: Scope) -> Key:
    """The key of a request, which has this scope; raises what the client is to be told."""
    secret = _bearer(request)
    if secret is None:
        raise Unauthorised("A key is missing: send it as `Authorization: Bearer <key>`.")
    return await _allowed(uses, request, secret, scope)


async def _allowed(uses: Services, request: AsgiScope, secret: str, scope: Scope) -> Key:
    key = uses.keys.known(secret) or await uses.keys.find(secret)
    request["userflow.key_id"] = key.key_id  # for the access log
    if scope not in key.scopes:
        raise Forbidden(f"This key may not {scope}: it may {', '.join(sorted(key.scopes))}.")
    uses.rates.take(key.key_id)
    return key


def _bearer(request: AsgiScope) -> str | None:
    for name, value in request["headers"]:
        if name == b"authorization":
            kind, _, secret = value.decode("latin-1").partition(" ")
            return secret.strip() or None if kind.lower() == "bearer" else None
    return None
