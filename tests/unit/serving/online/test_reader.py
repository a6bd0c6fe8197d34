"""Redis first, PostgreSQL for the rest, and what is told when one of them or both are away."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence

import pytest

from serving.errors import NotFound, Unavailable
from serving.online.plan import Found, Plan
from serving.online.ports import Entities
from serving.online.reader import Answer, OnlineReader
from serving.online.rows import Source

AT = b"2026-01-01T00:00:00.000000Z"


class Store:
    """`known` None: away."""

    def __init__(self, source: Source, known: set[str] | None) -> None:
        self.source = source
        self.known = known
        self.asked: list[str] = []

    async def read(self, plan: Plan, entities: Entities) -> dict[str, Found]:
        self.asked += entities
        if self.known is None:
            raise Unavailable("away")
        pieces = [b"1"] * len(plan.names)
        return {i: Found(AT, AT, pieces, self.source) for i in entities if i in self.known}


def find(redis: Store, postgres: Store, *ids: str, degraded: Sequence[str] = ()) -> Answer:
    reader = OnlineReader(redis, postgres, degraded)
    return asyncio.run(reader.find("user_features", ids, ["read_count_1h"]))


def test_postgres_is_asked_for_what_redis_does_not_have() -> None:
    redis, postgres = Store("redis", {"a"}), Store("postgres", {"b"})
    answer = find(redis, postgres, "a", "b", "c")
    assert postgres.asked == ["b", "c"]
    assert [row.source for row in answer.rows(["a", "b", "c"])] == ["redis", "postgres", "none"]
    assert answer.source == "mixed"


def test_postgres_is_not_asked_when_redis_has_all() -> None:
    postgres = Store("postgres", set())
    assert find(Store("redis", {"a"}), postgres, "a").source == "redis"
    assert postgres.asked == []


def test_postgres_answers_while_redis_is_away() -> None:
    assert find(Store("redis", None), Store("postgres", {"a"}), "a").source == "postgres"


def test_what_nobody_could_be_asked_for_is_told_apart_from_what_is_unknown() -> None:
    answer = find(Store("redis", {"a"}), Store("postgres", None), "a", "b")
    assert [row.is_unavailable for row in answer.rows(["a", "b"])] == [False, True]
    assert json.loads(answer.documents(["b"])[0]) == {
        "id": "b",
        "features": None,
        "event_at": None,
        "updated_at": None,
        "age_ms": None,
        "unavailable": True,
    }


def test_nothing_is_answered_when_both_are_away() -> None:
    with pytest.raises(Unavailable):
        find(Store("redis", None), Store("postgres", None), "a")


def test_how_old_the_oldest_row_is_and_how_many_are_stale() -> None:
    answer = find(Store("redis", {"a", "b"}), Store("postgres", set()), "a", "b", "c")
    assert answer.oldest_ms is not None
    assert answer.oldest_ms > 7_200_000
    assert answer.stale_count == 2
    nothing = find(Store("redis", set()), Store("postgres", set()), "a")
    assert (nothing.oldest_ms, nothing.stale_count) == (None, 0)


def test_an_id_may_be_asked_for_twice() -> None:
    redis = Store("redis", {"a"})
    answer = find(redis, Store("postgres", set()), "a", "a")
    assert [row.id for row in answer.rows(["a", "a"])] == ["a", "a"]
    assert redis.asked == ["a"]


def test_nobody_is_asked_for_what_is_no_id() -> None:
    redis, postgres = Store("redis", set()), Store("postgres", set())
    reader = OnlineReader(redis, postgres)
    (row,) = asyncio.run(reader.read("session_features", ["no episode"]))
    assert row.features is None
    assert redis.asked == postgres.asked == []


def test_a_degraded_source_marks_its_views() -> None:
    answer = find(
        Store("redis", {"a"}), Store("postgres", set()), "a", degraded=["webtoon_user_events"]
    )
    assert answer.rows(["a"])[0].is_degraded


@pytest.mark.parametrize(
    ("view", "feature"), [("user_featurs", "country"), ("user_features", "nope")]
)
def test_unknown_names_are_refused(view: str, feature: str) -> None:
    reader = OnlineReader(Store("redis", set()), Store("postgres", set()))
    with pytest.raises(NotFound):
        asyncio.run(reader.read(view, ["a"], [feature]))
