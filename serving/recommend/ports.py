"""What recommending asks of the stores, and their twins in memory."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from serving.online.rows import Row

__all__ = ["Features", "MemoryFeatures", "MemoryRecent", "RecentProducts"]


class Features(Protocol):
    """Rows of the online store (`serving.online.reader.OnlineReader`)."""

    async def read(
        self, view: str, ids: Sequence[str], features: Sequence[str] | None = None
    ) -> list[Row]:
        """One row for each id, in their order; raises `Unavailable`."""
        ...


class RecentProducts(Protocol):
    """The products that a user touched last."""

    async def of(self, user_id: str) -> list[str]:
        """At most 50, oldest first; none where the list is not known. Raises `Unavailable`."""
        ...


@dataclass
class MemoryFeatures:
    """`rows`: view -> id -> features."""

    rows: dict[str, dict[str, Mapping[str, Any]]] = field(default_factory=dict)

    async def read(
        self, view: str, ids: Sequence[str], features: Sequence[str] | None = None
    ) -> list[Row]:
        """The rows that were put there."""
        return [self._row(self.rows.get(view, {}), name, features) for name in ids]

    def _row(
        self, rows: Mapping[str, Mapping[str, Any]], name: str, features: Sequence[str] | None
    ) -> Row:
        if (found := rows.get(name)) is None:
            return Row(id=name)
        return Row(id=name, features={one: found.get(one) for one in features or found})


@dataclass
class MemoryRecent:
    """`lists`: user -> products, oldest first."""

    lists: dict[str, list[str]] = field(default_factory=dict)

    async def of(self, user_id: str) -> list[str]:
        """The list that was put there."""
        return self.lists.get(user_id, [])
