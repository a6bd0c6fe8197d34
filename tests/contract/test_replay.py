"""Session replay over the real stores: days from PostgreSQL, events from the lake."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import polars as pl
import psycopg
import pytest
from served import served
from sinks_suite.stores import epoch, output
from stacks import settings_for

from features.contracts import contract_named
from features.decoding import event_schema
from infra.api_keys import create_key
from infra.endpoints import Endpoints
from streaming.sinks.delta import DeltaSink

pytestmark = pytest.mark.stack

START = datetime(2026, 1, 1, 23, 59, 59, 500_000, tzinfo=UTC)
SESSION = f"replay/ü 😀 {time.time_ns()}"
ROW = """
INSERT INTO online.commerce_session_features (session_id, start_time, end_time, event_at,
    updated_at, feature_version, generation, epoch)
VALUES (%s, %s, %s, %s, now(), 1, 1, 1)"""
LINEAGE: dict[str, Any] = {
    "kafka_partition": pl.Int32(),
    "kafka_offset": pl.Int64(),
    "received_at": pl.Datetime("us", "UTC"),
    "contract_version": pl.Int32(),
}


def archive(lake: Path) -> None:
    """Three events of the session, two of them after midnight, as the stream writes them."""
    schema = event_schema(contract_named("user-events")) | LINEAGE
    blank = dict.fromkeys(schema) | {
        "kafka_partition": 0,
        "kafka_offset": 0,
        "received_at": START,
        "contract_version": 1,
        "event_type": "product_view",
        "session_id": SESSION,
        "ip": "192.0.2.1",
    }
    events = [
        {**blank, "event_id": f"e{n}", "event_at": START + timedelta(seconds=n)} for n in (2, 0, 1)
    ]
    frame = pl.DataFrame(events, schema=schema)
    written = output()
    written.rows.clear()
    written.events.clear()
    written.events["user-events"] = frame
    DeltaSink(str(lake)).write(epoch(0), written)


@pytest.fixture(scope="module")
def client(
    stack: Endpoints, stack_home: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[httpx.Client]:
    lake = tmp_path_factory.mktemp("lake")
    archive(lake)
    with psycopg.connect(stack.postgres) as owner:
        end = START + timedelta(seconds=2)
        owner.execute(ROW, [SESSION, START, end, end])
        owner.execute(ROW, [f"{SESSION}, not archived yet", START, end, end])
    settings = settings_for(stack_home).model_copy(update={"lake": str(lake)})
    _, key = create_key(stack.postgres, ["read"], "test")
    with (
        served(settings, stack) as address,
        httpx.Client(
            base_url=address, headers={"authorization": f"Bearer {key}"}, timeout=20
        ) as client,
    ):
        yield client


def path(session: str) -> str:
    return f"/v1/sessions/{quote(session, safe='')}/replay"


def test_a_session_is_told_in_order(client: httpx.Client) -> None:
    told = client.get(path(SESSION)).json()
    assert told == {
        "session_id": SESSION,
        "event_count": 3,
        "started_at": "2026-01-01T23:59:59.500000Z",
        "ended_at": "2026-01-02T00:00:01.500000Z",
        "duration_ms": 2000,
        "is_truncated": False,
        "events": [
            {
                "domain": "commerce",
                "event_id": f"e{n}",
                "event_at": f"2026-01-0{1 + (n > 0)}T{clock}.500000Z",
                "offset_ms": n * 1000,
                "event_type": "product_view",
            }
            for n, clock in enumerate(("23:59:59", "00:00:00", "00:00:01"))
        ],
    }


def test_what_is_too_much_is_cut_and_said(client: httpx.Client) -> None:
    told = client.get(path(SESSION), params={"limit": 2}).json()
    assert [event["event_id"] for event in told["events"]] == ["e0", "e1"]
    assert told["is_truncated"] is True


@pytest.mark.parametrize("session", ["nobody", "\x00", "a" * 5_000, f"{SESSION}, not archived yet"])
def test_an_unknown_session_is_not_found(client: httpx.Client, session: str) -> None:
    answer = client.get(path(session))
    assert answer.status_code == 404
    assert "There is no session" in answer.json()["error"]["message"]


@pytest.mark.parametrize("limit", ["0", "10001", "many"])
def test_a_limit_that_cannot_be_is_refused(client: httpx.Client, limit: str) -> None:
    answer = client.get(path(SESSION), params={"limit": limit})
    assert answer.status_code == 422
    assert "limit" in answer.json()["error"]["field"]


def test_reading_needs_the_scope(client: httpx.Client, stack: Endpoints) -> None:
    _, key = create_key(stack.postgres, ["collect"], "test")
    answer = client.get("/v1/sessions/x/replay", headers={"authorization": f"Bearer {key}"})
    assert answer.status_code == 403
