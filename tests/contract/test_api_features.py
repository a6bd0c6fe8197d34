"""Features by the API over the real stores: the same values from both, in time from either."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from datetime import date, datetime
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest
from psycopg import sql
from redis import Redis
from served import served
from served_rows import MOMENT, NOW, ids_of, value_of, written
from stacks import settings_for

from features.views import VIEWS
from infra.api_keys import create_key
from infra.endpoints import Endpoints
from serving.online.served import SERVED

pytestmark = pytest.mark.stack


@pytest.fixture(scope="module")
def rows(stack: Endpoints) -> Iterator[None]:
    with written(stack):
        yield


@pytest.fixture(scope="module")
def key(stack: Endpoints) -> str:
    return create_key(stack.postgres, ["read"], "test")[1]


@pytest.fixture(scope="module")
def api(stack: Endpoints, stack_home: Path, key: str, rows: None) -> Iterator[httpx.Client]:
    with served(settings_for(stack_home), stack) as at, _client(at, key) as client:
        yield client


@pytest.fixture(scope="module")
def without_redis(
    stack: Endpoints, stack_home: Path, key: str, rows: None
) -> Iterator[httpx.Client]:
    """An API that has never found its Redis."""
    elsewhere = replace(stack, redis="redis://127.0.0.1:1")
    with served(settings_for(stack_home), elsewhere) as at, _client(at, key) as client:
        yield client


def _client(address: str, key: str) -> httpx.Client:
    return httpx.Client(base_url=address, headers={"Authorization": f"Bearer {key}"}, timeout=10)


def _many(client: httpx.Client, view: str, **more: Any) -> httpx.Response:
    return client.post("/v1/features", json={"view": view, "ids": ids_of(view), **more})


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    return value.isoformat() if isinstance(value, date) else value


@pytest.mark.parametrize("view", SERVED)
def test_both_stores_give_the_values_that_were_written(
    api: httpx.Client, without_redis: httpx.Client, view: str
) -> None:
    served_view = SERVED[view]
    fast, slow = _many(api, view), _many(without_redis, view)
    in_redis = served_view.redis_key or served_view.batch_key
    assert fast.headers["x-userflow-source"] == ("redis" if in_redis else "postgres")
    assert slow.headers["x-userflow-source"] == "postgres"
    found = [{**row, "age_ms": 0} for row in fast.json()["results"]]
    assert found == [{**row, "age_ms": 0} for row in slow.json()["results"]]
    for number, row in enumerate(found):
        assert row["id"] == ids_of(view)[number]
        assert row["updated_at"] == NOW.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        assert row["event_at"] == (_plain(MOMENT) if served_view.has_event_at else None)
        assert row["features"] == {
            c.name: _plain(value_of(view, c, number, is_key=False)) for c in served_view.features
        }


def test_a_row_tells_how_old_it_is(api: httpx.Client) -> None:
    row = api.get("/v1/features/user_features/api%2Fuser_features%200").json()
    # Both moments count from their millisecond on.
    written_ms = NOW.timestamp() * 1000 // 1
    age_ms = time.time() * 1000 - written_ms
    assert age_ms - 5_000 < row["age_ms"] <= age_ms
    assert "stale" not in row


def test_a_row_beyond_the_limit_of_its_view_is_stale(api: httpx.Client, stack: Endpoints) -> None:
    view, entity_id = "commerce_session_features", "api/old"
    with psycopg.connect(stack.postgres) as owner:
        names = [c.name for c in VIEWS[view].online_columns if not c.nullable]
        given = {"session_id": entity_id, "event_at": MOMENT, "updated_at": MOMENT}
        values = [given.get(name, 1) for name in names]
        owner.execute(
            sql.SQL("INSERT INTO online.{} ({}) VALUES ({})").format(
                sql.Identifier(view),
                sql.SQL(", ").join(map(sql.Identifier, names)),
                sql.SQL(", ").join(sql.Placeholder() * len(names)),
            ),
            values,
        )
    assert api.get(f"/v1/features/{view}/api%2Fold").json()["stale"] is True


def test_only_what_is_asked_for_comes_in_that_order(api: httpx.Client) -> None:
    answer = _many(api, "user_features", features=["top_genre_1h", "country"])
    assert [list(row["features"]) for row in answer.json()["results"]] == [
        ["top_genre_1h", "country"]
    ] * 4


def test_what_redis_lost_comes_from_postgres(api: httpx.Client, stack: Endpoints) -> None:
    with closing(Redis.from_url(stack.redis)) as redis:
        redis.delete("webtoon_user:api/user_features 3")
    answer = _many(api, "user_features")
    assert answer.headers["x-userflow-source"] == "mixed"
    assert all(row["features"] for row in answer.json()["results"])


def test_a_key_of_redis_that_holds_something_else_is_no_row(
    api: httpx.Client, stack: Endpoints
) -> None:
    with closing(Redis.from_url(stack.redis)) as redis:
        redis.set("product:api/other", "1", ex=60)
    assert api.get("/v1/features/product_features/api%2Fother").status_code == 404


@pytest.mark.parametrize("entity_id", ["api/nobody", "a\0b", "%", "'; --", "é" * 500])
def test_an_entity_that_nobody_knows(api: httpx.Client, entity_id: str) -> None:
    answer = api.post("/v1/features", json={"view": "user_features", "ids": [entity_id]})
    (row,) = answer.json()["results"]
    assert (row["id"], row["features"]) == (entity_id, None)
    assert answer.headers["x-userflow-source"] == "none"


def test_a_thousand_entities_in_one_round_trip(api: httpx.Client) -> None:
    ids = [f"api/user_features {n}" for n in range(1000)]
    answer = api.post("/v1/features", json={"view": "user_features", "ids": ids})
    assert [row["id"] for row in answer.json()["results"]] == ids
    assert api.post("/v1/features", json={"view": "user_features", "ids": [*ids, "x"]}).is_error


def _timed(client: httpx.Client, view: str) -> tuple[httpx.Response, float]:
    began = time.monotonic()
    answer = _many(client, view)
    return answer, time.monotonic() - began


def test_a_redis_that_does_not_answer_is_left_for_postgres_in_time(
    api: httpx.Client, stack: Endpoints
) -> None:
    with closing(Redis.from_url(stack.redis)) as redis:
        redis.client_pause(2_000, all=True)
    first, took = _timed(api, "product_features")
    assert first.headers["x-userflow-source"] == "postgres"
    assert took < 0.5
    # Nobody else waits for it.
    again, took = _timed(api, "product_features")
    assert again.headers["x-userflow-source"] == "postgres"
    assert took < 0.15
    deadline = time.monotonic() + 10
    while _many(api, "product_features").headers["x-userflow-source"] != "redis":
        assert time.monotonic() < deadline
        time.sleep(0.1)


def test_a_postgres_that_does_not_answer_is_told_in_time(
    api: httpx.Client, stack: Endpoints
) -> None:
    known = ids_of("product_features")[0]
    body = {"view": "product_features", "ids": [known, "api/nobody"]}
    with psycopg.connect(stack.postgres) as owner:
        owner.execute("LOCK TABLE online.product_features IN ACCESS EXCLUSIVE MODE")
        began = time.monotonic()
        answer = api.post("/v1/features", json=body)
        assert time.monotonic() - began < 0.5
        alone = api.get("/v1/features/product_features/api%2Fnobody")
        owner.rollback()
    found, missing = answer.json()["results"]
    assert found["features"]
    assert "unavailable" not in found
    assert missing["unavailable"] is True
    assert alone.status_code == 503
    assert int(alone.headers["retry-after"]) >= 1
    time.sleep(0.6)
    assert api.get("/v1/features/product_features/api%2Fnobody").status_code == 404


def test_readiness_names_the_store_that_is_down(
    api: httpx.Client, without_redis: httpx.Client
) -> None:
    assert api.get("/readyz").json()["parts"]["redis"] == "up"
    answer = without_redis.get("/readyz")
    assert answer.status_code == 503
    assert answer.json()["parts"]["redis"] == "down"
    assert answer.json()["parts"]["postgres"] == "up"


def test_a_degraded_source_marks_its_rows(api: httpx.Client, stack: Endpoints) -> None:
    mark = """
        INSERT INTO ops.source_health (topic, state, since, seen, share, reason)
        VALUES ('user-events', %s, now(), 100, 0.5, 'late')
        ON CONFLICT (topic) DO UPDATE SET state = excluded.state"""
    with psycopg.connect(stack.postgres, autocommit=True) as owner:
        before = owner.execute("SELECT state FROM ops.source_health WHERE topic = 'user-events'")
        assert (before.fetchone() or ("ok",)) == ("ok",)
        owner.execute(mark, ["degraded"])
        try:
            deadline = time.monotonic() + 10
            while not all("degraded" in row for row in _rows_of(api, "product_features")):
                assert time.monotonic() < deadline
                time.sleep(0.2)
            assert not any("degraded" in row for row in _rows_of(api, "user_features"))
        finally:
            owner.execute("DELETE FROM ops.source_health WHERE topic = 'user-events'")


def _rows_of(client: httpx.Client, view: str) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = _many(client, view).json()["results"]
    return rows
