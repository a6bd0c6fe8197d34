"""The windowed features of shoppers: Kafka, Spark, PostgreSQL, Redis and Delta against the oracle.

Two runs, forty minutes of event time apart: the second finds the first one's state, and windows
have run empty for those who did not come back.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import polars as pl
import psycopg
import pytest
import redis
from deltalake import DeltaTable
from oracle.windows import product_rows, shopping_rows, windowed
from psycopg.rows import dict_row
from stacks import consume

from features.commerce_product import COMMERCE_PRODUCT
from features.commerce_user import COMMERCE_USER
from features.contracts import CONTRACTS
from features.decoding import Decoder
from infra.endpoints import Endpoints
from producer.sent import Sent
from producer.simulate import Simulation, simulate
from producer.sinks.kafka import KafkaSink

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
        list(log(START_US + 2400 * SECOND, seed=8, duration=10)),
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


def expected(run: Run) -> dict[str, Row]:
    """Every shopper's features as of the later of the last event and the final watermark."""
    known = categories(run.stack)
    watermark = max(event["event_at"] for event in run.events.values()) - DELAY
    log: dict[str, list[Row]] = defaultdict(list)
    for event in run.events.values():
        if event["user_id"] is not None:
            log[event["user_id"]].append(event)
    return {
        user: windowed(
            COMMERCE_USER,
            shopping_rows(events, known),
            max(watermark, *(event["event_at"] for event in events)),
        )
        for user, events in log.items()
    }


def categories(stack: Endpoints) -> dict[str, str]:
    with psycopg.connect(stack.postgres) as connection:
        return dict(connection.execute("SELECT product_id, category FROM dim.products").fetchall())


def online(stack: Endpoints) -> dict[str, Row]:
    with psycopg.connect(stack.postgres, row_factory=dict_row) as connection:
        rows = connection.execute("SELECT * FROM online.commerce_user_features").fetchall()
    return {row["user_id"]: row for row in rows}


def plain(value: Any) -> Any:
    return round(value.timestamp() * SECOND) if isinstance(value, datetime) else value


def is_same(found: Any, wanted: Any) -> bool:
    if isinstance(wanted, float):
        return bool(found == pytest.approx(wanted, rel=1e-9))
    return bool(found == wanted)


def test_postgresql_holds_what_the_oracle_computes(run: Run) -> None:
    wanted, rows = expected(run), online(run.stack)
    assert rows.keys() == wanted.keys()
    assert len(rows) > 100
    names = [name for one in wanted.values() for name, value in one.items() if value]
    assert {"view_count_5m", "top_category_30m", "recent_product_ids"} <= set(names)
    for user, features in wanted.items():
        found = {name: plain(rows[user][name]) for name in features}
        wrong = {
            name: (found[name], value)
            for name, value in features.items()
            if found[name]
            != (pytest.approx(value, rel=1e-9) if isinstance(value, float) else value)
        }
        assert not wrong, user
    gone = [row for row in rows.values() if row["page_view_count_1h"] > row["page_view_count_30m"]]
    assert len(gone) > 20


def test_redis_and_delta_hold_what_postgresql_holds(run: Run) -> None:
    rows = online(run.stack)
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
            assert delta[user][name] == row[name], name
        assert delta[user]["available_at"] == row["updated_at"]


def test_every_product_has_the_features_that_the_oracle_computes(run: Run) -> None:
    """Its events lie in other buckets than its shoppers' do."""
    slow = product_rows(list(run.events.values()), categories(run.stack))
    watermark = max(event["event_at"] for event in run.events.values()) - DELAY
    with psycopg.connect(run.stack.postgres, row_factory=dict_row) as connection:
        found = connection.execute("SELECT * FROM online.product_features").fetchall()
    rows = {row["product_id"]: row for row in found}
    assert rows.keys() == slow.keys()
    assert sum(row["purchase_count_7d"] for row in found) > 0
    for product, events in slow.items():
        t = max(watermark, *(event["event_at"] for event in events))
        for name, value in windowed(COMMERCE_PRODUCT, events, t).items():
            wanted = float(value) if name == "price" and value is not None else value
            assert is_same(rows[product][name], wanted), (product, name)


def test_each_change_of_a_product_is_a_message(run: Run) -> None:
    newest = {}
    for message in consume(run.stack, "product-popularity"):
        newest[message.key().decode()] = json.loads(message.value())
    with psycopg.connect(run.stack.postgres) as connection:
        found = connection.execute(
            "SELECT product_id, view_count_5m FROM online.product_features"
        ).fetchall()
    assert {key: one["view_count_5m"] for key, one in newest.items()} == dict(found)


def test_anonymous_events_are_archived_and_belong_to_nobody(run: Run) -> None:
    archive = DeltaTable(f"{run.stack.lake}/events/user_events").to_pyarrow_table()
    ids = archive.column("event_id").to_pylist()
    assert sorted(ids) == sorted(run.events)
    assert archive.column("user_id").null_count > 0
    assert sum(summary["duplicates"] for summary in run.summaries) > 0
