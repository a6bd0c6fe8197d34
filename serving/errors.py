"""The errors of serving: each says which HTTP status it is and why, in one sentence.

ServingError
├── BadRequest       400  what came is not what was asked for; `field` names it
├── Unauthorised     401  no key, or one that nobody knows
├── Forbidden        403  a key without the scope that is needed
├── NotFound         404  an unknown view, feature, entity ...; `nearest` are names like it
├── TooLarge         413  more bytes or more entities than one request may have
├── Unprocessable    422  readable, but a value cannot be used; `field` names it
├── TooMany          429  the key has used what it may use for now
└── Unavailable      503  a store or the broker is away, try again after `retry_after_s`
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from difflib import get_close_matches
from typing import Any, ClassVar

__all__ = [
    "BadRequest",
    "Forbidden",
    "NotFound",
    "ServingError",
    "TooLarge",
    "TooMany",
    "Unauthorised",
    "Unavailable",
    "Unprocessable",
]


class ServingError(Exception):
    """What a client is told: a status, a code for programs, a sentence for people."""

    status: ClassVar[int] = 400
    code: ClassVar[str] = "bad_request"

    def __init__(self, message: str, **details: Any) -> None:
        super().__init__(message)
        self.details = {name: value for name, value in details.items() if value is not None}

    @property
    def headers(self) -> dict[str, str]:
        """What the answer's head says of it."""
        return {}

    def to_json(self) -> dict[str, Any]:
        """The public form."""
        return {"error": {"code": self.code, "message": str(self), **self.details}}


class BadRequest(ServingError):
    """What came is not what was asked for; `field=` names it."""


class Unauthorised(ServingError):
    """There is no key, or one that nobody knows."""

    status, code = 401, "unauthorised"

    @property
    def headers(self) -> dict[str, str]:
        return {"WWW-Authenticate": "Bearer"}


class Forbidden(ServingError):
    """The key has not the scope that is needed."""

    status, code = 403, "forbidden"


class NotFound(ServingError):
    """There is nothing of that name."""

    status, code = 404, "not_found"

    @classmethod
    def named(cls, kind: str, name: str, known: Iterable[str]) -> NotFound:
        """With the names that are nearest to it."""
        nearest = get_close_matches(name[:200], known, n=3, cutoff=0.4)
        like = f" Like it: {', '.join(nearest)}." if nearest else ""
        return cls(f"There is no {kind} {name[:200]!r}.{like}", nearest=nearest)


class TooLarge(ServingError):
    """More bytes or more entities than one request may have."""

    status, code = 413, "too_large"


class Unprocessable(ServingError):
    """It can be read, but a value cannot be used; `field=` names it."""

    status, code = 422, "unprocessable"


class TooMany(ServingError):
    """The key has used what it may use for now."""

    status, code = 429, "too_many_requests"

    def __init__(self, message: str, *, retry_after_s: float) -> None:
        super().__init__(message)
        self._retry_after_s = retry_after_s

    @property
    def headers(self) -> dict[str, str]:
        return {"Retry-After": str(max(1, math.ceil(self._retry_after_s)))}


class Unavailable(ServingError):
    """A store or the broker is away."""

    status, code = 503, "unavailable"

    def __init__(self, message: str, *, retry_after_s: float = 1) -> None:
        super().__init__(message)
        self._retry_after_s = retry_after_s

    @property
    def headers(self) -> dict[str, str]:
        return {"Retry-After": str(max(1, math.ceil(self._retry_after_s)))}
