"""Patterns: what a shopper seems to be about, while there is time to answer.

A pattern is active for an hour after its detection, from that moment to the end of the hour, unless
it is cleared.
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec
import polars as pl

from features.machines import (
    FOREVER,
    MEMORY_US,
    MOST,
    NEVER,
    SECOND_US,
    Event,
    Findings,
    Machine,
    Pattern,
)

__all__ = ["CART_ABANDONMENT_RISK", "PRODUCT_COMPARISON"]

ACTIVE_US = 3600 * SECOND_US
PATIENCE_US = 600 * SECOND_US
VIEWED, CARTED = 3, 2

# For each product when the episode began and when it was added last, the first episode first.
Episodes = dict[str, tuple[int, int]]


class Run(Machine):
    """The run of views of one category: its products, and those of them in the cart.

    `added` are the additions at the time `added_at` of the last one: a view at that very time may
    come behind them. Once the run is told, its products do not matter any more.
    """

    category: str = ""
    viewed_at: int = NEVER
    viewed: dict[str, None] = msgspec.field(default_factory=dict)
    carted: list[str] = msgspec.field(default_factory=list)
    is_told: bool = False
    detected_at: int = NEVER
    added_at: int = NEVER
    added: dict[str, None] = msgspec.field(default_factory=dict)

    def on(self, event: Event, found: Findings) -> None:
        if event.event_type == "add_to_cart":
            self._add(event)
        else:
            self._view(event, found)
        if len(self.carted) >= CARTED and len(self.viewed) >= VIEWED:
            self.is_told, self.detected_at = True, event.event_at
            found.detect(event.event_at, self.carted, of=event.event_id)
            self.viewed, self.carted = {}, []

    def due(self) -> int:
        return FOREVER if self.detected_at == NEVER else self.detected_at + ACTIVE_US

    def at(self, time: int, found: Findings) -> None:
        if self.due() <= time:
            self.detected_at = NEVER
            found.clear()

    def active_at(self) -> int:
        return self.detected_at

    def forget(self, _now: int, /) -> int:
        self.added_at, self.added = NEVER, {}
        return max(self.viewed_at + MEMORY_US, self.detected_at + ACTIVE_US) + 1

    def _view(self, event: Event, found: Findings) -> None:
        at, product = event.event_at, event.product_id
        if event.category != self.category or at - self.viewed_at > MEMORY_US:
            self.category, self.is_told = event.category, False
            self.viewed, self.carted = {}, []
        self.viewed_at = at
        if self.is_told:
            return
        self.viewed[product] = None
        if at == self.added_at and product in self.added:
            self._cart(product)
        if len(self.viewed) > MOST:
            del self.viewed[next(iter(self.viewed))]
            found.cap()

    def _add(self, event: Event) -> None:
        at, product = event.event_at, event.product_id
        if at != self.added_at:
            self.added_at, self.added = at, {}
        self.added[product] = None
        if product in self.viewed and at - self.viewed_at <= MEMORY_US:
            self._cart(product)

    def _cart(self, product: str) -> None:
        if product not in self.carted:
            self.carted.append(product)


class Carts(Machine):
    """The open episodes: `waiting` for a purchase, at `risk`, and `resting` after that hour."""

    waiting: Episodes = msgspec.field(default_factory=dict)
    risky: Episodes = msgspec.field(default_factory=dict)
    resting: Episodes = msgspec.field(default_factory=dict)

    def on(self, event: Event, found: Findings) -> None:
        if event.event_type == "add_to_cart":
            self._add(event, found)
        elif event.event_type == "purchase":
            self._cover(event, found)
        else:
            self._close((event.product_id,), found)

    def due(self) -> int:
        due = FOREVER
        if self.waiting:
            due = _began(self.waiting) + PATIENCE_US
        if self.risky:
            due = min(due, _began(self.risky) + PATIENCE_US + ACTIVE_US)
        return due

    def at(self, time: int, found: Findings) -> None:
        while self.waiting and (at := _began(self.waiting) + PATIENCE_US) <= time:
            product = _move(self.waiting, self.risky)
            found.detect(at, [product], of=f"{product}\x1f{at}")
        while self.risky and _began(self.risky) + PATIENCE_US + ACTIVE_US <= time:
            _move(self.risky, self.resting)
            found.clear()

    def active_at(self) -> int:
        return next(reversed(self.risky.values()))[0] + PATIENCE_US if self.risky else NEVER

    def forget(self, now: int, /) -> int:
        while self.resting and now - _began(self.resting) > MEMORY_US:
            del self.resting[next(iter(self.resting))]
        for episodes in (self.waiting, self.risky, self.resting):
            if episodes:
                return next(reversed(episodes.values()))[0] + MEMORY_US + 1
        return NEVER

    def _add(self, event: Event, found: Findings) -> None:
        at, product = event.event_at, event.product_id
        self.forget(at)
        for episodes in (self.waiting, self.risky, self.resting):
            if product in episodes:
                episodes[product] = (episodes[product][0], at)
                return
        self.waiting[product] = (at, at)
        found.set_timer()
        if len(self.waiting) + len(self.risky) + len(self.resting) > MOST:
            oldest = self.resting or self.risky or self.waiting
            self._close((next(iter(oldest)),), found)
            found.cap()

    def _cover(self, event: Event, found: Findings) -> None:
        """Only what was added before the purchase: an addition at its very time stays open."""
        at = event.event_at
        open_ = self.waiting | self.risky | self.resting
        bought = open_ if event.bought is None else [one for one in event.bought if one in open_]
        self._close(bought, found)
        if again := {one: (at, at) for one in bought if open_[one][1] == at}:
            self.waiting.update(again)
            found.set_timer()

    def _close(self, products: Iterable[str], found: Findings) -> None:
        for product in products:
            self.waiting.pop(product, None)
            self.resting.pop(product, None)
            if self.risky.pop(product, None):
                found.clear()


def _began(episodes: Episodes) -> int:
    return next(iter(episodes.values()))[0]


def _move(source: Episodes, target: Episodes) -> str:
    product = next(iter(source))
    target[product] = source.pop(product)
    return product


def _are(*types: str) -> pl.Expr:
    return pl.col("event_type").is_in(types) & pl.col("product_id").is_not_null()


PRODUCT_COMPARISON = Pattern(
    name="product_comparison",
    machine=Run,
    when=(_are("product_view") & pl.col("category").is_not_null()) | _are("add_to_cart"),
    doc=(
        "Three or more products of one category viewed in a row, no view of another category"
        " between them, and two or more of them added to the cart at or after their view and before"
        " the run breaks; the message names those. One message per run. Neither a purchase nor a"
        " removal undoes it. A run is over when 30 days pass without a view, and of its products"
        " the latest 1,000 are remembered."
    ),
)
CART_ABANDONMENT_RISK = Pattern(
    name="cart_abandonment_risk",
    machine=Carts,
    when=_are("add_to_cart", "remove_from_cart") | (pl.col("event_type") == "purchase"),
    doc=(
        "A product added to the cart and not bought in the 10 minutes after. A purchase with items"
        " covers those products, one without covers all, and a removal cancels; either ends the"
        " product's episode, also after the detection, and clears the flag. One message per"
        " episode, which begins with the first addition and is over after 30 days. Of a user, the"
        " latest 1,000 episodes are remembered."
    ),
)
