"""Errors of the core.

CoreError
├── UnknownName        a name that no declaration has
└── IncompatibleSchema a contract change that would break a reader
"""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches

__all__ = ["CoreError", "IncompatibleSchema", "UnknownName"]


class CoreError(Exception):
    """Anything the core refuses; the message is written for a person."""


class UnknownName(CoreError):
    """A name that nothing was declared under."""

    def __init__(self, kind: str, name: str, known: Iterable[str]) -> None:
        known = sorted(known)
        near = get_close_matches(name, known, n=3) or known
        super().__init__(f"There is no {kind} {name!r}; known are: {', '.join(near)}.")


class IncompatibleSchema(CoreError):
    """A new contract version that would break readers of the old one."""
