"""What the reader needs of a store."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from serving.online.plan import Found, Plan

__all__ = ["Degraded", "Entities", "RowStore"]

# Id -> its parts, as PostgreSQL and JSON spell them.
Entities = Mapping[str, tuple[str, ...]]


class RowStore(Protocol):
    """One of the two stores."""

    async def read(self, plan: Plan, entities: Entities) -> dict[str, Found]:
        """The rows that it has; raises `Unavailable` if it does not answer in time."""
        ...


class Degraded(Protocol):
    """Which sources are not to be trusted at present."""

    def __contains__(self, topic: object, /) -> bool: ...
