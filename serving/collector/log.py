"""Where accepted events go: a port, and its twin in memory."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

from serving.errors import Unavailable

__all__ = ["EventLog", "EventsAway", "MemoryEventLog", "Outgoing"]


class EventsAway(Unavailable):
    """Kafka is away or too busy: nothing is known to be written, so send all of it again.

    Some of it may be there nevertheless. Events keep their ids, so the streams drop the copies.
    """


@dataclass(frozen=True, slots=True)
class Outgoing:
    """One record; `received_at_ms` becomes its header, by which the streams judge its time."""

    topic: str
    key: str | None
    value: bytes
    received_at_ms: int


class EventLog(Protocol):
    """Appends records, and returns when they are safe; started and stopped with the app."""

    async def start(self) -> None:
        """Get ready; waits for nobody."""

    async def append(self, records: Sequence[Outgoing]) -> None:
        """Returns when all are written; raises `EventsAway` within the time of an answer."""

    async def stop(self) -> None:
        """Deliver what is queued, for as long as that takes little time."""


@dataclass
class MemoryEventLog:
    """`away`: every append is refused."""

    records: list[Outgoing] = field(default_factory=list)
    away: bool = False

    async def append(self, records: Sequence[Outgoing]) -> None:
        """Keep them."""
        if self.away:
            raise EventsAway("The log is away.")
        self.records.extend(records)

    async def start(self) -> None:
        """Nothing to do."""

    async def stop(self) -> None:
        """Nothing is queued."""
