"""Which sources are degraded: too many of their events break the contract at present."""

from __future__ import annotations

from serving.errors import Unavailable
from serving.postgres import Postgres
from serving.refreshed import Refreshed

__all__ = ["DegradedSources"]

READ = "SELECT topic FROM online.source_health WHERE state = 'degraded'"


class DegradedSources(Refreshed):
    """A set of topics, as PostgreSQL had it some seconds ago."""

    def __init__(self, postgres: Postgres) -> None:
        super().__init__()
        self._postgres = postgres
        self._topics: frozenset[str] = frozenset()

    def __contains__(self, topic: object) -> bool:
        return topic in self._topics

    async def refresh(self) -> None:
        """Read them; nothing changes while PostgreSQL is away."""
        try:
            rows = await self._postgres.fetch(READ)
        except Unavailable:
            return
        self._topics = frozenset(topic for (topic,) in rows)
