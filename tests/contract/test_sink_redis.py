"""Redis serves: hashes that live as long as events come, and never go back."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from sinks_suite.stores import (
    ALL_NULL,
    START,
    VIEW,
    epoch,
    output,
    rows_of,
)

from streaming.sinks.redis import RedisSink

STACK = pytest.mark.stack


@STACK
def test_a_hash_is_text_and_holds_no_null(redis_sink: RedisSink, redis_client: Any) -> None:
    row = {**ALL_NULL, "ratio": 1e-7, "total": 5, "is_closed": False, "tags": ['a"', "b"]}
    at = START + timedelta(microseconds=123_000)
    redis_sink.write(epoch(2), output({**row, "seen_at": at, "note": ""}))
    assert redis_client.hgetall("suite:r1:e1") == {
        "reader_id": "r1",
        "episode_id": "e1",
        "note": "",
        "ratio": "0.0000001",
        "total": "5",
        "is_closed": "false",
        "seen_at": "2026-01-01T00:00:00.123000Z",
        "tags": '["a\\"","b"]',
        "event_at": "2026-01-01T00:00:01.000000Z",
        "updated_at": "2026-01-01T00:00:20.000000Z",
        "feature_version": "3",
        "_version": "1:2",
    }


@STACK
def test_a_list_has_a_key_of_its_own(redis_sink: RedisSink, redis_client: Any) -> None:
    tags = ["old", 'say "hi"', "웹툰"]
    redis_sink.write(epoch(2), output({"tags": tags}, {"reader_id": "r2", "tags": []}))
    assert redis_client.lrange("suite_tags:r1", 0, -1) == tags
    assert 595 < redis_client.ttl("suite_tags:r1") <= 600
    assert not redis_client.exists("suite_tags:r2")
    redis_sink.write(epoch(1), output({"tags": ["older"]}))
    redis_sink.write(epoch(3), output({"tags": ["decayed"], "by_event": False}))
    assert redis_client.lrange("suite_tags:r1", 0, -1) == tags
    redis_sink.write(epoch(4), output({"tags": None}))
    assert not redis_client.exists("suite_tags:r1")


@STACK
def test_an_event_renews_the_time_to_live(redis_sink: RedisSink, redis_client: Any) -> None:
    redis_sink.write(epoch(0), output({}))
    redis_client.pexpire("suite:r1:e1", 5_000)
    redis_sink.write(epoch(1), output({"note": "event"}))
    assert 595 < redis_client.ttl("suite:r1:e1") <= 600


@STACK
def test_the_passing_of_time_does_not(redis_sink: RedisSink, redis_client: Any) -> None:
    redis_sink.write(epoch(0), output({}))
    redis_client.pexpire("suite:r1:e1", 50_000)
    redis_sink.write(epoch(1), output({**ALL_NULL, "note": "decayed", "by_event": False}))
    assert 40 < redis_client.ttl("suite:r1:e1") <= 50
    found = redis_client.hgetall("suite:r1:e1")
    assert (found["note"], found.get("ratio")) == ("decayed", None)


@STACK
def test_the_passing_of_time_brings_no_key_back(redis_sink: RedisSink, redis_client: Any) -> None:
    redis_sink.write(epoch(1), output({"by_event": False}))
    assert redis_client.keys() == []


@STACK
def test_many_rows_and_a_restarted_redis(redis_sink: RedisSink, redis_client: Any) -> None:
    rows = rows_of(*({"reader_id": f"r{n}", "total": n} for n in range(1_201)))
    redis_sink.write(epoch(0), replace(output(), rows={VIEW.name: rows}))
    redis_client.script_flush()
    redis_client.client_kill_filter(_type="normal", skipme=True)
    redis_sink.write(epoch(1), replace(output(), rows={VIEW.name: rows}))
    assert redis_client.dbsize() == 2 * 1_201
    assert redis_client.hget("suite:r1200:e1", "total") == "1200"
    assert redis_client.hget("suite:r1200:e1", "_version") == "1:1"
