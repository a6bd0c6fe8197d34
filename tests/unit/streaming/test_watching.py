"""Patterns and anomalies on a state store: any arrival, any watermarks, restarts."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from oracle import patterns as oracle
from shopping import MINUTE, SECOND, START, event, frame
from spark_state import Store

from streaming.watching import Watched, WatchKeeper

DAY = 1440 * MINUTE
ANY = ["product_view", "add_to_cart", "purchase", "remove_from_cart", "click", "page_view"]
# Whole logs of what makes one rule busy, and of everything.
KINDS = [ANY, ANY[:4], ANY[1:4], ANY[:2], ANY[:2], ["click", "page_view"]]
CATEGORIES = {"a": "x", "b": "x", "c": "x", "d": "y", "e": None}
GAPS = [
    0,
    1,
    99_999,
    100_000,
    SECOND,
    3 * MINUTE,
    *(limit + more for limit in (10 * MINUTE, 60 * MINUTE, 30 * DAY) for more in (-1, 0, 1)),
]
Event = dict[str, Any]


def keeper(store: Store) -> WatchKeeper:
    return WatchKeeper(store)  # type: ignore[arg-type]


@st.composite
def logs(draw: st.DrawFn) -> list[Event]:
    """Times lie on the rules' limits; ids say nothing about them."""
    events, now = [], START
    size = draw(st.sampled_from([1, 5, 10, 15, 20, 25]))
    short, long = st.sampled_from(GAPS[:6]), st.sampled_from(GAPS)
    is_quick = draw(st.booleans())
    kinds = draw(st.sampled_from(KINDS))
    products = draw(st.sampled_from(["abc", "abcde", "aaab"]))
    users = draw(st.sampled_from([["u"], ["u", "책", None]]))
    for number in draw(st.permutations(range(size))):
        now += draw(short if is_quick else short | short | long)
        kind = draw(st.sampled_from(kinds))
        product = draw(st.sampled_from(products))
        more: Event = {"ip": draw(st.sampled_from([None, None, "1", "2"]))}
        if kind in ("product_view", "add_to_cart", "remove_from_cart"):
            more |= {"product_id": product, "category": CATEGORIES[product]}
        if kind == "purchase":
            more["items"] = draw(st.sampled_from([None, [], [{"product_id": product}]]))
            more["total_amount"] = draw(st.sampled_from([None, 0.0, 1.0, 5.0, 6.0, 31.0, 1e308]))
        more["user_id"] = draw(st.sampled_from(users))
        events.append(event(number, now, kind, **more))
    return events


class Seen:
    """All that the steps put out."""

    def __init__(self) -> None:
        self.steps: list[Watched] = []

    def add(self, step: Watched) -> None:
        self.steps.append(step)

    def rows(self, name: str) -> list[Event]:
        return [row for step in self.steps for row in getattr(step, name).to_dicts()]

    def alerts(self) -> list[tuple[str, str]]:
        return sorted((row["event_id"], row["alert_type"]) for row in self.rows("alerts"))

    def messages(self) -> list[tuple[str, str, tuple[str, ...], int]]:
        names = ("user_id", "pattern", "product_ids", "detected_at")
        rows = [[row[name] for name in names] for row in self.rows("messages")]
        return sorted((user, name, tuple(products), time) for user, name, products, time in rows)

    def flags(self) -> dict[str, list[tuple[int, str]]]:
        """The last word of each time, if it differs from the one before."""
        last: dict[str, dict[int, str]] = {}
        for row in sorted(self.rows("flags"), key=lambda row: (row["event_at"], row["event_id"])):
            last.setdefault(row["user_id"], {})[row["event_at"]] = row["pattern_detected"]
        histories = {user: _changes(list(times.items())) for user, times in last.items()}
        return {user: history for user, history in histories.items() if history}


def _changes(times: list[tuple[int, str]]) -> list[tuple[int, str]]:
    before = ["", *(name for _, name in times)]
    return [one for one, name in zip(times, before, strict=False) if one[1] != name]


@given(logs(), st.data())
@settings(max_examples=150, deadline=None)
def test_any_arrival_and_any_watermarks_give_what_the_slow_way_finds(
    events: list[Event], data: st.DataObject
) -> None:
    """Every step has a new keeper: what it does not find in the store it does not know."""
    store, seen, left = Store(), Seen(), data.draw(st.permutations(events))
    watermark = START - DAY
    while left:
        size = data.draw(st.integers(1, len(left)))
        batch, left = left[:size], left[size:]
        is_exact = data.draw(st.booleans())
        seen.add(keeper(store).step(frame(batch), watermark, is_exact=is_exact))
        oldest = min((one["event_at"] for one in left), default=watermark)
        watermark = max(watermark, data.draw(st.integers(watermark, max(oldest, watermark))))
    last = max(one["event_at"] for one in events)
    ages = [1, 10 * MINUTE, 10 * MINUTE + 1, 70 * MINUTE, 70 * MINUTE + 1, 31 * DAY]
    watermark = max(watermark, last + data.draw(st.sampled_from(ages)))
    seen.add(keeper(store).step(frame([]), watermark, is_exact=True))
    assert seen.alerts() == sorted(oracle.alerts(events, watermark))
    assert seen.messages() == oracle.detections(events, watermark)
    assert seen.flags() == oracle.flags(events, watermark)
    assert sum(step.late + step.capped for step in seen.steps) == 0
