"""Recommendations by the API over the real stores, with rows that the real sinks have written."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import msgspec
import polars as pl
import psycopg
import pytest
from redis import Redis
from served import served
from stacks import consume, settings_for

from features.columns import polars_schema
from features.topics import IMPRESSIONS
from features.views import VIEWS
from infra.api_keys import create_key
from infra.database import pipeline_conninfo
from infra.endpoints import Endpoints
from infra.serving import make_services
from serving.recommend.answer import Answer, Asked
from streaming.ports import DEAD, Clock, Epoch, Output
from streaming.sinks.postgres import PostgresEpochStore
from streaming.sinks.redis import RedisSink

pytestmark = pytest.mark.stack
Get = Callable[..., httpx.Response]
NOW = datetime.now(UTC)
# Hotter than whatever other tests leave in the stores.
HOT = 1e9
PRODUCTS = [
    {
        "product_id": f"rec-p{n}",
        "category": ("rec.books", "rec.shoes")[n % 2],
        "price": 10.0 * (n + 1),
        "popularity_score": HOT * (n + 1),
        "view_count_7d": n,
    }
    for n in range(20)
]
SHOPPERS = [
    {
        "user_id": "rec-shopper",
        "avg_order_value_30d": 50.0,
        "top_category_30m": "rec.books",
        "top_category_30d": "rec.books",
        "last_device_type": "mobile",
        "recent_product_ids": ["rec-p18", "rec-p16"],
        "last_seen_at": NOW,
    }
]
EPISODES = [
    {
        "episode_id": f"rec-e{n}",
        "genre": ("rec-drama", "rec-action")[n % 2],
        "read_count_24h": int(HOT) + n,
        "read_count_7d": 1,
        "quality_label": "exclude" if n == 6 else "neutral",
    }
    for n in range(10)
]
READERS = [
    {
        "user_id": "rec-reader",
        "country": "KR",
        "top_genre_24h": "rec-drama",
        "last_episode_ids": ["rec-e8"],
    }
]
SEGMENTS = [
    {"country": "rec-KR", "genre": "rec-action", "hour_of_day": 3, "read_count_7d": 7},
]
ROWS = {
    "product_features": PRODUCTS,
    "commerce_user_features": SHOPPERS,
    "episode_features": EPISODES,
    "user_features": READERS,
    "segment_features": SEGMENTS,
}
RELATED = """
    INSERT INTO online.related_products
        (product_id, as_of_date, user_count, products, updated_at, version)
    VALUES ('rec-p16', current_date, 9, %s, now(), 1) ON CONFLICT DO NOTHING"""
GOES_WITH_P16 = b'[{"product_id": "rec-p1", "users": 9, "score": 0.9}]'


@pytest.fixture(scope="module")
def rows(stack: Endpoints) -> Iterator[None]:
    """Written by the sinks of the streams, and by a publication."""
    epoch = Epoch(
        job="recommend",
        checkpoint_id="recommend",
        number=1,
        generation=1,
        committed_at_us=int(NOW.timestamp() * 1e6),
    )
    output = Output(
        rows={view: _frame(view, some) for view, some in ROWS.items()},
        events={},
        dead=pl.DataFrame(schema=DEAD),
        rows_in=1,
        duplicates=0,
    )
    with (
        closing(PostgresEpochStore(pipeline_conninfo(stack.postgres), views=VIEWS)) as postgres,
        closing(RedisSink(stack.redis, views=VIEWS)) as redis,
    ):
        postgres.commit(epoch, output, Clock())
        redis.write(epoch, output)
    with psycopg.connect(stack.postgres) as connection:
        connection.execute(RELATED, [GOES_WITH_P16.decode()])
    yield
    with psycopg.connect(stack.postgres) as connection:
        for view in ROWS:
            key = VIEWS[view].key[0]
            connection.execute(f"DELETE FROM online.{view} WHERE {key} LIKE 'rec-%'")
        connection.execute("DELETE FROM online.related_products WHERE product_id LIKE 'rec-%'")


def _frame(view: str, some: list[dict[str, Any]]) -> pl.DataFrame:
    columns = VIEWS[view].columns
    empty = dict.fromkeys(column.name for column in columns)
    schema = {
        **polars_schema(columns),
        "event_at": pl.Datetime("us", "UTC"),
        "by_event": pl.Boolean(),
    }
    return pl.DataFrame(
        [{**empty, **row, "event_at": NOW, "by_event": True} for row in some], schema=schema
    )


@pytest.fixture(scope="module")
def api(stack: Endpoints, stack_home: Path, rows: None) -> Iterator[httpx.Client]:
    """The API of the stack, with a key that may read."""
    del rows
    _, key = create_key(stack.postgres, ["read"], "recommend")
    with (
        served(settings_for(stack_home), stack) as url,
        httpx.Client(base_url=url, headers={"Authorization": f"Bearer {key}"}) as client,
    ):
        yield client


@pytest.fixture(scope="module")
def get(api: httpx.Client) -> Get:
    """`GET` of a user's recommendations."""

    def answer(user_id: str, **asked: Any) -> httpx.Response:
        return api.get(f"/v1/recommendations/{user_id}", params=asked)

    return answer


