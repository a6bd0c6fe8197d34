"""One event: which topic it is of, what becomes of it, and under which key."""

from __future__ import annotations

import json
from typing import Any

import pytest

from features.contracts import CONTRACTS
from features.validation import Rejected, validate
from serving.collector.enrichment import Sender
from serving.collector.judging import contract_named, judge
from serving.errors import NotFound

NOW_MS = 1_767_225_600_000
NOBODY = Sender()
VIEW = {"event_type": "product_view", "user_id": "u", "product_id": "p", "timestamp": NOW_MS}
ENTER = {
    "event_type": "enter",
    "user_id": "u",
    "session_id": "s",
    "episode_id": "e",
    "country": "KR",
    "device": "mobile",
    "platform": "web",
    "timestamp": NOW_MS,
}


def raw(event: Any) -> bytes:
    return json.dumps(event).encode()


@pytest.mark.parametrize(
    ("event", "topic"),
    [
        (VIEW, "user-events"),
        (ENTER, "webtoon_user_events"),
        ({"eventType": "scroll"}, "webtoon_user_events"),
        ({"event_type": "anything"}, "user-events"),
        ({"event_type": ["enter"]}, "user-events"),
        ({"event_type": None, "eventType": "exit"}, "webtoon_user_events"),
        ([1], "user-events"),
        ({}, "user-events"),
    ],
)
def test_without_a_topic_the_type_tells(event: Any, topic: str) -> None:
    assert judge(None, raw(event), NOW_MS, NOBODY).record.topic == topic


@pytest.mark.parametrize("text", [b"\xff", b"{", b"", b"[" * 9_999])
def test_what_cannot_be_read_counts_as_shopping(text: bytes) -> None:
    judged = judge(None, text, NOW_MS, NOBODY)
    assert judged.record.topic == "user-events"
    assert judged.refusal is not None


@pytest.mark.parametrize(
    ("event", "key"),
    [
        ({**VIEW, "session_id": "s"}, "s"),
        (VIEW, "u"),
        ({**VIEW, "user_id": None}, None),
        ({**VIEW, "session_id": 17}, "17"),
    ],
)
def test_the_key_is_the_contracts(event: dict[str, object], key: str | None) -> None:
    judged = judge(CONTRACTS["user-events"], raw(event), NOW_MS, NOBODY)
    assert judged.refusal is None
    assert judged.record.key == key


def test_what_is_rejected_goes_on_as_it_came() -> None:
    sent = b'{"event_type": "product_view",  "user_id": "u"}'
    judged = judge(None, sent, NOW_MS, Sender(ip="192.0.2.0"))
    assert judged.refusal == Rejected("missing_field", "Field 'timestamp' is required.")
    assert judged.record.value == sent
    assert judged.record.received_at_ms == NOW_MS


def test_the_stream_will_judge_as_the_collector_did() -> None:
    """Also at the edge of what may lie in the future: both go by the same millisecond."""
    for ahead_ms, code in ((300_000, None), (300_000.5, "in_the_future")):
        event = raw({**VIEW, "timestamp": NOW_MS + ahead_ms})
        judged = judge(None, event, NOW_MS, Sender(ip="192.0.2.0"))
        again = validate(
            CONTRACTS["user-events"], judged.record.value, judged.record.received_at_ms * 1000
        )
        assert (judged.refusal.reason_code if judged.refusal else None) == code
        assert isinstance(again, Rejected) == (code is not None)


def test_a_topic_that_is_no_input_is_unknown() -> None:
    assert contract_named(None) is None
    with pytest.raises(NotFound, match="Like it: user-events"):
        contract_named("user-event")
    with pytest.raises(NotFound):
        contract_named("dead-letters")
