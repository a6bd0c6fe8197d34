"""Impressions: what was shown, to whom, by which ranker, and the values it was decided by.

They are told behind the answer, never before it. The id of a message is made of the request's, so
one that is sent twice is known; one that is not sent is counted.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from hashlib import blake2b
from typing import Any, Protocol

import msgspec

from features.topics import IMPRESSIONS
from serving.collector.log import EventLog, Outgoing
from serving.errors import Unavailable
from serving.metrics.values import Metrics
from serving.recommend.answer import Answer

__all__ = ["Impressions", "KafkaImpressions", "MemoryImpressions", "impression_of"]

# What waits while Kafka is away is memory of ours; beyond it impressions are lost, and counted.
MOST_WAITING = 1_000
TOLD, LOST = "told", "lost"
TIME = "%Y-%m-%dT%H:%M:%S.%fZ"


class Impressions(Protocol):
    """Takes one without waiting."""

    def offer(self, answer: Answer) -> None:
        """Tell it, or count it as lost."""
        ...

    async def drain(self) -> None:
        """Wait for those that are under way."""
        ...


def impression_of(answer: Answer, shown_at: datetime) -> dict[str, Any]:
    """The message."""
    asked, found = answer.asked, answer.found
    return {
        "message_id": _message_id(answer),
        "request_id": asked.request_id,
        "user_id": asked.user_id,
        "shown_at": shown_at.astimezone(UTC).strftime(TIME),
        "domain": answer.domain,
        "arm": answer.arm,
        "model": answer.ranker.name,
        "model_version": answer.ranker.version,
        "feature_versions": found.feature_versions,
        "cold_start": found.is_cold,
        "degraded": list(answer.degraded),
        "user_features": dict(found.user),
        "items": [
            {
                "id": item.id,
                "rank": item.rank,
                "score": item.score,
                "reason": item.reason.code,
                "features": dict(item.values),
            }
            for item in answer.items
        ],
    }


class KafkaImpressions:
    """Tells them to a log of events, and counts what it takes and what it does not."""

    def __init__(
        self,
        log: EventLog,
        metrics: Metrics,
        *,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._log, self._metrics, self._now = log, metrics, now
        self._waiting: set[asyncio.Task[None]] = set()

    def offer(self, answer: Answer) -> None:
        """Tell it behind the answer."""
        of = (answer.domain, answer.arm, answer.ranker.name)
        self._metrics.add("userflow_api_recommendations_total", 1, *of)
        if len(self._waiting) >= MOST_WAITING:
            self._count(LOST)
            return
        task = asyncio.create_task(self._tell(answer, self._now()))
        self._waiting.add(task)
        task.add_done_callback(self._waiting.discard)

    async def drain(self) -> None:
        """Wait for those that are under way."""
        await asyncio.gather(*self._waiting, return_exceptions=True)

    async def _tell(self, answer: Answer, shown_at: datetime) -> None:
        record = Outgoing(
            topic=IMPRESSIONS,
            key=answer.asked.user_id,
            value=msgspec.json.encode(impression_of(answer, shown_at)),
            received_at_ms=int(shown_at.timestamp() * 1000),
        )
        try:
            await self._log.append([record])
        except Unavailable:
            self._count(LOST)
        else:
            self._count(TOLD)

    def _count(self, outcome: str) -> None:
        self._metrics.add("userflow_api_impressions_total", 1, outcome)


@dataclass
class MemoryImpressions:
    """Keeps the answers."""

    answers: list[Answer] = field(default_factory=list)

    def offer(self, answer: Answer) -> None:
        """Keep it."""
        self.answers.append(answer)

    async def drain(self) -> None:
        """None is under way."""


def _message_id(answer: Answer) -> str:
    said = (IMPRESSIONS, answer.asked.request_id, answer.asked.user_id)
    return blake2b("\x1f".join(said).encode("utf-8", "replace"), digest_size=16).hexdigest()
