"""Windowed features the slow way: every event looked at for every window."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from features.window_set import WindowSet
from features.windows import Aggregation, Kind, Latest, Window

__all__ = ["product_rows", "shopping_rows", "windowed"]

HOUR = 3_600_000_000
TEN_SECONDS = 10_000_000
Event = Mapping[str, Any]


def windowed(declared: WindowSet, events: Sequence[Event], t: int) -> dict[str, Any]:
    """The features of one entity at `t`, of all its events."""
    features: dict[str, Any] = {}
    for grid in declared.grids:
        for window in grid.windows:
            inside = [event for event in events if covers(window, event, t)]
            features[f"{grid.name}_{window.name}"] = aggregate(grid.aggregation, inside)
    for rate in declared.rates:
        for window in rate.windows:
            of, to = features[f"{rate.of}_{window.name}"], features[f"{rate.to}_{window.name}"]
            features[f"{rate.name}_{window.name}"] = of / to if to else None
    for score in declared.scores:
        weighted = [
            features[f"{name}_{score.window.name}"] * weight
            for name, weight in score.weights.items()
        ]
        features[score.name] = float(sum(weighted))
    for one in declared.latest:
        features[one.name] = latest(one, events)
    return features


def latest(one: Latest, events: Sequence[Event]) -> Any:
    """Walk the log in order; a value seen again moves to the end."""
    seen: list[Any] = []
    for event in sorted(events, key=lambda e: (e["event_at"], e["event_id"])):
        value = event[one.of]
        if value is None or any(event[name] not in values for name, values in one.where.items()):
            continue
        seen = [other for other in seen if other != value] + [value]
    if one.most is None:
        newest = seen[-1] if seen else None
        return None if one.ends and newest == "" else newest
    return seen[-one.most :] or None


def bought_items(event: Event) -> Sequence[Event]:
    return event["items"] or [] if event["event_type"] == "purchase" else []


def product_rows(
    events: Sequence[Event], categories: Mapping[str, str]
) -> dict[str, list[dict[str, Any]]]:
    """For each product the events that name it, each once; of a purchase its items do."""
    rows: dict[str, list[dict[str, Any]]] = {}
    for event in events:
        items = bought_items(event)
        for product in {item["product_id"] for item in items} or {event["product_id"]}:
            if product is None:
                continue
            known = categories.get(product)
            category = known if items or event["category"] is None else event["category"]
            price = None if items else event["price"]
            row = {**event, "product_id": product, "category": category, "price": price}
            rows.setdefault(product, []).append(row)
    return rows


def shopping_rows(events: Sequence[Event], categories: Mapping[str, str]) -> list[dict[str, Any]]:
    """Every purchased item as a row behind its purchase; categories looked up."""
    rows: list[dict[str, Any]] = []
    for event in events:
        row = {name: value for name, value in event.items() if name != "items"}
        items = bought_items(event)
        rows.append({**row, "product_id": None if items else row["product_id"]})
        for number, item in enumerate(items):
            bought = dict.fromkeys(row) | {name: row[name] for name in ("event_at", "user_id")}
            bought["event_id"] = f"{row['event_id']}\0{number:09}"
            bought["event_type"] = "purchased_item"
            bought["product_id"] = item["product_id"]
            rows.append(bought)
    for row in rows:
        if row["category"] is None:
            row["category"] = categories.get(row["product_id"])
    return rows


def covers(window: Window, event: Event, t: int) -> bool:
    number, unit = int(window.name[:-1]), window.name[-1]
    width = number * {"m": 60, "h": 3600, "d": 86_400}[unit] * 1_000_000
    tile = TEN_SECONDS if width <= HOUR else HOUR
    return event["event_at"] - event["event_at"] % tile > t - width


def aggregate(one: Aggregation, events: Sequence[Event]) -> Any:
    chosen = [
        event
        for event in events
        if all(event[name] in values for name, values in one.where.items())
        and (one.of is None or event[one.of] is not None)
    ]
    if one.kind is Kind.COUNT:
        return len(chosen)
    values = [event[str(one.of)] for event in chosen]
    if one.kind is Kind.DISTINCT:
        return len(set(values))
    if one.kind is Kind.SUM:
        return sum(values, 0.0)
    if not values:
        return None
    if one.kind is Kind.MOST:
        return most(chosen, str(one.of))
    return {Kind.MIN: min, Kind.MAX: max, Kind.MEAN: lambda v: sum(v) / len(v)}[one.kind](values)


def most(events: Sequence[Event], column: str) -> str:
    """The larger count, then the more recent event, then the smaller name."""
    best: str | None = None
    best_rank: tuple[Any, ...] = ()
    for value in sorted({event[column] for event in events}):
        mine = [event for event in events if event[column] == value]
        last = max((event["event_at"], event["event_id"]) for event in mine)
        if best is None or (len(mine), last) > best_rank:
            best, best_rank = value, (len(mine), last)
    return str(best)
