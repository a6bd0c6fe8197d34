"""Routes for what is called thousands of times a second.

FastAPI documents them like any other, but it neither decodes what comes nor checks what goes: the
handler takes the request and returns the answer as bytes. Half of a small request's time goes into
what is left out here.
"""

from __future__ import annotations

from typing import Any, ClassVar

from fastapi import Request
from fastapi.routing import APIRoute
from starlette.types import Receive, Send
from starlette.types import Scope as AsgiScope

from serving.api.auth import authorise
from serving.api.keys import Scope

__all__ = ["DirectRoute"]


class DirectRoute(APIRoute):
    """`APIRouter(route_class=DirectRoute)`: the handler is `async (Request) -> Response`.

    The key must have the scope of the class. What the handler reads of the path or the body is
    told to FastAPI by `openapi_extra`.
    """

    scope: ClassVar[Scope] = "read"

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.app = self._answer

    async def _answer(self, scope: AsgiScope, receive: Receive, send: Send) -> None:
        await authorise(scope["app"].state.services, scope, self.scope)
        response = await self.endpoint(Request(scope, receive))
        await response(scope, receive, send)
