"""Strategies for what a topic can carry: nearly right events, and anything at all."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import strategies as st

__all__ = ["FLAT_COMMERCE", "NOW_US", "WEBTOON_EVENT", "raw_values"]

NOW_US = 1_790_000_000_000_000
WEBTOON_EVENT: dict[str, Any] = {
    "event_id": "e-1",
    "user_id": "u",
    "session_id": "s",
    "episode_id": "e",
    "event_type": "scroll",
    "scroll_ratio": 0.5,
    "country": "KR",
    "device": "mobile",
    "platform": "ios",
    "timestamp": "2026-09-21T14:13:20.000Z",
}
FLAT_COMMERCE: dict[str, Any] = {
    "event_id": "c-1",
    "user_id": "u",
    "session_id": "s",
    "event_type": "purchase",
    "timestamp": "2026-09-21T14:13:20.000Z",
    "order_id": "o",
    "price": 5.5,
    "quantity": 2,
    "total_amount": 11.0,
    "login_status": True,
}
NUMBERS = (
    *("0", "-0.0", "0.5", "1", "1.0", "1e2", "1e-400", "1e999", "-1e999", "NaN", "Infinity"),
    *("12345678901234567890", "99999999999", "1e11", "99999999999999", "1e14", "-1e30", "1e300"),
    *("1790000000.123456", "1790000000123.5", "1" * 300, "1" * 309, "9" * 310, "1" * 5000),
)
TEXTS = (
    *('"KR"', '"kr"', '"enter"', '"view"', '"complete"', '"mobile"', '"web"', '"1"', '"1e999"'),
    *('"0.5"', '" 0.5"', '"\u0663"', '"\\ud800"', '"a\\u0000b"', '"\\u0085"', '"\u0085"', '""'),
    *('"2026-09-21T14:13:20Z"', '"2026-09-21 14:13:20 UTC"', '" 2026-09-21T14:13:20Z"'),
    *('"2026-09-21"', '"20260921"', '"1790000000"', '"1790000000000"', '"NaN"', '"x\x7f"'),
    *('"0001-01-01T00:00:00+14:00"', '"9999-12-31T23:59:59-14:00"', '"2026-09-21T14:13:60Z"'),
    *('"2026-09-21T14:13:20.1234567Z"', '"2026-09-21T14:13:20.123456Z"', '"2026-9-1T1:1:1Z"'),
    *('"a \\":b"', '"\\"user_id\\":1"', '"\u20ac \U0001f600"', '"' + "x" * 257 + '"'),
    '"' + "x" * 4097 + '"',
)
OTHERS = ("null", " null", "true", "false", "[]", "{}", "[1]", '{"a":1,"a":2}', '{"a":null}')
NOT_EVENTS = (
    *(None, b"", b" ", b"null", b"\xef\xbb\xbf{}", b"[", b"NaN", b'[{"a":1,"a":1}]', b"\xff"),
    *(b"[" * 64 + b"]" * 64, b"[" * 65 + b"]" * 65, b"[" * 5000, b"{" * 5000),
    *(b'{"a":' + b"[" * 63 + b"]" * 63 + b"}", b'{"a":' + b"[" * 64 + b"]" * 64 + b"}"),
    *(b" " * ((1 << 20) + 1), b'"' + b"a" * (1 << 20)),
)
values = st.one_of(
    st.sampled_from(NUMBERS),
    st.text(max_size=8).map(json.dumps),
    st.sampled_from(TEXTS),
    st.sampled_from(OTHERS),
    st.floats(allow_nan=False, allow_infinity=False).map(repr),
)


@st.composite
def documents(draw: st.DrawFn, event: dict[str, Any], others: tuple[str, ...]) -> bytes:
    """A good event with some fields taken away, replaced, added or doubled."""
    keys = st.sampled_from([*event, *others])
    fields = {key: json.dumps(value, ensure_ascii=False) for key, value in event.items()}
    for key in draw(st.lists(st.sampled_from([*event]), max_size=2)):
        fields.pop(key, None)
    fields |= dict(draw(st.lists(st.tuples(keys, values), max_size=2)))
    if draw(st.integers(0, 3)) == 0:
        inner = draw(st.dictionaries(keys, values, max_size=3))
        fields["properties"] = _object(list(inner.items()), ":")
    items = list(fields.items())
    if items and draw(st.integers(0, 20)) == 0:
        items.append(items[0])
    return _object(items, draw(st.sampled_from([":", ": ", " : "]))).encode("utf-8", "replace")


def _object(items: list[tuple[str, str]], colon: str) -> str:
    return "{" + ",".join(f"{json.dumps(key)}{colon}{value}" for key, value in items) + "}"


def raw_values(event: dict[str, Any], *others: str) -> st.SearchStrategy[bytes | None]:
    """Kafka values around `event`; `others` are further names that may turn up."""
    near = documents(event, ("userId", "eventType", "x", "user_session", *others))
    return st.one_of(near, near, near, st.sampled_from(NOT_EVENTS), st.binary(max_size=20))
