"""The stores of the contract tests, real where one can be real."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from redis import Redis
from sinks_suite.stores import (
    VIEWS,
    clean,
    create_table,
)

from infra.database import pipeline_conninfo
from infra.endpoints import Endpoints
from streaming.sinks.postgres import PostgresEpochStore
from streaming.sinks.redis import RedisSink


@pytest.fixture(scope="module")
def suite_table(stack: Endpoints) -> str:
    create_table(stack.postgres)
    return stack.postgres


@pytest.fixture
def postgres(suite_table: str) -> Iterator[PostgresEpochStore]:
    clean(suite_table)
    store = PostgresEpochStore(pipeline_conninfo(suite_table), views=VIEWS, sleep=lambda _: None)
    yield store
    store.close()


@pytest.fixture
def redis_client(stack: Endpoints) -> Iterator[Any]:
    client = Redis.from_url(f"{stack.redis}/5", decode_responses=True)
    client.flushdb()
    yield client
    client.close()


@pytest.fixture
def redis_sink(stack: Endpoints, redis_client: Any) -> Iterator[RedisSink]:
    sink = RedisSink(f"{stack.redis}/5", views=VIEWS)
    yield sink
    sink.close()
