"""Events are cut out of a body byte by byte, and what is no list of events is refused."""

from __future__ import annotations

import pytest

from serving.collector.bodies import MAX_EVENTS, split_body
from serving.errors import BadRequest, TooLarge

JSON = "application/json"


@pytest.mark.parametrize(
    ("body", "events"),
    [
        (b'{"a": 1}', [b'{"a": 1}']),
        (b' \r\n{"a":1}\n', [b'{"a":1}']),
        (b"[]", []),
        (b" [ ] ", []),
        (b'[{"a":1}, {"b" : [2,{}]} ]', [b'{"a":1}', b'{"b" : [2,{}]}']),
        (b'[1, "x", null, [2]]', [b"1", b'"x"', b"null", b"[2]"]),
        # What JSON does not know, but one event may hold without spoiling the others.
        (b'[{"a": NaN}, {"b": 2}]', [b'{"a": NaN}', b'{"b": 2}']),
        (b'[{"a": "\\ud800"} , {"b": -Infinity}]', [b'{"a": "\\ud800"}', b'{"b": -Infinity}']),
        (b'{"a": NaN}', [b'{"a": NaN}']),
        (b'[{"a": 1, "a": 2}]', [b'{"a": 1, "a": 2}']),
        (b'[{"a": "\xff"}]', [b'{"a": "\xff"}']),
        (b"[" + b"9" * 5000 + b"]", [b"9" * 5000]),
        (b"[NaN, " + b"9" * 5000 + b"]", [b"NaN", b"9" * 5000]),
    ],
)
def test_events_are_the_bytes_that_were_sent(body: bytes, events: list[bytes]) -> None:
    assert split_body(body, JSON) == events


@pytest.mark.parametrize("content_type", ["text/plain;charset=UTF-8", "", "application/JSON"])
def test_a_beacon_may_call_it_text(content_type: str) -> None:
    assert split_body(b'[{"a":1}]', content_type) == [b'{"a":1}']


def test_lines_are_taken_one_by_one() -> None:
    body = b'{"a":1}\r\n\n{"broken\n[2]\n'
    assert split_body(body, "application/x-ndjson; charset=utf-8") == [
        b'{"a":1}\r',
        b'{"broken',
        b"[2]",
    ]


@pytest.mark.parametrize(
    ("body", "says"),
    [
        (b"", "is empty"),
        (b"   ", "is empty"),
        (b"5", "is neither an event nor a list"),
        (b'"text"', "is neither an event nor a list"),
        (b"null", "is neither an event nor a list"),
        (b"\xff\xfe", "is neither an event nor a list"),
        (b"[1, 2", "is no JSON"),
        (b"[1,]", "is no JSON"),
        (b"[1 2]", "is no JSON"),
        (b"[] []", "is no JSON"),
        (b'{"a": 1', "is no JSON"),
        (b'{"a": 1} x', "is no JSON"),
        (b"[NaN, \xff]", "is no JSON"),
        (b"[" * 100_000, "nested too deeply"),
        (b'{"a":' * 100_000, "nested too deeply"),
    ],
)
def test_junk_is_refused_in_a_sentence(body: bytes, says: str) -> None:
    with pytest.raises(BadRequest, match=says) as refused:
        split_body(body, JSON)
    assert refused.value.to_json()["error"]["field"] == "body"


def test_more_events_than_one_request_may_have() -> None:
    with pytest.raises(TooLarge, match="10,001 events"):
        split_body(b"[" + b"1," * MAX_EVENTS + b"1]", JSON)
