"""After a loss Redis is refilled from PostgreSQL: to the byte, and never over something newer."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import psycopg
import pytest
from redis import Redis
from sinks_suite.stores import ALL_NULL, CLOCK, VIEW, VIEWS, clean, output, rows_of

from infra import repair
from infra.endpoints import Endpoints
from infra.errors import RepairFailed
from infra.repair import ViewRepaired, repair_redis
from streaming.ports import Epoch, Output
from streaming.sinks.postgres import PostgresEpochStore
from streaming.sinks.redis import RedisSink

pytestmark = pytest.mark.stack
GENERATION = 7  # of nobody else's epochs
Write = Callable[..., None]


def epoch(number: int, *, age_s: int = 0) -> Epoch:
    return Epoch(
        job="webtoon",  # whose topic the suite's view has
        checkpoint_id="repair",
        number=number,
        generation=GENERATION,
        committed_at_us=time.time_ns() // 1000 - age_s * 1_000_000,
    )


@pytest.fixture
def write(
    postgres: PostgresEpochStore, redis_sink: RedisSink, suite_table: str
) -> Iterator[Callable[[Epoch, Output], None]]:
    def both(at: Epoch, made: Output) -> None:
        postgres.commit(at, made, CLOCK)
        redis_sink.write(at, made)

    yield both
    with psycopg.connect(suite_table) as connection:
        connection.execute("DELETE FROM ops.stream_epochs WHERE checkpoint_id = 'repair'")
    clean(suite_table)


@pytest.fixture
def repaired(stack: Endpoints) -> Callable[[], ViewRepaired]:
    endpoints = replace(stack, redis=f"{stack.redis}/5")

    def run() -> ViewRepaired:
        done = repair_redis([VIEW.name], endpoints=endpoints, say=print, views=VIEWS)
        return done.views[VIEW.name]

    return run


def dump(client: Redis) -> dict[str, Any]:
    """Everything but how long it lives."""
    return {
        key: client.lrange(key, 0, -1) if client.type(key) == "list" else client.hgetall(key)
        for key in client.scan_iter()
    }


def gone(*rows: dict[str, Any]) -> Output:
    entities = rows_of(*rows).select(*VIEW.key, "event_at")
    return replace(output(), rows={}, gone={VIEW.name: entities})


def some_epochs(write: Write) -> None:
    write(epoch(0, age_s=300), output(*({"reader_id": f"r{n}", "total": n} for n in range(1_201))))
    odd = {"note": 'a "b"\\ \n😀', "ratio": 1e-7, "tags": ['say "hi"', "웹툰", ""]}
    write(epoch(1, age_s=200), output({"reader_id": "r1", **odd}, {**ALL_NULL, "reader_id": "r2"}))
    write(epoch(2, age_s=100), gone({"reader_id": "r3"}))
    write(epoch(3), output({"reader_id": "r4", "note": "later", "by_event": False}))


def test_redis_is_again_what_it_was(
    write: Write, redis_client: Any, repaired: Callable[[], ViewRepaired]
) -> None:
    some_epochs(write)
    before = dump(redis_client)
    redis_client.flushdb()
    done = repaired()
    assert dump(redis_client) == before
    assert (done.rows, done.written, done.dropped) == (1_200, 1_200, 0)
    again = repaired()
    assert dump(redis_client) == before
    assert (again.rows, again.written, again.dropped) == (1_200, 0, 0)


def test_a_row_gets_what_remains_of_its_time(
    write: Write, redis_client: Any, repaired: Callable[[], ViewRepaired]
) -> None:
    write(epoch(0, age_s=VIEW.ttl_seconds + 1), output({"reader_id": "over"}))
    write(epoch(1, age_s=VIEW.ttl_seconds - 100), output({"reader_id": "soon"}))
    redis_client.flushdb()
    assert repaired().rows == 1
    assert set(redis_client.keys()) == {"suite:soon:e1", "suite_tags:soon"}
    assert 60 < redis_client.ttl("suite:soon:e1") <= 100
    assert 60 < redis_client.ttl("suite_tags:soon") <= 100


def test_what_a_stream_has_written_since_stays(
    write: Write,
    redis_sink: RedisSink,
    redis_client: Any,
    repaired: Callable[[], ViewRepaired],
) -> None:
    write(epoch(0), output({"note": "old"}))
    redis_client.flushdb()
    redis_sink.write(epoch(1), output({"note": "new", "tags": ["new"]}))
    assert repaired().written == 0
    assert redis_client.hget("suite:r1:e1", "note") == "new"
    assert redis_client.lrange("suite_tags:r1", 0, -1) == ["new"]


def test_epochs_that_come_between_are_not_lost(
    write: Write,
    redis_client: Any,
    repaired: Callable[[], ViewRepaired],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Each finds no hash, as PostgreSQL has been read and nothing is written yet."""
    write(epoch(0), output({"note": "old"}, {"reader_id": "r2"}))
    redis_client.flushdb()
    restore = RedisSink.restore

    def interrupted(sink: RedisSink, *args: Any, **named: Any) -> int:
        monkeypatch.setattr(RedisSink, "restore", restore)
        write(epoch(1), output({"note": "decayed", "by_event": False}))
        write(epoch(2), gone({"reader_id": "r2"}))
        return restore(sink, *args, **named)

    monkeypatch.setattr(RedisSink, "restore", interrupted)
    repaired()
    assert redis_client.hget("suite:r1:e1", "note") == "decayed"
    assert not redis_client.exists("suite:r2:e1")


def test_what_postgresql_has_no_more_is_dropped(
    write: Write,
    redis_sink: RedisSink,
    redis_client: Any,
    repaired: Callable[[], ViewRepaired],
) -> None:
    """A Redis that came back from an old file; what is newer than PostgreSQL's last epoch stays."""
    write(epoch(5), output({}))
    redis_sink.write(epoch(5), output({"reader_id": "gone"}))
    redis_sink.write(epoch(6), output({"reader_id": "coming"}))
    redis_client.set("suite:not:ours", "text")
    assert repaired().dropped == 1
    left = {"suite:r1:e1", "suite_tags:r1", "suite:coming:e1", "suite_tags:coming"}
    assert set(redis_client.keys()) == left | {"suite:not:ours"}


def test_a_store_that_is_away_is_named(stack: Endpoints) -> None:
    away = replace(stack, postgres="postgresql://nobody@127.0.0.1:1/none")
    with pytest.raises(RepairFailed, match="PostgreSQL did not answer"):
        repair_redis(repair.served_views(), endpoints=away, say=print)