def test_a_shopper_gets_products_with_reasons(get: Get) -> None:
    answer = get("rec-shopper")
    assert answer.status_code == 200
    document = answer.json()
    items = document["items"]
    assert [item["rank"] for item in items] == list(range(1, 11))
    assert document["domain"] == "commerce"
    assert (document["arm"], document["model"]["name"]) == ("rules", "rules")
    assert not document["cold_start"]
    assert document["degraded"] == []
    assert (items[0]["id"], items[0]["reason"]) == ("rec-p1", "goes_with_recent")
    assert items[0]["because"] == "Shoppers who chose rec-p16 chose this, too."
    assert items[0]["values"]["price_vs_avg_order"] == pytest.approx(20 / 50)
    assert {item["id"] for item in items}.isdisjoint({"rec-p16", "rec-p18"})
    assert items[1]["values"]["category_match"] is True
    scores = [item["score"] for item in items]
    assert scores == sorted(scores, reverse=True)
    assert items[3]["score"] == pytest.approx(sum(items[3]["parts"].values()))


def test_a_reader_gets_episodes_but_none_that_quality_excludes(
    get: Get,
) -> None:
    document = get("rec-reader", k=4).json()
    assert document["domain"] == "webtoon"
    assert [item["id"] for item in document["items"]] == ["rec-e4", "rec-e2", "rec-e0", "rec-e9"]
    assert document["items"][0]["reason"] == "genre_of_interest"


def test_a_stranger_gets_what_is_popular(get: Get) -> None:
    document = get("rec-nobody", k=3).json()
    assert document["cold_start"]
    assert [item["id"] for item in document["items"]] == ["rec-p19", "rec-p18", "rec-p17"]
    in_country = get("rec-nobody", k=2, domain="webtoon", country="rec-KR").json()
    assert [item["id"] for item in in_country["items"]] == ["rec-e9", "rec-e7"]


def test_without_redis_the_rows_of_postgres_say_the_same(get: Get, stack: Endpoints) -> None:
    before = get("rec-shopper").json()["items"]
    with closing(Redis.from_url(stack.redis)) as redis:
        redis.delete("user_features:rec-shopper", "user_recent_products:rec-shopper")
    assert get("rec-shopper").json()["items"] == before


def test_the_list_in_redis_counts_at_once(get: Get, stack: Endpoints) -> None:
    with closing(Redis.from_url(stack.redis)) as redis:
        redis.rpush("user_recent_products:rec-new", "rec-p16")
        document = get("rec-new").json()
        redis.delete("user_recent_products:rec-new")
    assert document["items"][0]["id"] == "rec-p1"
    assert "rec-p16" not in {item["id"] for item in document["items"]}


