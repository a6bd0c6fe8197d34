"""Patience: one answer's time, which all waiting for stores shares.

What does not come in time, or from a store that is away, is left out and named: an answer with less
in it is better than none.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import TypeVar

from serving.errors import Unavailable

__all__ = ["Patience"]

T = TypeVar("T")


class Patience:
    """Begins when it is made; `missed` names what was left out."""

    def __init__(self, seconds: float) -> None:
        self._ends_at = asyncio.get_running_loop().time() + seconds
        self.missed: set[str] = set()

    async def wait(self, name: str, coming: Awaitable[T], otherwise: T) -> T:
        """What comes, or `otherwise`."""
        try:
            async with asyncio.timeout_at(self._ends_at):
                return await coming
        except (TimeoutError, Unavailable):
            self.missed.add(name)
            return otherwise
