"""The windowed features of shoppers: Kafka, Spark, PostgreSQL, Redis and Delta against the oracle.

Two runs, forty minutes of event time apart: the second finds the first one's state, and windows
have run empty for those who did not come back. Between them lies what the rules look for: all of it
is decided in the second.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import polars as pl
import psycopg
import pytest
import redis
from comparing import differences, known, online, plain
from deltalake import DeltaTable
from oracle import patterns
from oracle.views import Log, expected, with_categories
from shopping import watched
from stacks import consume

from features.commerce_user import COMMERCE_USER
from features.contracts import CONTRACTS
from features.decoding import Decoder
from infra.endpoints import Endpoints
from producer.sent import Sent
from producer.simulate import Simulation, simulate
from producer.sinks.kafka import KafkaSink
from streaming.jobs import JOBS

pytestmark = [pytest.mark.stack, pytest.mark.timeout(900)]
TOPIC = "user-events"
SECOND = 1_000_000
START_US = 1_790_000_000 * SECOND
DELAY = 10 * SECOND
Row = dict[str, Any]


@dataclass(frozen=True)
class Run:
    stack: Endpoints
    events: dict[str, Row]
    summaries: list[Row]


def log(start_us: int, seed: int, duration: float) -> Iterator[Sent]:
    return simulate(
        Simulation(
            domain="commerce",
            rate=100,
            duration=duration,
            users=120,
            seed=seed,
            start_us=start_us,
            bad_rate=0.02,
            duplicate_rate=0.05,
            disorder_rate=0.1,
        )
    )


def stream(home: Path) -> Row:
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "infra",
            "stream",
            "--jobs",
            "commerce",
            "--available-now",
            "--json",
        ],
        env={**os.environ, "USERFLOW_HOME": str(home)},
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    summary: Row = json.loads(done.stdout.splitlines()[-1])[0]
    return summary


@pytest.fixture(scope="module")
def run(stack: Endpoints, stack_home: Path) -> Run:
    logs = [
        list(log(START_US, seed=7, duration=60)),
        [*watched(), *log(START_US + 2400 * SECOND, seed=8, duration=10)],
    ]
    summaries = []
    for sent in logs:
        with KafkaSink(stack.kafka) as sink:
            sink.send(sent)
        summaries.append(stream(stack_home))
    return Run(stack, accepted([one for sent in logs for one in sent]), summaries)


def accepted(sent: list[Sent]) -> dict[str, Row]:
    """What validation lets pass (proved by its own tests), each event once."""
    received = pl.Series([(one.received_at_ms or 0) * 1000 for one in sent], dtype=pl.Int64)
    events = Decoder(CONTRACTS[TOPIC]).decode([one.value for one in sent], received).events
    rows = events.with_columns(pl.col("event_at").dt.timestamp("us")).to_dicts()
    return {row["event_id"]: row for row in rows}


def log_of(run: Run) -> Log:
    events = list(run.events.values())
    watermark = max(event["event_at"] for event in events) - DELAY
    return Log(events, watermark, {}, known(run.stack, "products", "product_id", "category"))


@pytest.mark.parametrize("view", JOBS["commerce"].views)
def test_postgresql_holds_what_the_oracle_computes(run: Run, view: str) -> None:
    wanted, rows = expected(view, log_of(run)), online(run.stack, view)
    assert rows.keys() == wanted.keys()
    assert len(rows) > 2
    for key, features in wanted.items():
        assert not differences(rows[key], features), key


def test_the_log_holds_what_could_go_wrong(run: Run) -> None:
    rows = online(run.stack, "commerce_user_features")
    assert len(rows) > 100
    some = [name for row in rows.values() for name, value in row.items() if value]
    assert {"view_count_5m", "top_category_30m", "recent_product_ids"} <= set(some)
    gone = [row for row in rows.values() if row["page_view_count_1h"] > row["page_view_count_30m"]]
    assert len(gone) > 20
    twice = [row for row in rows.values() if row["session_count_30d"] > 1]
    assert twice


def test_redis_and_delta_hold_what_postgresql_holds(run: Run) -> None:
    rows = {user: row for (user,), row in online(run.stack, "commerce_user_features").items()}
    client = redis.Redis.from_url(run.stack.redis, decode_responses=True)
    table = DeltaTable(f"{run.stack.lake}/features/commerce_user_features").to_pyarrow_table()
    newest = pl.DataFrame(table).sort("batch_id").unique("user_id", keep="last")
    delta = {row["user_id"]: row for row in newest.to_dicts()}
    assert delta.keys() == rows.keys()
    names = [column.name for column in COMMERCE_USER.columns]
    for user, row in rows.items():
        served = client.hgetall(f"user_features:{user}")
        assert {name for name in names if row[name] is not None} == served.keys() & set(names)
        assert served["view_count_1h"] == str(row["view_count_1h"])
        assert client.lrange(f"user_recent_products:{user}", 0, -1) == (
            row["recent_product_ids"] or []
        )
        for name in names:
            assert plain(delta[user][name]) == row[name], name
        assert plain(delta[user]["available_at"]) == row["updated_at"]


def test_each_change_of_a_product_is_a_message(run: Run) -> None:
    newest = {}
    for message in consume(run.stack, "product-popularity"):
        newest[message.key().decode()] = json.loads(message.value())
    with psycopg.connect(run.stack.postgres) as connection:
        found = connection.execute(
            "SELECT product_id, view_count_5m FROM online.product_features"
        ).fetchall()
    assert {key: one["view_count_5m"] for key, one in newest.items()} == dict(found)


def test_each_finding_of_the_rules_is_told_once(run: Run) -> None:
    told = log_of(run)
    log, watermark = with_categories(told), told.watermark
    with psycopg.connect(run.stack.postgres) as connection:
        kept = connection.execute("SELECT event_id, alert_type FROM ops.alerts").fetchall()
    alerts = [json.loads(message.value()) for message in consume(run.stack, "alerts")]
    assert sorted(kept) == sorted(patterns.alerts(log, watermark))
    assert sorted((one["event_id"], one["alert_type"]) for one in alerts) == sorted(kept)
    assert {kind for _, kind in kept} == {"rapid_clicks", "large_purchase", "location_change"}
    messages = [json.loads(message.value()) for message in consume(run.stack, "retargeting")]
    detected = [
        (one["user_id"], one["pattern"], tuple(one["product_ids"]), micros(one["detected_at"]))
        for one in messages
    ]
    assert sorted(detected) == patterns.detections(log, watermark)
    assert {"leaves a cart", "compares"} <= {user for user, *_ in detected}
    assert len({one["message_id"] for one in messages}) == len(messages)


def test_the_pattern_that_is_shown_can_be_read(run: Run) -> None:
    client = redis.Redis.from_url(run.stack.redis, decode_responses=True)
    for user, pattern in (("leaves a cart", "cart_abandonment_risk"), ("buys", None)):
        assert client.hget(f"user_features:{user}", "pattern_detected") == pattern


def micros(text: str) -> int:
    return round(datetime.fromisoformat(text).timestamp() * SECOND)


def test_anonymous_events_are_archived_and_belong_to_nobody(run: Run) -> None:
    archive = DeltaTable(f"{run.stack.lake}/events/user_events").to_pyarrow_table()
    ids = archive.column("event_id").to_pylist()
    assert sorted(ids) == sorted(run.events)
    assert archive.column("user_id").null_count > 0
    assert sum(summary["duplicates"] for summary in run.summaries) > 0
