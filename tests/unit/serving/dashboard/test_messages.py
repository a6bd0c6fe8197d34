"""What is kept of the topics: the newest, each once, bounded, whatever else comes."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from serving.dashboard.messages import ALERTS, PRODUCTS, SESSIONS, TOPICS, Messages

AT = "2026-11-30T12:00:00Z"
SESSION: dict[str, Any] = {
    "message_id": "v/c/1/s",
    "session_id": "s",
    "user_id": "who",
    "start_time": AT,
    "end_time": AT,
    "duration_ms": 0,
    "page_views": 1,
    "has_conversion": False,
}
ALERT: dict[str, Any] = {
    "message_id": "e/rapid_clicks",
    "user_id": "who",
    "event_id": "e",
    "alert_type": "rapid_clicks",
    "severity": "HIGH",
    "reason": "r",
    "value": None,
    "threshold": 1.5,
    "event_at": AT,
}


def say(messages: Messages, topic: str, document: dict[str, Any], **other: Any) -> None:
    messages.take(topic, json.dumps({**document, **other}).encode())


def test_the_newest_message_of_a_session_is_kept() -> None:
    messages = Messages()
    say(messages, "session-metrics", SESSION)
    say(messages, "session-metrics", SESSION, message_id="v/c/2/s", page_views=7)
    (kept,) = messages.heard().sessions.to_dicts()
    assert kept["page_views"] == 7
    assert kept["end_time"] == datetime(2026, 11, 30, 12, tzinfo=UTC)


def test_a_message_that_comes_again_says_nothing_new() -> None:
    messages = Messages()
    say(messages, "session-metrics", SESSION)
    say(messages, "session-metrics", SESSION, message_id="v/c/2/s", page_views=7)
    say(messages, "session-metrics", SESSION)  # the first epoch, tried again
    heard = messages.heard()
    assert heard.sessions["page_views"].to_list() == [7]
    assert heard.repeated == 1


def test_nobody_is_named() -> None:
    messages = Messages()
    say(messages, "session-metrics", SESSION)
    say(messages, "alerts", ALERT)
    heard = messages.heard()
    frames = (heard.sessions, heard.products, heard.alerts)
    assert [list(frame.schema) for frame in frames] == [[*SESSIONS], [*PRODUCTS], [*ALERTS]]
    assert "who" not in str([frame.to_dicts() for frame in frames])


def test_ids_may_be_of_any_script() -> None:
    messages = Messages()
    say(messages, "alerts", ALERT, event_id="이벤트 🛒", message_id="이벤트 🛒/rapid_clicks")
    assert messages.heard().alerts["event_id"].to_list() == ["이벤트 🛒"]


def test_a_time_without_an_offset_is_utc() -> None:
    messages = Messages()
    say(messages, "alerts", ALERT, event_at="2026-11-30T12:00:00")
    assert messages.heard().alerts["event_at"].to_list() == [datetime(2026, 11, 30, 12, tzinfo=UTC)]


@pytest.mark.parametrize(
    "value",
    [
        None,
        b"",
        b"not json",
        b"\xff\xfe",
        b"[]",
        b"{}",
        json.dumps({**SESSION, "page_views": "many"}).encode(),
        json.dumps({**SESSION, "end_time": "yesterday"}).encode(),
        json.dumps({**SESSION, "end_time": None}).encode(),
    ],
)
def test_what_cannot_be_read_is_counted_and_the_rest_goes_on(value: bytes | None) -> None:
    messages = Messages()
    messages.take("session-metrics", value)
    say(messages, "session-metrics", SESSION)
    heard = messages.heard()
    assert heard.unreadable == 1
    assert heard.sessions.height == 1


def test_what_was_not_heard_of_for_the_longest_time_is_forgotten() -> None:
    kinds = {"alerts": replace(TOPICS["alerts"], most=2)}
    kinds = {**TOPICS, **kinds}
    messages = Messages(kinds, most_ids=20)
    for number in (1, 2, 1, 3):
        say(messages, "alerts", ALERT, event_id=f"e{number}", message_id=f"m{number}")
        say(messages, "alerts", ALERT, event_id=f"e{number}", message_id=f"n{number}")
    assert messages.heard().alerts["event_id"].to_list() == ["e2", "e3"]


def test_memory_is_bounded() -> None:
    messages = Messages(most_ids=100)
    for number in range(1_000):
        say(messages, "session-metrics", SESSION, message_id=f"m{number}")
    assert len(messages._seen) <= 100
    assert messages.heard().sessions.height == 1
