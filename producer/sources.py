"""The other sources: orders, profiles, stock, tickets, advertising and weather, as simple rows.

Orders and tickets move through their states with one id; the rest are single rows. A source is one
entry of `SOURCES`: its share, its table, and the function that opens a row.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import count
from random import Random
from typing import Any

import msgspec

from producer.catalogue import Product, dimensions
from producer.journey import Emitted
from producer.population import COUNTRIES, Audience, Profile, Zipf
from producer.times import local_time, to_iso
from producer.transitions import Path, Step, Table, Walk

__all__ = ["SOURCES", "Source", "Sources"]

Row = dict[str, Any]

ONCE: Table = {"outside": (Step("row", "done", 1.0),)}
ORDER: Table = {
    "outside": (Step("paid", "paid", 0.97), Step("failed", "done", 0.03)),
    "paid": (
        Step("shipped", "done", 0.90, (5.0, 120.0)),
        Step("refunded", "done", 0.10, (5.0, 300.0)),
    ),
}
TICKET: Table = {
    "outside": (Step("open", "open", 1.0),),
    "open": (
        Step("pending", "pending", 0.5, (3.0, 60.0)),
        Step("solved", "solved", 0.5, (3.0, 90.0)),
    ),
    "pending": (
        Step("open", "open", 0.2, (5.0, 60.0)),
        Step("solved", "solved", 0.8, (3.0, 60.0)),
    ),
    "solved": (Step("closed", "done", 0.9, (5.0, 120.0)), Step("open", "open", 0.1, (5.0, 60.0))),
}
WAREHOUSES = ("icn-1", "pus-1", "nrt-1", "lax-1")
CAMPAIGNS = (("cmp_brand", "naver"), ("cmp_spring", "kakao"), ("cmp_retarget", "meta"))
SUBJECTS = ("delivery", "refund", "payment", "account", "content")
PRIORITIES = ("low", "normal", "normal", "high", "urgent")
CHANNELS = ("chat", "email", "phone")
PAYMENTS = ("card", "kakaopay", "naverpay", "transfer")
SKIES = (("sunny", 4.0), ("cloudy", 0.0), ("rainy", -3.0), ("snowy", -12.0))
MILD = 18.0


@dataclass(frozen=True, slots=True)
class World:
    """What a row is made from: who, when, and the run's random numbers."""

    rng: Random
    user: Profile
    product: Product
    number: str
    at_us: int


def transaction(world: World) -> Row:
    rng, product = world.rng, world.product
    others = rng.sample(dimensions().products, rng.randrange(3))
    items = [(each, rng.choice((1, 1, 1, 2))) for each in (product, *others)]
    return {
        "transactionId": f"tx-{world.number}",
        "userId": world.user.user_id,
        "orderItems": [_order_item(each, pieces) for each, pieces in items],
        "totalAmount": sum(each.price_cents * pieces for each, pieces in items) / 100,
        "currency": "USD",
        "paymentMethod": rng.choice(PAYMENTS),
    }


def _order_item(product: Product, pieces: int) -> Row:
    return {
        "productId": product.product_id,
        "quantity": pieces,
        "price": product.price,
        "category": product.category,
    }


def user_profile(world: World) -> Row:
    user = world.user
    days = int(user.user_id.rpartition("_")[2]) * 7919 % 900
    return {
        "userId": user.user_id,
        "segment": user.segment,
        "country": user.country,
        # A fixed day per user, in the years before the first simulated one.
        "registered_at": to_iso(REGISTERED_US + days * DAY_US),
    }


DAY_US = 86_400_000_000
REGISTERED_US = 19_000 * DAY_US


