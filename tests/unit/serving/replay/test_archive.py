"""The events of one session out of an archive, in the order in which they happened."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from sinks_suite.stores import epoch, output

from features.contracts import contract_named
from features.decoding import event_schema
from serving.replay.archive import Days, DeltaArchive
from streaming.sinks.delta import DeltaSink

START = datetime(2026, 1, 1, 23, 59, 58, tzinfo=UTC)
DAYS = Days(START.date(), START.date() + timedelta(days=1))
LINEAGE = {
    "kafka_partition": pl.Int32(),
    "kafka_offset": pl.Int64(),
    "received_at": pl.Datetime("us", "UTC"),
    "contract_version": pl.Int32(),
}
Event = dict[str, Any]


def archive(lake: Path, topic: str, events: Sequence[Event], number: int = 0) -> None:
    """Let the stream's own sink write them."""
    schema = event_schema(contract_named(topic)) | LINEAGE
    blank = dict.fromkeys(schema) | {
        "kafka_partition": 0,
        "kafka_offset": 0,
        "received_at": START,
        "contract_version": 1,
        "extra": None,
    }
    frame = pl.DataFrame([{**blank, **event} for event in events], schema=schema)
    written = output()
    written.events.clear()
    written.events[topic] = frame
    written.rows.clear()
    DeltaSink(str(lake)).write(epoch(number), written)


def shopping(number: int, second: float, session: str = "s", **more: Any) -> Event:
    return {
        "event_id": f"e{number}",
        "event_at": START + timedelta(seconds=second),
        "event_type": "product_view",
        "session_id": session,
        "user_id": "u",
        "ip": "192.0.2.1",
        "user_agent": "Browser",
        **more,
    }


def reading(number: int, second: float) -> Event:
    return {
        "event_id": f"r{number}",
        "event_at": START + timedelta(seconds=second),
        "event_type": "scroll",
        "session_id": "s",
        "user_id": "u",
        "episode_id": "ep",
        "scroll_ratio": 0.5,
        "country": "KR",
        "device": "mobile",
        "platform": "web",
    }


def read(lake: Path, session: str = "s", days: Days = DAYS, limit: int = 100) -> list[Event]:
    return asyncio.run(DeltaArchive(str(lake)).events_of(session, days, limit))


def test_events_come_in_the_order_in_which_they_happened(tmp_path: Path) -> None:
    events = [shopping(3, 4), shopping(1, 0), shopping(2, 1), shopping(9, 0, session="other")]
    archive(tmp_path, "user-events", events)
    archive(tmp_path, "webtoon_user_events", [reading(1, 3), reading(2, 1)])
    found = read(tmp_path)
    assert [event["event_id"] for event in found] == ["e1", "e2", "r2", "r1", "e3"]
    assert [event["domain"] for event in found] == [
        "commerce", "commerce", "webtoon", "webtoon", "commerce",
    ]  # fmt: skip


def test_only_what_the_event_has_is_told_and_nothing_of_its_sender(tmp_path: Path) -> None:
    archive(tmp_path, "user-events", [shopping(1, 0, price=9.5)])
    assert read(tmp_path) == [
        {
            "domain": "commerce",
            "event_id": "e1",
            "event_at": START,
            "event_type": "product_view",
            "user_id": "u",
            "price": 9.5,
        }
    ]


def test_only_its_days_are_opened(tmp_path: Path) -> None:
    archive(tmp_path, "user-events", [shopping(1, 0), shopping(2, 5)])
    first = Days(START.date(), START.date())
    assert [event["event_id"] for event in read(tmp_path, days=first)] == ["e1"]


def test_no_more_than_asked_for(tmp_path: Path) -> None:
    archive(tmp_path, "user-events", [shopping(9 - n, n) for n in range(9)])
    archive(tmp_path, "webtoon_user_events", [reading(n, n + 0.5) for n in range(9)])
    assert [event["event_id"] for event in read(tmp_path, limit=3)] == ["e9", "r0", "e8"]


def test_what_the_stream_adds_is_seen(tmp_path: Path) -> None:
    archive(tmp_path, "user-events", [shopping(1, 0)])
    there = DeltaArchive(str(tmp_path))

    def told() -> list[Event]:
        return asyncio.run(there.events_of("s", DAYS, 10))

    assert len(told()) == 1
    archive(tmp_path, "user-events", [shopping(2, 0)], number=1)
    assert len(told()) == 2


@pytest.mark.parametrize("session", ["", "x", "s'; DROP", "é" * 300])
def test_a_session_nobody_knows_has_no_events(tmp_path: Path, session: str) -> None:
    archive(tmp_path, "user-events", [shopping(1, 0)])
    assert read(tmp_path, session) == []


def test_a_lake_without_events_is_empty(tmp_path: Path) -> None:
    assert read(tmp_path) == []
