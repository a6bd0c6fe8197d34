"""A shopper's log as short lines, `10:00 add shoe`: minutes:seconds, what, and which.

view shoe/sport    add shoe    remove shoe    buy [shoe,sock]    pay 12.5    click    from 10.0.0.1
"""

from __future__ import annotations

import json
from typing import Any

import polars as pl

from features.watching import Folded, fold, relevant
from producer.sent import Sent

__all__ = ["MINUTE", "SECOND", "START", "at", "clock", "event", "folded", "frame", "log", "watched"]

SECOND = 1_000_000
MINUTE = 60 * SECOND
START = 1_790_000_000 * SECOND
SCHEMA: dict[str, Any] = {
    "user_id": pl.String,
    "event_id": pl.String,
    "event_at": pl.Int64,
    "event_type": pl.String,
    "product_id": pl.String,
    "category": pl.String,
    "total_amount": pl.Float64,
    "ip": pl.String,
    "items": pl.List(pl.Struct({"product_id": pl.String})),
}
TYPES = {
    "view": "product_view",
    "add": "add_to_cart",
    "remove": "remove_from_cart",
    "buy": "purchase",
    "pay": "purchase",
    "click": "click",
    "from": "page_view",
}
Event = dict[str, Any]
# Something for each rule to find, by shopper.
WATCHED = {
    "leaves a cart": ("2:00 add shoe",),
    "compares": (
        "2:00 view cup/cups", "2:10 view mug/cups", "2:20 add cup", "2:30 view jar/cups",
        "2:40 add mug",
    ),
    "clicks": ("3:00 click", "3:00.099 click", "3:00.199 click"),
    "splurges": ("3:00 pay 10", "3:10 pay 10", "3:20 pay 50", "3:30 pay 1000"),
    "travels": ("3:00 from 10.0.0.1", "4:00 from 10.0.0.2"),
    "buys": ("2:00 add shoe", "11:59 buy shoe"),
}  # fmt: skip


def event(number: int, at: int, kind: str, **more: Any) -> Event:
    empty = dict.fromkeys(SCHEMA)
    numbered = {"user_id": "u", "event_id": f"e{number:04}", "event_at": at, "event_type": kind}
    return empty | numbered | more


def at(clock: str) -> int:
    """`61:05.25` is one hour, one minute, five and a quarter seconds after the start."""
    minutes, _, seconds = clock.partition(":")
    return START + int(minutes) * MINUTE + round(float(seconds) * SECOND)


def clock(time: int) -> str:
    minutes, rest = divmod(time - START, MINUTE)
    return f"{minutes}:{rest / SECOND:05.2f}".removesuffix(".00")


def log(*lines: str) -> list[Event]:
    """Of equal times the later line is the later event."""
    return [_parsed(number, *line.split()) for number, line in enumerate(lines)]


def _parsed(number: int, clock: str, verb: str, what: str = "") -> Event:
    more: Event = {}
    if verb in ("view", "add", "remove"):
        product, _, category = what.partition("/")
        more = {"product_id": product, "category": category or None}
    elif verb == "buy":
        more = {"items": [{"product_id": one} for one in what.split(",") if one]}
    elif verb == "pay":
        more = {"total_amount": float(what)}
    elif verb == "from":
        more = {"ip": what}
    return event(number, at(clock), TYPES[verb], **more)


def frame(events: list[Event]) -> pl.DataFrame:
    return pl.DataFrame(events, schema=SCHEMA)


def folded(*lines: str, until: str = "999999:00") -> Folded:
    """The whole log at once, with the watermark at `until`."""
    return fold({}, relevant(frame(log(*lines))), at(until))


def watched() -> list[Sent]:
    """What those shoppers send, in order of time."""
    events = [(shopper, one) for shopper, lines in WATCHED.items() for one in log(*lines)]
    return [
        Sent(
            topic="user-events",
            key=None,
            value=json.dumps(_as_sent(shopper, one)).encode(),
            event_at_us=one["event_at"],
            due_us=one["event_at"],
            received_at_ms=one["event_at"] // 1000,
        )
        for shopper, one in sorted(events, key=lambda found: found[1]["event_at"])
    ]


def _as_sent(shopper: str, event: Event) -> Event:
    known = {name: value for name, value in event.items() if value is not None}
    known["timestamp"] = known.pop("event_at") // 1000
    names = {"user_id": shopper, "event_id": f"{shopper} {event['event_id']}", "order_id": "o"}
    return known | names | {"page_url": "/", "element_id": "button"}
