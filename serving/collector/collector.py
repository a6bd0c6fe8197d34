"""From the events of one request to one outcome for each, when Kafka has them."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Sequence

from serving.collector.enrichment import Sender
from serving.collector.judging import Judged, contract_named, judge
from serving.collector.log import EventLog

__all__ = ["Collector"]

# Judging is computing: other requests get their turn in between.
AT_ONCE = 50


def _now_ms() -> int:
    return time.time_ns() // 1_000_000


class Collector:
    """`kept_address`: the form in which a sender's address is kept. `count`: told how many events
    of a topic had which outcome.
    """

    def __init__(
        self,
        log: EventLog,
        *,
        kept_address: Callable[[str | None], str | None],
        count: Callable[[int, str, str], None] = lambda *_: None,
        now_ms: Callable[[], int] = _now_ms,
    ) -> None:
        self._log = log
        self._kept_address = kept_address
        self._count = count
        self._now_ms = now_ms

    async def collect(
        self, topic: str | None, events: Sequence[bytes], address: str | None, agent: str | None
    ) -> list[Judged]:
        """Returns when all are in Kafka; `NotFound` for an unknown topic, `EventsAway` if not."""
        contract = contract_named(topic)
        received_at_ms = self._now_ms()
        sender = Sender(self._kept_address(address), agent)
        judged = []
        for place, raw in enumerate(events, 1):
            judged.append(judge(contract, raw, received_at_ms, sender))
            if place % AT_ONCE == 0:
                await asyncio.sleep(0)
        await self._append(judged)
        return judged

    async def _append(self, judged: Sequence[Judged]) -> None:
        is_taken = False
        try:
            await self._log.append([one.record for one in judged])
            is_taken = True
        finally:
            outcomes = Counter(
                (one.record.topic, _outcome(one, is_taken=is_taken)) for one in judged
            )
            for (topic, outcome), events in outcomes.items():
                self._count(events, topic, outcome)


def _outcome(judged: Judged, *, is_taken: bool) -> str:
    if not is_taken:
        return "untaken"
    return "rejected" if judged.refusal else "accepted"