def inventory(world: World) -> Row:
    on_hand = world.rng.randrange(500)
    return {
        "product_id": world.product.product_id,
        "warehouse_id": world.rng.choice(WAREHOUSES),
        "on_hand": on_hand,
        "reserved": world.rng.randrange(on_hand // 4 + 1),
    }


def support_ticket(world: World) -> Row:
    return {
        "ticket_id": f"tk-{world.number}",
        "user_id": world.user.user_id,
        "channel": world.rng.choice(CHANNELS),
        "topic": world.rng.choice(SUBJECTS),
        "priority": world.rng.choice(PRIORITIES),
    }


def ad_spend(world: World) -> Row:
    campaign, source = world.rng.choice(CAMPAIGNS)
    impressions = world.rng.randrange(200, 20_000)
    clicks = int(impressions * 0.04 * world.rng.random())
    return {
        "campaign_id": campaign,
        "utm_source": source,
        "impressions": impressions,
        "clicks": clicks,
        "spend": clicks * world.rng.randrange(15, 60) / 100,
        "currency": "USD",
    }


def weather(world: World) -> Row:
    country = world.rng.choice(tuple(COUNTRIES))
    local = local_time(world.at_us, COUNTRIES[country][1])
    sky, warmth = world.rng.choice(SKIES)
    return {
        "location_id": f"{country.lower()}-capital",
        "country": country,
        "status": sky,
        "temperature": round(MILD + warmth - abs(local.hour - 14) / 2 + world.rng.random(), 1),
        "humidity": round(40 + 50 * world.rng.random(), 1),
    }


@dataclass(frozen=True, slots=True)
class Source:
    """`opens` makes the row and `key` names its Kafka key; with `status`, steps are its states."""

    topic: str
    share: float
    key: str
    opens: Callable[[World], Row]
    table: Table
    status: str | None = None


SOURCES: tuple[Source, ...] = (
    Source("transactions", 0.35, "transactionId", transaction, ORDER, "status"),
    Source("user-profiles", 0.12, "userId", user_profile, ONCE),
    Source("inventory", 0.25, "product_id", inventory, ONCE),
    Source("support-tickets", 0.10, "ticket_id", support_ticket, TICKET, "status"),
    Source("ad-spend", 0.10, "campaign_id", ad_spend, ONCE),
    Source("weather", 0.08, "location_id", weather, ONCE),
)


class Sources:
    """Opens rows of all sources, each as often as its share says."""

    def __init__(self, *, users: int, rng: Random, run: str) -> None:
        self._rng = rng
        self._run = run
        self._audience = Audience(users)
        self._products = dimensions().products
        self._popularity = Zipf(len(self._products), exponent=0.9)
        self._shares = [source.share for source in SOURCES]
        self._walks = {source.topic: Walk(source.table) for source in SOURCES}
        self._numbers = count(1)

    def open(self, at_us: int) -> Course:
        """A new row of some source."""
        source = self._rng.choices(SOURCES, self._shares)[0]
        number = f"{self._run}-{next(self._numbers):06d}"
        world = World(
            rng=self._rng,
            user=self._audience.draw(self._rng, at_us),
            product=self._products[self._popularity.draw(self._rng)],
            number=number,
            at_us=at_us,
        )
        return Course(source, source.opens(world), number, self._walks[source.topic], self._rng)


class Course:
    """One row, and what becomes of it."""

    def __init__(self, source: Source, row: Row, number: str, walk: Walk, rng: Random) -> None:
        self._source = source
        self._row = row
        self._number = number
        self._path = Path(walk, rng)
        self._count = 0

    def step(self, at_us: int) -> Emitted:
        step = self._path.step
        value = msgspec.json.encode(self._event(step.event, at_us))
        key = self._row[self._source.key].encode()
        return self._source.topic, key, value, self._path.follow(step.to)

    def _event(self, status: str, at_us: int) -> Row:
        self._count += 1
        state = {self._source.status: status} if self._source.status else {}
        event_id = f"{self._source.topic}-{self._number}-{self._count}"
        return {"event_id": event_id, **self._row, **state, "timestamp": to_iso(at_us)}
