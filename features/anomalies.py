"""Anomalies: single events that do not fit what the user did before."""

from __future__ import annotations

import msgspec
import polars as pl

from features.machines import (
    FOREVER,
    MEMORY_US,
    MOST,
    NEVER,
    SECOND_US,
    Anomaly,
    Event,
    Findings,
    Machine,
)

__all__ = ["LARGE_PURCHASE", "LOCATION_CHANGE", "RAPID_CLICKS"]

FASTEST_US = SECOND_US // 10
TIMES = 5.0
EARLIER = 2
TRAVEL_US = 3600 * SECOND_US
# Sums are kept small by a power of two: no amount overflows them, and whole amounts stay exact.
SCALE = 2.0**-64


class Clicks(Machine):
    """The last click."""

    last_at: int = NEVER

    def on(self, event: Event, found: Findings) -> None:
        gap = event.event_at - self.last_at
        self.last_at = event.event_at
        if gap < FASTEST_US:
            ms = gap / 1000
            reason = f"Two clicks {ms:g} ms apart."
            found.alert(event, reason=reason, value=ms, threshold=FASTEST_US / 1000)

    def forget(self, _now: int, /) -> int:
        return self.last_at + FASTEST_US


class Purchases(Machine):
    """Number and (scaled) sum of the purchases so far. They are kept for good."""

    count: int = 0
    total: float = 0.0

    def on(self, event: Event, found: Findings) -> None:
        amount = event.amount * SCALE
        if self.count >= EARLIER and amount * self.count > TIMES * self.total:
            mean = self.total / self.count / SCALE
            reason = (
                f"A purchase of {event.amount:.12g}, over {TIMES:g} times the mean of"
                f" {self.count} earlier ones, {mean:.12g}."
            )
            found.alert(event, reason=reason, value=event.amount, threshold=TIMES * mean)
        self.count += 1
        self.total += amount

    def forget(self, _now: int, /) -> int:
        return FOREVER


class Places(Machine):
    """When each ip was seen last, the latest at the end."""

    seen: dict[str, int] = msgspec.field(default_factory=dict)

    def on(self, event: Event, found: Findings) -> None:
        at, seen = event.event_at, self.seen
        before = seen.pop(event.ip, NEVER)
        if seen and at - before > MEMORY_US:
            away = at - next(reversed(seen.values()))
            if away < TRAVEL_US:
                seconds = away / SECOND_US
                reason = f"An ip not seen in 30 days, {seconds:g} s after an event from another."
                limit = TRAVEL_US / SECOND_US
                found.alert(event, reason=reason, value=seconds, threshold=limit)
        seen[event.ip] = at
        if len(seen) > MOST and at - seen.pop(next(iter(seen))) <= MEMORY_US:
            found.cap()

    def forget(self, now: int, /) -> int:
        seen = self.seen
        while seen and now - seen[oldest := next(iter(seen))] > MEMORY_US:
            del seen[oldest]
        return next(reversed(seen.values())) + MEMORY_US + 1 if seen else NEVER


def _is_between(column: str) -> pl.Expr:
    """The rows before and behind are of the same user and have the same value."""
    names = ("user_id", column)
    return pl.all_horizontal(
        pl.col(name) == pl.col(name).shift(by) for name in names for by in (1, -1)
    )


RAPID_CLICKS = Anomaly(
    name="rapid_clicks",
    machine=Clicks,
    when=pl.col("event_type") == "click",
    severity="HIGH",
    unit="ms",
    doc="Two clicks of a user, one after the other, less than 100 ms apart; it is the later one.",
)
LARGE_PURCHASE = Anomaly(
    name="large_purchase",
    machine=Purchases,
    when=(pl.col("event_type") == "purchase") & pl.col("amount").is_not_null(),
    severity="HIGH",
    unit="amount",
    doc=(
        "An amount over 5 times the mean of the user's earlier purchases, of which there are two"
        " or more. A purchase without an amount counts for nothing."
    ),
)
LOCATION_CHANGE = Anomaly(
    name="location_change",
    machine=Places,
    when=pl.col("ip").is_not_null(),
    redundant=_is_between("ip"),
    severity="HIGH",
    unit="s",
    doc=(
        "An ip not seen for the user in the 30 days before (the latest 1,000 are remembered), less"
        " than 1 h after an event from another ip."
    ),
)
