"""A body of JSON as a struct, or a sentence that names the field which is wrong."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any, TypeVar

import msgspec
from fastapi import Request

from serving.errors import BadRequest, ServingError, Unprocessable

__all__ = ["read_json"]

Shape = TypeVar("Shape")
# What msgspec says, with the place behind it: "... - at `$.ids[...]`".
PLACE = re.compile(r"(?P<what>.*?)(?: - at `\$\.?(?P<field>.*)`)?", re.DOTALL)
MISSING = re.compile(r"Object missing required field `(.+)`")


async def read_json(request: Request, shape: type[Shape]) -> Shape:
    """What was sent; raises `BadRequest` if it is no JSON, `Unprocessable` if it has other fields.

    Any content type will do.
    """
    body, decoder = await request.body(), _decoder(shape)  # type: ignore[arg-type] # they hash
    try:
        found: Shape = decoder.decode(body)
    except msgspec.ValidationError as error:
        raise _told(str(error)) from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise BadRequest(f"The body is no JSON: {error}.", field="body") from None
    return found


@lru_cache
def _decoder(shape: Any) -> msgspec.json.Decoder[Any]:
    return msgspec.json.Decoder(shape)


def _told(message: str) -> ServingError:
    match = PLACE.fullmatch(message)
    what, field = (match["what"], match["field"]) if match else (message, None)
    if missing := MISSING.search(what):
        field = ".".join(filter(None, [field, missing[1]]))
    return Unprocessable(f"{field or 'body'}: {what}.", field=field or "body")
