"""A row that a store can never take is set aside with its reason, and holds up no other."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import psycopg
import pytest
from sinks_suite.stores import (
    CLOCK,
    VIEW,
    VIEWS,
    DrivenPostgres,
    DrivenRedis,
    epoch,
    expected,
    letters,
    output,
)

from infra.endpoints import Endpoints
from streaming.ports import Output
from streaming.sinks.postgres import PostgresEpochStore
from streaming.sinks.redis import RedisSink
from streaming.sinks.topics import DeadLetterTopicSink

pytestmark = pytest.mark.stack
GOOD = [{"reader_id": f"good {number}"} for number in range(20)]
BAD = [{"reader_id": f"bad {number}", "note": "nul \0"} for number in range(3)]


def set_aside(url: str) -> list[tuple[Any, ...]]:
    query = "SELECT store, target, key, epoch FROM ops.refused_rows WHERE job = 'suite' ORDER BY 3"
    with psycopg.connect(url) as connection:
        return connection.execute(query).fetchall()


def mixed() -> Output:
    rows = [*GOOD[:5], BAD[0], *GOOD[5:], *BAD[1:]]
    return output(*rows, dead=letters({"reason": "with a \0"}, {"offset": 10}))


def test_postgresql_takes_all_others_and_the_sinks_follow_it(
    postgres: PostgresEpochStore, suite_table: str
) -> None:
    _, written, _ = postgres.commit(epoch(0), mixed(), CLOCK)
    assert DrivenPostgres(postgres, suite_table).rows() == expected(epoch(0), *GOOD)
    assert written.rows[VIEW.name]["reader_id"].to_list() == [row["reader_id"] for row in GOOD]
    with psycopg.connect(suite_table) as connection:
        assert connection.execute('SELECT "offset" FROM ops.dead_letters').fetchall() == [(10,)]
    assert written.refused["target"].to_list() == [*[VIEW.name] * 3, "dead_letters"]
    reasons = written.refused["reason"].to_list()
    assert all("0x00" in reason for reason in reasons), reasons


def test_what_was_refused_is_kept_once(postgres: PostgresEpochStore, suite_table: str) -> None:
    for _ in range(2):
        postgres.commit(epoch(0), replace(mixed(), dead=letters()), CLOCK)
    bad = [("postgres", VIEW.name, f"bad {number}|e1", 0) for number in range(3)]
    assert set_aside(suite_table) == bad


def test_redis_takes_all_others(redis_sink: RedisSink, redis_client: Any) -> None:
    """A key of ours that somebody else has made something else of."""
    for row in BAD:
        redis_client.lpush(f"suite:{row['reader_id']}:e1", "not a hash")
    refused = redis_sink.write(epoch(0), mixed())
    assert sorted(refused["key"]) == [f"{row['reader_id']}|e1" for row in BAD]
    for row in BAD:
        redis_client.delete(f"suite:{row['reader_id']}:e1")
    assert DrivenRedis(redis_sink, redis_client).rows() == expected(epoch(0), *GOOD)


def test_kafka_takes_all_others(stack: Endpoints) -> None:
    sink = DeadLetterTopicSink(stack.kafka)
    huge = letters({"payload": b"x" * (10 << 20), "key": b"huge"}, {"offset": 10})
    refused = sink.write(epoch(0), output(dead=huge))
    sink.close()
    assert refused.rows() == [("kafka", "dead-letters", "huge", "The message is too large.")]


def test_what_the_sinks_refused_is_kept_too(
    postgres: PostgresEpochStore, redis_sink: RedisSink, redis_client: Any, suite_table: str
) -> None:
    redis_client.lpush("suite:r1:e1", "not a hash")
    refused = redis_sink.write(epoch(4), output({}))
    for _ in range(2):
        postgres.set_aside(epoch(4), refused)
    assert set_aside(suite_table) == [("redis", VIEW.name, "r1|e1", 4)]


def test_what_is_the_store_s_own_fault_is_raised(suite_table: str) -> None:
    unknown = replace(VIEW, name="not_there")
    store = PostgresEpochStore(suite_table, views={**VIEWS, "not_there": unknown})
    rows = {"not_there": output({}).rows[VIEW.name]}
    with pytest.raises(psycopg.errors.UndefinedTable):
        store.commit(epoch(7), replace(output(), rows=rows), CLOCK)
    assert store.clock_after("suite", "c1", 7) is None
    store.close()
