"""What is read of the stores to recommend, and what is made of odd answers."""

from __future__ import annotations

import asyncio
from typing import Any, cast

import hiredis
import psycopg
import pytest

from serving.errors import Unavailable
from serving.online.redis_link import command
from serving.recommend.loading import RedisRecent, load_episodes, load_products


class Link:
    """Answers one command."""

    def __init__(self, reply: Any) -> None:
        self._reply = reply
        self.asked = b""

    async def call(self, payload: bytes, replies: int) -> list[Any]:
        self.asked = payload
        return [self._reply] * replies


@pytest.mark.parametrize(
    ("reply", "expected"),
    [
        ([b"p1", "né".encode()], ["p1", "né"]),
        ([], []),
        (hiredis.ReplyError("WRONGTYPE"), []),
        (None, []),
    ],
)
def test_the_list_of_a_user_is_read_with_one_command(reply: Any, expected: list[str]) -> None:
    link = Link(reply)
    assert asyncio.run(RedisRecent(cast("Any", link)).of("u 1")) == expected
    assert link.asked == command("LRANGE", "user_recent_products:u 1", "-50", "-1")


class Postgres:
    """Answers each query with the next rows."""

    def __init__(self, *answers: list[tuple[Any, ...]]) -> None:
        self._answers = list(answers)

    async def fetch(self, _: Any, *, timeout_s: float) -> list[tuple[Any, ...]]:
        assert timeout_s > 1
        return self._answers.pop(0)


class NotMadeYet:
    """Has no tables."""

    async def fetch(self, *_: Any, **__: Any) -> list[tuple[Any, ...]]:
        raise psycopg.errors.UndefinedTable


@pytest.mark.parametrize("load", [load_products, load_episodes])
def test_tables_that_are_not_made_yet_are_a_store_that_is_away(load: Any) -> None:
    with pytest.raises(Unavailable):
        asyncio.run(load(NotMadeYet()))


def test_products_are_arranged_by_category() -> None:
    rows = [("p1", "books", 1.0, 5.0, 7, None, None), ("p2", None, None, None, None, None, None)]
    found = asyncio.run(load_products(cast("Any", Postgres(rows))))
    assert list(found.popular) == ["p1", "p2"]
    assert found.of_group("books") == ["p1"]
    assert found.most_heat == 6.0


def test_episodes_that_quality_excludes_are_not_kept() -> None:
    rows = [
        ("e1", "drama", None, 9, 9, None, None, 1, 10.0, "exclude"),
        ("e2", "drama", None, 5, 5, None, None, 2, 50.0, "neutral"),
    ]
    found = asyncio.run(load_episodes(cast("Any", Postgres(rows, [("KR", "drama", 3.0)]))))
    assert list(found.popular) == ["e2"]
    assert found.shares == {"KR": {"drama": 1.0}}
