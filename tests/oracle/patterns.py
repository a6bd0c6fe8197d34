"""Patterns and anomalies the slow way: each sentence a search through one user's whole log."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fractions import Fraction
from itertools import pairwise
from typing import Any

__all__ = ["alerts", "detections", "flags"]

SECOND = 1_000_000
MINUTE = 60 * SECOND
HOUR = 60 * MINUTE
DAY = 24 * HOUR
Event = Mapping[str, Any]
# When, which pattern, which products, and when it ended
Detection = tuple[int, str, list[str], int]


def alerts(log: Sequence[Event], watermark: int) -> set[tuple[str, str]]:
    """(event_id, alert_type) of everything before the watermark."""
    found = set()
    for user in users(log):
        mine = of_user(log, user, watermark)
        found |= {(one["event_id"], "rapid_clicks") for one in rapid_clicks(mine)}
        found |= {(one["event_id"], "large_purchase") for one in large_purchases(mine)}
        found |= {(one["event_id"], "location_change") for one in location_changes(mine)}
    return found


def detections(log: Sequence[Event], watermark: int) -> list[tuple[str, str, tuple[str, ...], int]]:
    """(user_id, pattern, products, time) of every detection before the watermark."""
    return sorted(
        (user, pattern, tuple(products), at)
        for user in users(log)
        for at, pattern, products, _ in found_for(of_user(log, user, watermark), watermark)
    )


def flags(log: Sequence[Event], watermark: int) -> dict[str, list[tuple[int, str]]]:
    """For each user the pattern that is shown, whenever it differs from the moment before."""
    shown: dict[str, list[tuple[int, str]]] = {}
    for user in users(log):
        found = found_for(of_user(log, user, watermark), watermark)
        times = sorted({at for at, *_ in found} | {end for *_, end in found})
        history = [(0, "")]
        for at in times:
            if at < watermark and (now := newest(found, at)) != history[-1][1]:
                history.append((at, now))
        if history[1:]:
            shown[user] = history[1:]
    return shown


def newest(found: Sequence[Detection], at: int) -> str:
    """Of what is active just after `at`. A risk is detected behind the events of its time."""
    active = [one for one in found if one[0] <= at < one[3]]
    return max(
        ((one[0], one[1] == "cart_abandonment_risk", one[1]) for one in active), default=("",)
    )[-1]


def found_for(mine: Sequence[Event], watermark: int) -> list[Detection]:
    return [*comparisons(mine), *abandonments(mine, watermark)]


def users(log: Sequence[Event]) -> set[str]:
    return {one["user_id"] for one in log if one["user_id"] is not None}


def of_user(log: Sequence[Event], user: str, watermark: int) -> list[Event]:
    mine = [one for one in log if one["user_id"] == user and one["event_at"] < watermark]
    return sorted(mine, key=key)


def key(event: Event) -> tuple[int, str]:
    return (event["event_at"], event["event_id"])


def rapid_clicks(mine: Sequence[Event]) -> list[Event]:
    clicks = [one for one in mine if one["event_type"] == "click"]
    return [
        later
        for earlier, later in pairwise(clicks)
        if later["event_at"] - earlier["event_at"] < 100_000
    ]


def large_purchases(mine: Sequence[Event]) -> list[Event]:
    bought = [
        one for one in mine if one["event_type"] == "purchase" and one["total_amount"] is not None
    ]
    found = []
    for place, one in enumerate(bought[2:], start=2):
        earlier = [Fraction(other["total_amount"]) for other in bought[:place]]
        if Fraction(one["total_amount"]) > 5 * sum(earlier) / len(earlier):
            found.append(one)
    return found


def location_changes(mine: Sequence[Event]) -> list[Event]:
    placed = [one for one in mine if one["ip"] is not None]
    found = []
    for place, one in enumerate(placed):
        ages = [(one["event_at"] - other["event_at"], other["ip"]) for other in placed[:place]]
        is_known = any(ip == one["ip"] and age <= 30 * DAY for age, ip in ages)
        if not is_known and any(ip != one["ip"] and age < HOUR for age, ip in ages):
            found.append(one)
    return found


def comparisons(mine: Sequence[Event]) -> list[Detection]:
    found: list[Detection] = []
    for run in runs(mine):
        for one in mine:
            told = told_by(mine, run, one)
            if told:
                found.append((one["event_at"], "product_comparison", told, one["event_at"] + HOUR))
                break
    return found


def runs(mine: Sequence[Event]) -> list[tuple[list[Event], Event | None]]:
    """Views of one category in a row, with the view that breaks them, if one does."""
    views = [
        one
        for one in mine
        if one["event_type"] == "product_view" and one["product_id"] and one["category"]
    ]
    cuts = [
        place
        for place, one in enumerate(views)
        if place == 0
        or one["category"] != views[place - 1]["category"]
        or one["event_at"] - views[place - 1]["event_at"] > 30 * DAY
    ]
    ends = [*cuts, len(views)][1:]
    return [
        (views[start:end], views[end] if end < len(views) else None)
        for start, end in zip(cuts, ends, strict=True)
    ]


def told_by(mine: Sequence[Event], run: tuple[list[Event], Event | None], last: Event) -> list[str]:
    """The carted products if, of all that happened up to `last`, the run is a comparison."""
    views, breaker = run
    views = [view for view in views if key(view) <= key(last)]
    if len({view["product_id"] for view in views}) < 3:
        return []
    carted: dict[str, tuple[int, str]] = {}
    for add in mine:
        if add["event_type"] != "add_to_cart" or key(add) > key(last):
            continue
        if breaker is not None and key(add) > key(breaker):
            continue
        before = [view for view in run[0] if key(view) < key(add)]
        if before and add["event_at"] - before[-1]["event_at"] > 30 * DAY:
            continue
        for view in views:
            if view["product_id"] == add["product_id"] and view["event_at"] <= add["event_at"]:
                counted = max(key(view), key(add))
                product = str(add["product_id"])
                carted[product] = min(counted, carted.get(product, counted))
    return sorted(carted, key=lambda product: carted[product]) if len(carted) >= 2 else []


def abandonments(mine: Sequence[Event], watermark: int) -> list[Detection]:
    found: list[Detection] = []
    for product in {one["product_id"] for one in mine if one["event_type"] == "add_to_cart"} - {
        None
    }:
        for begin, end in episodes(mine, product):
            at = begin + 10 * MINUTE
            if at < watermark and (end is None or end > at):
                last = at + HOUR if end is None else min(end, at + HOUR)
                found.append((at, "cart_abandonment_risk", [product], last))
    return found


def episodes(mine: Sequence[Event], product: str) -> list[tuple[int, int | None]]:
    """From an addition, the first that is not in the episode before, to what ends it."""
    adds = [
        one for one in mine if one["event_type"] == "add_to_cart" and one["product_id"] == product
    ]
    found: list[tuple[int, int | None]] = []
    closed_by: Event | None = None
    while True:
        left = [add for add in adds if not found or is_after(add, closed_by)]
        if not left:
            return found
        first = left[0]
        closed_by = next((one for one in mine if ends(one, first, product)), None)
        adds = [add for add in adds if key(add) > key(first)]
        # After thirty days an addition begins anew, whatever became of the first.
        limit = first["event_at"] + 30 * DAY
        again = next((add for add in adds if add["event_at"] > limit), None)
        if again is not None and (closed_by is None or closed_by["event_at"] > limit):
            found.append((first["event_at"], None))
            adds = [add for add in adds if key(add) >= key(again)]
            closed_by = {**first, "event_type": "remove_from_cart"}
            continue
        found.append((first["event_at"], None if closed_by is None else closed_by["event_at"]))


def is_after(add: Event, closed_by: Event | None) -> bool:
    """A purchase covers what was added before its time, a removal what was added before it."""
    if closed_by is None:
        return False
    if closed_by["event_type"] == "purchase":
        return bool(add["event_at"] >= closed_by["event_at"])
    return key(add) > key(closed_by)


def ends(one: Event, first: Event, product: str) -> bool:
    if one["event_type"] == "remove_from_cart":
        return one["product_id"] == product and key(one) > key(first)
    if one["event_type"] != "purchase" or one["event_at"] <= first["event_at"]:
        return False
    return not one["items"] or product in [item["product_id"] for item in one["items"]]
