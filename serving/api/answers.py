"""Errors as answers: one form for all, `{"error": {"code", "message", ...}}`."""

from __future__ import annotations

import msgspec
from fastapi import Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException

from serving.errors import ServingError, Unprocessable

__all__ = ["invalid", "not_routed", "refused", "refused_request"]

JSON = "application/json"
CODES = {404: "not_found", 405: "method_not_allowed"}


def refused(error: ServingError) -> Response:
    """An error of ours as an answer."""
    body = msgspec.json.encode(error.to_json())
    return Response(body, error.status, headers=error.headers, media_type=JSON)


async def refused_request(_: Request, error: Exception) -> Response:
    """What a handler raised on purpose."""
    if not isinstance(error, ServingError):
        raise error
    return refused(error)


async def invalid(_: Request, error: Exception) -> Response:
    """What FastAPI could not read: the first field that is wrong."""
    if not isinstance(error, RequestValidationError):
        raise error
    first = error.errors()[0]
    field = ".".join(str(part) for part in first["loc"] if part != "body") or "body"
    return refused(Unprocessable(f"{field}: {first['msg']}.", field=field))


async def not_routed(_: Request, error: Exception) -> Response:
    """A path or a method that nobody serves."""
    if not isinstance(error, HTTPException):
        raise error
    message = f"{error.detail}: `/docs` lists what there is."
    told = {"code": CODES.get(error.status_code, "refused"), "message": message}
    return Response(
        msgspec.json.encode({"error": told}),
        error.status_code,
        headers=dict(error.headers or {}),
        media_type=JSON,
    )
