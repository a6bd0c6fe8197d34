"""The oracles themselves, at the boundaries that the specification names."""

from __future__ import annotations

import json
from typing import Any

import pytest

from oracle.sessions import final_watermark, session_features
from oracle.validation import expected

SECOND = 1_000_000
GAP = 30 * 60 * SECOND
NOW = 1_790_000_000 * SECOND
READ = {
    "user_id": "u",
    "session_id": "s",
    "episode_id": "e",
    "event_type": "enter",
    "country": "KR",
    "device": "mobile",
    "platform": "ios",
    "timestamp": NOW // 1000,
}


def event(at: int, kind: str, ratio: float | None = None, **change: Any) -> dict[str, Any]:
    base = {"event_id": f"{at}-{kind}", "user_id": "u", "session_id": "s", "episode_id": "e"}
    return {**base, "event_type": kind, "scroll_ratio": ratio, "event_at": at, **change}


def row(events: list[dict[str, Any]], watermark: int = 0) -> dict[str, Any]:
    return session_features(events, watermark, {"e": "drama"})["s", "e"]


def test_a_read_to_the_end() -> None:
    events = [event(0, "enter"), event(1500, "scroll", 0.5), event(2999, "complete")]
    found = row([*reversed(events), *events])
    assert found["genre"] == "drama"
    assert (found["is_completed"], found["is_exit_tag"], found["completion_rate"]) == (
        True,
        False,
        1.0,
    )
    assert (found["event_count"], found["scroll_event_count"]) == (3, 1)
    assert (found["avg_scroll_ratio"], found["dwell_time_ms"]) == (0.5, 2)


def test_a_read_left_without_a_scroll() -> None:
    found = row([event(0, "enter"), event(1, "exit", 0.25)])
    assert (found["is_exit_tag"], found["completion_rate"]) == (True, 0.25)
    assert found["avg_scroll_ratio"] is None


@pytest.mark.parametrize(("gap", "count"), [(GAP, 2), (GAP + 1, 1)])
def test_a_visit_ends_after_more_than_the_gap(gap: int, count: int) -> None:
    assert row([event(0, "enter"), event(gap, "enter")])["event_count"] == count


def test_a_tie_in_time_is_broken_by_the_id() -> None:
    tied = [event(0, "enter", event_id="b", user_id="u2"), event(0, "enter", event_id="a")]
    assert row(tied)["user_id"] == "u"


@pytest.mark.parametrize(
    ("kind", "watermark", "closed"),
    [("exit", 5, False), ("exit", 6, True), ("enter", GAP + 5, False), ("enter", GAP + 6, True)],
)
def test_a_visit_closes_once_the_watermark_has_passed(
    kind: str, watermark: int, closed: bool
) -> None:
    assert row([event(0, "enter"), event(5, kind)], watermark)["is_closed"] is closed


def test_the_final_watermark_is_ten_seconds_behind() -> None:
    assert final_watermark([event(5 * SECOND, "enter"), event(0, "exit")]) == -5 * SECOND


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({}, "ok"),
        ({"user_id": None}, "missing_field"),
        ({"user_id": 1.5}, "wrong_type"),
        ({"user_id": ""}, "out_of_range"),
        ({"event_type": "scroll"}, "missing_field"),
        ({"scroll_ratio": "1.5"}, "out_of_range"),
        ({"scroll_ratio": float("nan")}, "wrong_type"),
        ({"country": "kr"}, "not_allowed"),
        ({"timestamp": 10**14}, "bad_timestamp"),
        ({"timestamp": 10**400}, "wrong_type"),
        ({"timestamp": 0}, "too_old"),
        ({"timestamp": NOW // 1000 + 300_000}, "ok"),
        ({"timestamp": NOW // 1000 + 300_001}, "in_the_future"),
    ],
    ids=lambda value: str(value)[:30],
)
def test_a_verdict_on_one_event(change: dict[str, Any], code: str) -> None:
    assert expected(json.dumps({**READ, **change}).encode(), NOW)[0] == code


@pytest.mark.parametrize(
    ("raw", "code"),
    [
        (None, "not_json"),
        (b"\xff", "not_json"),
        (b"\xef\xbb\xbf{}", "not_json"),
        (b'{"a": [{"b": 1, "b": 1}]}', "not_json"),
        (b"[" * 65 + b"]" * 65, "not_json"),
        (b"[" * 64 + b"]" * 64, "not_an_object"),
        (b" " * (1024 * 1024 + 1), "too_large"),
    ],
    ids=lambda value: str(value)[:20],
)
def test_a_verdict_on_raw_bytes(raw: bytes | None, code: str) -> None:
    assert expected(raw, NOW) == (code, None)


def test_the_canonical_event() -> None:
    sent = {**READ, "user_id": 7.0, "properties": {"uiVersion": "v\0"}, "event_id": 12}
    verdict, found = expected(json.dumps(sent).encode(), NOW)
    assert verdict == "ok"
    assert found is not None
    assert (found["user_id"], found["event_id"], found["ui_version"]) == ("7", "12", "v\ufffd")
    assert (found["event_at"], found["scroll_ratio"]) == (NOW, None)
