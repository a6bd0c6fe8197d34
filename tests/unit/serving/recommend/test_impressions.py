"""What is told of an answer, and what happens when nobody listens."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime

import msgspec
import pytest

from features.topics import IMPRESSIONS
from serving.collector.log import EventLog, MemoryEventLog, Outgoing
from serving.metrics.values import Metrics
from serving.recommend import impressions
from serving.recommend.answer import Answer, Asked, Found
from serving.recommend.impressions import KafkaImpressions, impression_of
from serving.recommend.rankers import Candidate, Label, RuleRanker
from serving.recommend.ranking import rank
from serving.recommend.shop import SHOP_SIGNALS

SHOWN_AT = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
USER = {"preferred_category": "books", "avg_order_value": None}
CANDIDATES = [Candidate("p1", {"category": "books", "popularity": 0.5})]
ANSWER = Answer(
    asked=Asked(request_id="r1", user_id="u1", k=10),
    domain="commerce",
    arm="rules",
    ranker=Label("rules", "1"),
    found=Found(
        user=USER,
        candidates=CANDIDATES,
        without=(),
        is_cold=False,
        views=("commerce_user_features", "product_features"),
    ),
    items=rank(CANDIDATES, user=USER, ranker=RuleRanker(SHOP_SIGNALS), signals=SHOP_SIGNALS, k=10),
    degraded=[],
)


def told(log: EventLog, *answers: Answer) -> tuple[int, int]:
    """How many were told, and how many lost."""
    metrics = Metrics()

    async def offer() -> None:
        teller = KafkaImpressions(log, metrics, now=lambda: SHOWN_AT)
        for answer in answers:
            teller.offer(answer)
        await teller.drain()

    asyncio.run(offer())
    counted = metrics.exposition().decode()
    told, lost = (_count(counted, outcome) for outcome in ("told", "lost"))
    assert (
        f'userflow_api_recommendations_total{{arm="rules",domain="commerce",model="rules"}} '
        f"{len(answers)}.0" in counted
    )
    return told, lost


def _count(exposition: str, outcome: str) -> int:
    name = f'userflow_api_impressions_total{{outcome="{outcome}"}} '
    found = [line.removeprefix(name) for line in exposition.splitlines() if line.startswith(name)]
    return int(float(found[0])) if found else 0


def test_an_impression_has_what_was_shown_and_what_decided() -> None:
    said = impression_of(ANSWER, SHOWN_AT)
    score = said["items"][0].pop("score")
    assert score == ANSWER.items[0].score
    assert said == {
        "message_id": said["message_id"],
        "request_id": "r1",
        "user_id": "u1",
        "shown_at": "2026-01-02T03:04:05.000000Z",
        "domain": "commerce",
        "arm": "rules",
        "model": "rules",
        "model_version": "1",
        "feature_versions": {"commerce_user_features": 1, "product_features": 1},
        "cold_start": False,
        "degraded": [],
        "user_features": USER,
        "items": [
            {
                "id": "p1",
                "rank": 1,
                "reason": "category_of_interest",
                "features": {"category": "books", "popularity": 0.5},
            }
        ],
    }


def test_the_id_of_a_message_is_that_of_its_request() -> None:
    again = impression_of(ANSWER, datetime(2027, 1, 1, tzinfo=UTC))
    other = replace(ANSWER, asked=replace(ANSWER.asked, request_id="r2"))
    assert again["message_id"] == impression_of(ANSWER, SHOWN_AT)["message_id"]
    assert again["message_id"] != impression_of(other, SHOWN_AT)["message_id"]


def test_impressions_of_a_user_share_a_partition() -> None:
    log = MemoryEventLog()
    assert told(log, ANSWER, ANSWER) == (2, 0)
    assert {(record.topic, record.key) for record in log.records} == {(IMPRESSIONS, "u1")}
    assert msgspec.json.decode(log.records[0].value) == impression_of(ANSWER, SHOWN_AT)


def test_what_kafka_does_not_take_is_counted() -> None:
    assert told(MemoryEventLog(away=True), ANSWER) == (0, 1)


class Stuck:
    """A log that takes its time."""

    async def append(self, records: Sequence[Outgoing]) -> None:
        await asyncio.sleep(0.01 * len(records))

    def close(self) -> None:
        """Nothing is queued."""


def test_no_more_wait_than_memory_is_set_aside_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(impressions, "MOST_WAITING", 3)
    assert told(Stuck(), *[ANSWER] * 5) == (3, 2)
