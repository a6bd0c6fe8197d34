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
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
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

from features.columns import polars_schema
from features.commerce_user import COMMERCE_USER
from features.contracts import CONTRACTS
from features.decoding import Decoder
from features.views import VIEWS
from infra.endpoints import Endpoints
from producer.sent import Sent
from producer.simulate import Simulation, simulate
from producer.sinks.kafka import KafkaSink
from serving.training import training_set
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
    shown: list[Shown]


@dataclass(frozen=True)
class Shown:
    """What the stores showed at a moment: the rows of each view, and when Redis says of each
    shopper that it was written.
    """

    at: datetime
    rows: dict[str, dict[tuple[Any, ...], Row]]
    written_at: dict[str, str | None]


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
    summaries, shown = [], []
    for sent in logs:
        with KafkaSink(stack.kafka) as sink:
            sink.send(sent)
        summaries.append(stream(stack_home))
        shown.append(shown_now(stack))
    return Run(stack, accepted([one for sent in logs for one in sent]), summaries, shown)


def shown_now(stack: Endpoints) -> Shown:
    rows = {view: online(stack, view) for view in JOBS["commerce"].views}
    with closing(redis.from_url(stack.redis, decode_responses=True)) as client:
        written_at = {
            user: client.hget(f"user_features:{user}", "updated_at")
            for (user,) in rows["commerce_user_features"]
        }
    return Shown(datetime.now(UTC), rows, written_at)


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


@pytest.mark.parametrize("view", JOBS["commerce"].views)
def test_a_training_set_has_what_was_shown_at_the_moments_of_its_labels(
    run: Run, view: str
) -> None:
    moments = [shown.at for shown in run.shown]
    before = min(moments) - timedelta(days=1)
    found = served_at(run, view, [*moments, before])
    for shown in run.shown:
        columns = [column.name for column in VIEWS[view].features]
        wanted = {key: {n: row[n] for n in columns} for key, row in shown.rows[view].items()}
        assert found[shown.at].keys() == wanted.keys()
        for key, row in wanted.items():
            assert {n: found[shown.at][key][n] for n in columns} == row, key
    assert found[before] == {}
    assert run.shown[0].rows[view] != run.shown[1].rows[view]


def test_a_training_set_has_the_versions_that_redis_had(run: Run) -> None:
    found = served_at(run, "commerce_user_features", [shown.at for shown in run.shown])
    for shown in run.shown:
        served = {user: row["available_at"] for (user,), row in found[shown.at].items()}
        written = {user: at and micros(at) for user, at in shown.written_at.items()}
        assert served == written


def served_at(
    run: Run, view: str, moments: list[datetime]
) -> dict[datetime, dict[tuple[Any, ...], Row]]:
    """The rows of a training set of every entity that was ever shown, by moment and entity."""
    key = VIEWS[view].key
    known_keys = {entity for shown in run.shown for entity in shown.rows[view]}
    labels = pl.DataFrame(
        [(*entity, at) for entity in known_keys for at in moments],
        schema={**polars_schema(VIEWS[view].entity), "label_at": pl.Datetime("us", "UTC")},
        orient="row",
    )
    asked = [f"{view}:*", f"{view}:available_at"]
    made = training_set(labels, asked, lake=run.stack.lake).to_dicts()
    rows = [{name: plain(value) for name, value in row.items()} for row in made]
    return {
        at: {
            tuple(row[name] for name in key): row
            for row in rows
            if row["label_at"] == plain(at) and row["available_at"] is not None
        }
        for at in moments
    }


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
