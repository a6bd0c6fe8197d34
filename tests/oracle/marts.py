"""The four marts and the reads, computed the obvious way from what stands in raw.events."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any

from oracle.sessions import features_of, visits

__all__ = ["RawEvent", "expected_marts", "expected_reads"]

Row = dict[str, Any]
PRODUCT_COUNTS = {
    "product_view": "view_count",
    "click": "click_count",
    "add_to_cart": "cart_count",
    "purchase": "purchase_count",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class RawEvent:
    """A row of raw.events; `event` is the canonical event without what is null."""

    run_date: date
    topic: str
    event_id: str
    event_type: str
    user_id: str | None
    session_id: str | None
    event_at: datetime
    event: Row

    @property
    def day(self) -> date:
        return self.event_at.astimezone(UTC).date()


def expected_marts(raw: Iterable[RawEvent]) -> dict[str, list[Row]]:
    """Every row of the four marts, by mart."""
    events = [event for event in once_each(raw) if event.topic == "user-events"]
    days = sorted({event.day for event in events})
    by_day = {day: [event for event in events if event.day == day] for day in days}
    makers = {
        "mart_user_daily": users,
        "mart_funnel_daily": funnels,
        "mart_product_daily": products,
        "mart_orders": orders,
    }
    return {
        name: [{"event_date": day, **row} for day in days for row in rows_of(by_day[day])]
        for name, rows_of in makers.items()
    }


def once_each(raw: Iterable[RawEvent]) -> list[RawEvent]:
    first: dict[tuple[str, str, date], RawEvent] = {}
    for event in sorted(raw, key=lambda event: event.run_date):
        first.setdefault((event.topic, event.event_id, event.day), event)
    return list(first.values())


def count(events: Iterable[RawEvent], event_type: str) -> int:
    return sum(event.event_type == event_type for event in events)


def users(events: list[RawEvent]) -> Iterator[Row]:
    for user in {event.user_id for event in events if event.user_id is not None}:
        mine = [event for event in events if event.user_id == user]
        yield {
            "user_id": user,
            "session_count": len({event.session_id for event in mine} - {None}),
            "page_view_count": count(mine, "page_view"),
            "click_count": count(mine, "click"),
            "cart_count": count(mine, "add_to_cart"),
            "search_count": count(mine, "search"),
            "purchase_count": count(mine, "purchase"),
            "revenue": sum(
                event.event.get("total_amount", 0)
                for event in mine
                if event.event_type == "purchase"
            ),
        }


def funnels(events: list[RawEvent]) -> Iterator[Row]:
    steps = {"view": "page_view", "click": "click", "cart": "add_to_cart", "purchase": "purchase"}
    for platform in {event.event.get("platform") for event in events}:
        mine = [event for event in events if event.event.get("platform") == platform]
        row: Row = {"platform": platform or "unknown"}
        for step, kind in steps.items():
            row[f"{step}_count"] = count(mine, kind)
            row[f"{step}_users"] = len({e.user_id for e in mine if e.event_type == kind} - {None})
        yield row | {
            "view_to_click_rate": rate(row, "click", "view"),
            "click_to_cart_rate": rate(row, "cart", "click"),
            "cart_to_purchase_rate": rate(row, "purchase", "cart"),
            "overall_rate": rate(row, "purchase", "view"),
        }


def rate(row: Row, of: str, to: str) -> float | None:
    return row[f"{of}_count"] / row[f"{to}_count"] if row[f"{to}_count"] else None


def products(events: list[RawEvent]) -> Iterator[Row]:
    found: dict[str, Row] = {}
    counts = dict.fromkeys([*PRODUCT_COUNTS.values(), "cart_quantity", "purchase_quantity"], 0)
    for event in events:
        kind = event.event_type
        if kind not in PRODUCT_COUNTS:
            continue
        lines = lines_of(event) if kind == "purchase" else [(event.event.get("product_id"), 1, 0)]
        for product in {product for product, _, _ in lines} - {None}:
            row = found.setdefault(product, {"product_id": product, **counts, "revenue": 0.0})
            row[PRODUCT_COUNTS[kind]] += 1
        for product, pieces, amount in lines if kind == "purchase" else ():
            if product is not None:
                found[product]["purchase_quantity"] += pieces
                found[product]["revenue"] += amount or 0
        if kind == "add_to_cart" and event.event.get("product_id") is not None:
            found[event.event["product_id"]]["cart_quantity"] += event.event["quantity"]
    yield from found.values()


def lines_of(purchase: RawEvent) -> list[tuple[str | None, int, float | None]]:
    """Product, pieces and amount of each line."""
    event = purchase.event
    if event.get("items"):
        return [
            (
                item["product_id"],
                item["quantity"],
                None if item.get("unit_price") is None else item["quantity"] * item["unit_price"],
            )
            for item in event["items"]
        ]
    price = event.get("price")
    amount = goods(event) if price is None else event["quantity"] * price
    return [(event.get("product_id"), event["quantity"], amount)]


def goods(event: Row) -> float | None:
    """What was paid, before discount and without shipping."""
    if "total_amount" not in event:
        return None
    amount = event["total_amount"] + event.get("discount", 0) - event.get("shipping_fee", 0)
    return float(max(amount, 0))


def orders(events: list[RawEvent]) -> Iterator[Row]:
    purchases = [event for event in events if event.event_type == "purchase"]
    purchases.sort(key=lambda event: (event.event_at, event.event_id))
    seen = set()
    for purchase in purchases:
        event = purchase.event
        order_id = event.get("order_id", purchase.event_id)
        if order_id in seen:
            continue
        seen.add(order_id)
        amounts = [amount for _, _, amount in lines_of(purchase)]
        yield {
            "order_id": order_id,
            "user_id": purchase.user_id,
            "ordered_at": purchase.event_at,
            "platform": event.get("platform"),
            "payment_method": event.get("payment_method"),
            "item_count": len(amounts),
            "gross_amount": goods(event) if None in amounts else sum(amounts),
            "discount": event.get("discount", 0.0),
            "shipping_fee": event.get("shipping_fee", 0.0),
            "total_amount": event.get("total_amount"),
        }


def expected_reads(raw: Iterable[RawEvent], genres: Mapping[str, str]) -> list[Row]:
    """Every read, with its times in microseconds."""
    sessions: dict[tuple[str, str], list[Row]] = defaultdict(list)
    events = [event for event in once_each(raw) if event.topic == "webtoon_user_events"]
    for event in sorted(events, key=lambda event: (event.event_at, event.event_id)):
        at = round(event.event_at.timestamp() * 1_000_000)
        sessions[event.event["session_id"], event.event["episode_id"]].append(
            {**event.event, "event_at": at}
        )
    return [
        {
            "session_id": session,
            "episode_id": episode,
            **features_of(visit, 0, genres.get(episode, "unknown")),
        }
        for (session, episode), mine in sessions.items()
        for visit in visits(mine)
    ]