def test_a_key_that_holds_no_list_is_no_list(get: Get, stack: Endpoints) -> None:
    with closing(Redis.from_url(stack.redis)) as redis:
        redis.set("user_recent_products:rec-odd", "no list")
        answer = get("rec-odd")
        redis.delete("user_recent_products:rec-odd")
    assert answer.status_code == 200
    assert answer.json()["cold_start"]


def test_what_was_shown_is_in_the_topic(get: Get, stack: Endpoints) -> None:
    document = get("rec-shopper", k=3).json()
    one = _told(stack, document["request_id"])
    assert [(i["rank"], i["id"]) for i in one["items"]] == [
        (item["rank"], item["id"]) for item in document["items"]
    ]
    assert one["items"][0]["features"] == document["items"][0]["values"]
    assert one["user_features"]["preferred_category"] == "rec.books"
    assert one["feature_versions"]["product_features"] == VIEWS["product_features"].version
    assert (one["arm"], one["model_version"]) == (document["arm"], document["model"]["version"])


def _told(stack: Endpoints, request_id: str) -> dict[str, Any]:
    """It is told behind the answer, so it may come a little later."""
    for _ in range(50):
        told = [msgspec.json.decode(m.value()) for m in consume(stack, IMPRESSIONS)]
        if found := [each for each in told if each["request_id"] == request_id]:
            (one,) = found
            return dict(one)
        time.sleep(0.1)
    raise AssertionError(f"no impression of {request_id}")


def test_request_time_features_of_pairs(api: httpx.Client) -> None:
    body = {"user_id": "rec-shopper", "product_ids": ["rec-p4", "rec-p5", "rec-unknown"]}
    answer = api.post("/v1/recommendation-features", json=body)
    expected = [
        ("rec-p4", pytest.approx(1.0), True, 0.5),
        ("rec-p5", pytest.approx(1.2), False, 0.5),
        ("rec-unknown", None, None, 0.5),
    ]
    assert answer.status_code == 200
    assert [
        (
            each["product_id"],
            each["price_vs_avg_order"],
            each["category_match"],
            each["device_optimization"],
        )
        for each in answer.json()["results"]
    ] == expected


def test_ids_that_no_store_can_hold_are_unknown(api: httpx.Client) -> None:
    body = b'{"user_id": "\\u0000", "product_ids": ["\\u0000", "p|q", ""]}'
    answer = api.post("/v1/recommendation-features", content=body)
    assert answer.status_code == 200
    assert [each["price_vs_avg_order"] for each in answer.json()["results"]] == [None] * 3


@pytest.mark.parametrize("user_id", ["%00", "a%2Fb", "%F0%9F%98%80", "x" * 2_000, "%FF", "|"])
def test_any_user_id_gets_an_answer(get: Get, user_id: str) -> None:
    answer = get(user_id, k=2)
    assert answer.status_code == 200
    assert len(answer.json()["items"]) == 2


def test_dead_stores_cost_less_than_half_a_second(stack: Endpoints, stack_home: Path) -> None:
    dead = replace(
        stack,
        redis="redis://127.0.0.1:9/0",
        postgres="postgresql://nobody@127.0.0.1:9/none",
        kafka="127.0.0.1:9",
    )
    services = make_services(settings_for(stack_home), dead)
    assert services.recommender is not None
    recommender = services.recommender

    async def timed() -> tuple[float, Answer]:
        await services.start()
        began = time.perf_counter()
        answer = await recommender.recommend(Asked(request_id="r", user_id="u", k=10))
        seconds = time.perf_counter() - began
        await services.stop()
        return seconds, answer

    seconds, answer = asyncio.run(timed())
    assert seconds < 0.5
    assert answer.items == []
    assert "catalogue" in answer.degraded
