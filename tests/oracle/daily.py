"""A naive second answer to the daily jobs: plain Python over a list of events."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterable
from datetime import date
from typing import Any

__all__ = ["behavior", "dearest", "products", "related", "segments", "sessions"]

Event = dict[str, Any]
Rows = dict[Any, dict[str, Any]]


def by(events: Iterable[Event], *names: str) -> dict[tuple[Any, ...], list[Event]]:
    groups: dict[tuple[Any, ...], list[Event]] = defaultdict(list)
    for event in sorted(events, key=lambda one: (one["event_at"], one["event_id"])):
        groups[tuple(event[name] for name in names)].append(event)
    return groups


def seconds(events: list[Event]) -> float:
    return (events[-1]["event_at"] - events[0]["event_at"]).total_seconds()


def of_type(events: Iterable[Event], *types: str) -> list[Event]:
    return [event for event in events if event["event_type"] in types]


def spent(events: Iterable[Event]) -> float:
    return sum(event["total_amount"] or 0.0 for event in of_type(events, "purchase"))


def sessions(events: list[Event]) -> Rows:
    named = [event for event in events if event["session_id"] is not None]
    return {
        key: {
            "total_events": len(group),
            "clicks": len(of_type(group, "click")),
            "purchases": len(of_type(group, "purchase")),
            "session_duration_minutes": seconds(group) / 60,
            "has_conversion": bool(of_type(group, "purchase")),
            "device_type": next((e["device_type"] for e in group if e["device_type"]), None),
        }
        for key, group in by(named, "session_id", "user_id").items()
    }


def products(events: list[Event]) -> Rows:
    touched = []
    for event in events:
        ids = [item["product_id"] for item in event["items"] or []] or [event["product_id"]]
        touched += [{**event, "product_id": one} for one in ids if one is not None]
    return {
        key: {
            "views": len(of_type(group, "product_view")),
            "cart_adds": len(carts := of_type(group, "add_to_cart")),
            "purchases": len(bought := of_type(group, "purchase")),
            "unique_users": len({e["user_id"] for e in group} - {None}),
            "cart_to_purchase_rate": len(bought) / len(carts) if carts else None,
        }
        for key, group in by(touched, "product_id").items()
    }


def segments(events: list[Event], day: date) -> dict[str, str]:
    users = by([event for event in events if event["user_id"]], "user_id")
    money = {user: spent(group) for (user,), group in users.items() if of_type(group, "purchase")}
    vip_from = percentile(sorted(money.values()), 0.8)
    found = {}
    for (user,), group in users.items():
        away = (day - group[-1]["event_date"]).days
        known = (day - group[0]["event_date"]).days
        is_vip = len(of_type(group, "purchase")) >= 3 and money[user] >= vip_from
        found[user] = (
            "dormant"
            if away >= 21
            else "at_risk"
            if away >= 10
            else "vip"
            if is_vip
            else "new"
            if known < 7
            else "loyal"
        )
    return found


def percentile(values: list[float], share: float) -> float:
    place = share * (len(values) - 1)
    low, high = math.floor(place), math.ceil(place)
    return values[low] + (values[high] - values[low]) * (place - low)


def behavior(events: list[Event], day: date) -> Rows:
    found = {}
    for (user,), group in by([event for event in events if event["user_id"]], "user_id").items():
        in_week = [event for event in group if (day - event["event_date"]).days < 7]
        bought = of_type(group, "purchase")
        days = {event["event_date"] for event in group}
        away = (day - max(days)).days
        gap = (max(days) - min(days)).days / (len(days) - 1) if len(days) > 1 else 7
        lengths = [seconds(one) for (key,), one in by(group, "session_id").items() if key]
        found[user] = {
            "avg_session_duration": sum(lengths) / len(lengths) if lengths else None,
            "total_page_views_7d": len(of_type(in_week, "page_view", "product_view")),
            "total_purchases_30d": len(bought),
            "avg_order_value": spent(group) / len(bought) if bought else None,
            "preferred_category": most_frequent(event["category"] for event in group),
            "device_type": most_frequent(event["device_type"] for event in group),
            "last_activity_days_ago": away,
            "churn_risk_score": 1 - math.exp(-away / max(gap, 1)),
        }
    return found


def most_frequent(values: Iterable[str | None]) -> str | None:
    counts = Counter(value for value in values if value is not None)
    return min(counts, key=lambda value: (-counts[value], value), default=None)


WEIGHTS = {"product_view": 1, "click": 1, "add_to_cart": 3, "purchase": 5}
Touches = dict[str, dict[str, list[Event]]]


def touches(events: list[Event]) -> Touches:
    """User -> product -> events; a purchase with items is one of each of them."""
    found: Touches = defaultdict(lambda: defaultdict(list))
    for event in of_type(events, *WEIGHTS):
        ids = [item["product_id"] for item in event["items"] or []] or [event["product_id"]]
        for product in ids:
            if event["user_id"] and product:
                found[event["user_id"]][product].append(event)
    return found


def dearest(events: list[Event]) -> Rows:
    """Right while no user touches more products than are kept."""
    found = {}
    for user, products_of in touches(events).items():
        affinity = {p: sum(WEIGHTS[e["event_type"]] for e in es) for p, es in products_of.items()}
        bought = {p: len(of_type(es, "purchase")) for p, es in products_of.items()}
        found[(user,)] = {
            "product_count": len(products_of),
            "products": [
                {"product_id": p, "affinity": affinity[p], "purchase_count": bought[p]}
                for p in sorted(affinity, key=lambda p: (-affinity[p], p))
            ],
            "last_event_at": max(e["event_at"] for es in products_of.values() for e in es),
        }
    return found


def related(events: list[Event]) -> Rows:
    """Right while no user touches more products than count, and none has more others."""
    users = [set(products_of) for products_of in touches(events).values()]
    count = Counter(product for one in users for product in one)
    both: Counter[tuple[str, str]] = Counter()
    for one in users:
        both.update((a, b) for a in one for b in one if a != b)
    found: Rows = {}
    for product in sorted({a for a, _ in both}):
        others = sorted((-n, b) for (a, b), n in both.items() if a == product)
        found[(product,)] = {
            "user_count": count[product],
            "products": [(b, -n, -n / math.sqrt(count[product] * count[b])) for n, b in others],
        }
    return found
