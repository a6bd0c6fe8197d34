"""The circuit breaker with the real PostgreSQL, a real webhook, and what readers see of it."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import psycopg
import pytest
from click.testing import CliRunner, Result
from fake_slack import Slack, slack
from reporting import report
from stacks import settings_for

from features.breaker import Limits, SourceHealth
from features.views import VIEWS
from infra.alarms import watched_sources
from infra.cli import main
from infra.database import pipeline_conninfo, recommender_conninfo
from infra.endpoints import Endpoints
from infra.source_health import read_sources
from streaming.jobs import JOBS
from streaming.sinks.source_health import PostgresHealthStore
from streaming.source_watch import HealthStoreAway

pytestmark = pytest.mark.stack
TOPIC = "user-events"
LIMITS = Limits()
BAD = SourceHealth(
    topic=TOPIC,
    is_degraded=True,
    since_us=1_790_000_000_123_456,
    seen=1000,
    share=0.5,
    reason="not_json",
)
FINE = replace(BAD, is_degraded=False, since_us=BAD.since_us + 1, share=0.0, reason=None)
SINCE = "2026-09-21T14:13:20.123456Z"


@pytest.fixture
def store(stack: Endpoints) -> Iterator[PostgresHealthStore]:
    yield PostgresHealthStore(pipeline_conninfo(stack.postgres))
    with psycopg.connect(stack.postgres) as connection:
        connection.execute("DELETE FROM ops.source_health")
        connection.execute("DELETE FROM ops.alerts WHERE alert_type = 'contract_breach'")
        connection.execute("DELETE FROM online.product_features WHERE product_id = 'degraded'")


def alerts(stack: Endpoints) -> list[tuple[Any, ...]]:
    with psycopg.connect(stack.postgres) as connection:
        return connection.execute(
            "SELECT user_id, event_id, severity, value, threshold, reason FROM ops.alerts "
            "WHERE alert_type = 'contract_breach'"
        ).fetchall()


def sources(stack: Endpoints) -> list[SourceHealth]:
    with psycopg.connect(recommender_conninfo(stack.postgres)) as connection:
        return read_sources(connection)


def test_the_same_alert_twice_is_one(stack: Endpoints, store: PostgresHealthStore) -> None:
    for _ in range(2):
        store.put(BAD, LIMITS)
    assert sources(stack) == [BAD]
    assert store.degraded() == {TOPIC: BAD.since_us}
    says = (
        "50% of the 1000 events of user-events in the last minute break the contract, "
        "most of them with not_json; 20% are allowed."
    )
    assert alerts(stack) == [(None, f"{TOPIC}/{SINCE}", "HIGH", 0.5, 0.2, says)]


def test_a_source_that_is_fine_again_leaves_its_alert(
    stack: Endpoints, store: PostgresHealthStore
) -> None:
    store.put(BAD, LIMITS)
    store.put(FINE, LIMITS)
    assert sources(stack) == [FINE]
    assert store.degraded() == {}
    assert len(alerts(stack)) == 1


def test_without_its_alert_nothing_is_degraded(
    stack: Endpoints, store: PostgresHealthStore
) -> None:
    with psycopg.connect(stack.postgres, autocommit=True) as connection:
        connection.execute("ALTER TABLE ops.alerts ADD CONSTRAINT none CHECK (value < 0) NOT VALID")
        try:
            with pytest.raises(HealthStoreAway) as caught:
                store.put(BAD, LIMITS)
        finally:
            connection.execute("ALTER TABLE ops.alerts DROP CONSTRAINT none")
    assert str(caught.value) == "CheckViolation"
    assert sources(stack) == []


def test_a_store_that_is_away_says_no_more_than_that() -> None:
    away = PostgresHealthStore("postgresql://userflow:hush@127.0.0.1:9/userflow")
    with pytest.raises(HealthStoreAway) as caught:
        away.put(BAD, LIMITS)
    assert "hush" not in str(caught.value)


def test_from_bad_events_to_slack_and_back(
    stack: Endpoints, stack_home: Path, store: PostgresHealthStore
) -> None:
    jobs = [JOBS["commerce"], JOBS["webtoon"]]
    with slack() as fake:
        settings = settings_for(stack_home).model_copy(update={"slack_webhook": fake.webhook})
        with watched_sources(jobs, stack, settings) as watch:
            watch(report(now(), {TOPIC: 200}, {(TOPIC, "not_json"): 100}))
            said(fake, ["user-events breaks its contract"])
            watch(report(now(), {TOPIC: 200}, {(TOPIC, "not_json"): 100}))
        with watched_sources(jobs, stack, settings) as watch:  # a restart
            watch(report(now(), {TOPIC: 200}, {(TOPIC, "not_json"): 100}))
            time.sleep(1.5)
            assert len(fake.bodies) == 1
            watch(report(now(), {TOPIC: 2000}))
            said(fake, ["user-events breaks its contract", "user-events is fine again"])
    assert [one.is_degraded for one in sources(stack)] == [False]
    assert len(alerts(stack)) == 1
    assert "commerce_user_features" in str(fake.bodies[0])
    assert "userflow dlq list --reason not_json" in str(fake.bodies[0])


def now() -> int:
    return time.time_ns() // 1000


def said(fake: Slack, titles: list[str]) -> None:
    deadline = time.monotonic() + 10
    while fake.titles != titles and time.monotonic() < deadline:
        time.sleep(0.05)
    assert fake.titles == titles


def run(home: Path, monkeypatch: pytest.MonkeyPatch, *arguments: str) -> Result:
    monkeypatch.setenv("USERFLOW_HOME", str(home))
    for name in ("KAFKA", "POSTGRES", "REDIS"):
        monkeypatch.delenv(f"USERFLOW_{name}", raising=False)
    return CliRunner().invoke(main, list(arguments))


def test_status_tells_which_source_is_degraded_and_what_to_do(
    stack_home: Path, store: PostgresHealthStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.put(BAD, LIMITS)
    document = json.loads(run(stack_home, monkeypatch, "status", "--json").stdout)
    assert document["kafka"]["pid"] > 0
    assert document["sources"] == {
        TOPIC: {
            "state": "degraded",
            "since": SINCE,
            "share": 0.5,
            "seen": 1000,
            "reason": "not_json",
            "views": [view.name for view in VIEWS.values() if view.topic == TOPIC],
        }
    }
    shown = run(stack_home, monkeypatch, "status")
    assert shown.exit_code == 0
    assert f"{TOPIC} is degraded since {SINCE}." in shown.stdout
    assert "userflow dlq list --reason not_json" in shown.stdout

    store.put(FINE, LIMITS)
    assert "No source is degraded." in run(stack_home, monkeypatch, "status").stdout


def test_get_says_that_a_view_is_degraded(
    stack: Endpoints, stack_home: Path, store: PostgresHealthStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    with psycopg.connect(stack.postgres) as connection:
        connection.execute(
            "INSERT INTO online.product_features (product_id, event_at, updated_at, "
            "feature_version, generation, epoch) VALUES ('degraded', now(), now(), 1, 1, 1)"
        )
    arguments = ("get", "product_features", "degraded", "--json")
    assert run(stack_home, monkeypatch, *arguments).stderr == ""
    store.put(BAD, LIMITS)
    got = run(stack_home, monkeypatch, *arguments)
    assert json.loads(got.stdout)["product_id"] == "degraded"
    assert f"product_features is degraded since {SINCE}" in got.stderr
    store.put(replace(BAD, topic="webtoon_user_events"), LIMITS)
    store.put(FINE, LIMITS)
    assert run(stack_home, monkeypatch, *arguments).stderr == ""
