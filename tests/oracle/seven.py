"""The seven checks by hand, over a list of shopping events: who fails, and how many are looked at.

Spelled out from the specification, event by event; neither contract nor columns are read.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from fractions import Fraction
from typing import Any

__all__ = ["ORACLES"]

Event = dict[str, Any]
# Places of the failing events, and how many were looked at.
Answer = tuple[set[int], int]
Carts = set[tuple[str | None, str | None]]

TYPES = (
    *("page_view", "product_view", "click", "search"),
    *("add_to_cart", "remove_from_cart", "purchase"),
)
NEEDED = {
    "page_view": ("page_url",),
    "click": ("element_id",),
    "search": ("search_query",),
    "add_to_cart": ("user_id",),
    "remove_from_cart": ("user_id",),
    "purchase": ("user_id",),
}
LEAST = {
    "result_count": 0,
    "price": 0,
    "quantity": 1,
    "total_amount": 0,
    "discount": 0,
    "shipping_fee": 0,
}
CENT = Fraction(1, 100)


def required_fields(events: Sequence[Event], _carts: Carts, _year: int) -> Answer:
    failing = set()
    for at, event in enumerate(events):
        kind = event["event_type"]
        if kind is None or any(event[name] is None for name in NEEDED.get(kind, ())):
            failing.add(at)
    return failing, len(events)


def duplicate_event_id(events: Sequence[Event], _carts: Carts, _year: int) -> Answer:
    ids = [event["event_id"] for event in events]
    return {at for at, name in enumerate(ids) if name in ids[:at]}, len(events)


def value_ranges(events: Sequence[Event], _carts: Carts, _year: int) -> Answer:
    return {at for at, event in enumerate(events) if is_out_of_range(event)}, len(events)


def is_out_of_range(event: Event) -> bool:
    closed = {
        "event_type": TYPES,
        "platform": ("ios", "android", "web"),
        "device_type": ("mobile", "tablet", "desktop"),
    }
    for name, allowed in closed.items():
        if event[name] is not None and event[name] not in allowed:
            return True
    for name, least in LEAST.items():
        if event[name] is not None and event[name] < least:
            return True
    return any(
        item["quantity"] < 1 or (item["unit_price"] is not None and item["unit_price"] < 0)
        for item in event["items"] or ()
    )


def funnel_order(events: Sequence[Event], carts: Carts, _year: int) -> Answer:
    purchases = [at for at, event in enumerate(events) if event["event_type"] == "purchase"]
    return {at for at in purchases if not has_cart(events[at], events, carts)}, len(purchases)


def has_cart(purchase: Event, events: Sequence[Event], carts: Carts) -> bool:
    user, session = purchase["user_id"], purchase["session_id"]
    if user is None:
        return False
    before: Carts = {
        (event["user_id"], event["session_id"])
        for event in events
        if event["event_type"] == "add_to_cart" and event["event_at"] <= purchase["event_at"]
    }
    if session is None:
        return any(owner == user for owner, _ in before | carts)
    return (user, session) in before | carts


def timestamps(events: Sequence[Event], _carts: Carts, year: int) -> Answer:
    def is_odd(at: datetime) -> bool:
        return at.year < 2000 or at.year > year + 1

    return {at for at, event in enumerate(events) if is_odd(event["event_at"])}, len(events)


def order_amount(events: Sequence[Event], _carts: Carts, _year: int) -> Answer:
    failing, looked_at = set(), 0
    for at, event in enumerate(events):
        items = event["items"] or []
        prices = [item["unit_price"] for item in items]
        if event["event_type"] != "purchase" or not items or None in prices:
            continue
        if event["total_amount"] is None:
            continue
        looked_at += 1
        expected = sum(exact(item["unit_price"]) * item["quantity"] for item in items)
        expected += exact(event["shipping_fee"]) - exact(event["discount"])
        if abs(exact(event["total_amount"]) - expected) > CENT:
            failing.add(at)
    return failing, looked_at


def exact(amount: float | None) -> Fraction:
    """The decimal that was written."""
    return Fraction(repr(amount or 0.0))


def platform_device(events: Sequence[Event], _carts: Carts, _year: int) -> Answer:
    seen = [at for at, event in enumerate(events) if event["platform"] is not None]
    failing = set()
    for at in seen:
        event = events[at]
        is_wrong_device = event["device_type"] not in ("mobile", "tablet", None)
        if event["platform"] == "ios" and is_wrong_device:
            failing.add(at)
        of_session = [events[i] for i in seen if events[i]["session_id"] == event["session_id"]]
        first = min(of_session, key=lambda one: (one["event_at"], one["event_id"]))
        if event["session_id"] is not None and event["platform"] != first["platform"]:
            failing.add(at)
    return failing, len(seen)


ORACLES: dict[str, Callable[[Sequence[Event], Carts, int], Answer]] = {
    "required_fields": required_fields,
    "duplicate_event_id": duplicate_event_id,
    "value_ranges": value_ranges,
    "funnel_order": funnel_order,
    "timestamps": timestamps,
    "order_amount": order_amount,
    "platform_device": platform_device,
}
