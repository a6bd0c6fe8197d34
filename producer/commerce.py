"""Shoppers: they look around, compare, fill a basket, and buy it or leave it behind.

The table says what happens next; an emptied basket turns `cart` into `browsing`, so that nothing is
bought that was not added. Money is counted in cents; a purchase is the sum of its items, less the
discount, plus shipping.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import count
from random import Random
from typing import Any

import msgspec

from features.contracts.commerce import COMMERCE
from producer.catalogue import Product, dimensions
from producer.journey import Emitted
from producer.population import Audience, Profile, Zipf
from producer.shapes import Render, choose_shape
from producer.transitions import LEAVES, OUTSIDE, Path, Step, Table, Walk, reweighted

__all__ = ["SHOPPER", "Commerce"]

SHOPPER: Table = {
    "outside": (Step("page_view", "browsing", 1.0),),
    "browsing": (
        Step("search", "results", 0.34, (1.0, 12.0)),
        Step("product_view", "product", 0.34, (1.0, 15.0)),
        Step("click", "browsing", 0.16, (0.5, 8.0)),
        Step("page_view", "browsing", 0.10, (1.0, 15.0)),
        Step(LEAVES, "left", 0.06),
    ),
    "results": (
        Step("product_view", "product", 0.70, (1.0, 10.0)),
        Step("search", "results", 0.15, (2.0, 12.0)),
        Step("click", "results", 0.08, (0.5, 5.0)),
        Step(LEAVES, "left", 0.07),
    ),
    "product": (
        Step("product_view", "product", 0.32, (2.0, 20.0)),
        Step("click", "product", 0.18, (0.5, 8.0)),
        Step("add_to_cart", "cart", 0.20, (1.0, 25.0)),
        Step("search", "results", 0.14, (1.0, 12.0)),
        Step("page_view", "browsing", 0.06, (1.0, 10.0)),
        Step(LEAVES, "left", 0.10),
    ),
    "cart": (
        Step("product_view", "product", 0.34, (1.0, 15.0)),
        Step("page_view", "checkout", 0.32, (1.0, 10.0)),
        Step("search", "results", 0.10, (1.0, 12.0)),
        Step("remove_from_cart", "cart", 0.08, (1.0, 8.0)),
        Step(LEAVES, "left", 0.16),
    ),
    "checkout": (
        Step("purchase", "done", 0.58, (3.0, 30.0)),
        Step("product_view", "product", 0.12, (1.0, 10.0)),
        Step("remove_from_cart", "cart", 0.08, (1.0, 8.0)),
        Step(LEAVES, "left", 0.22),
    ),
    "done": (
        Step("page_view", "left", 0.40, (0.5, 4.0)),
        Step(LEAVES, "left", 0.60),
    ),
}
# What the experiment changes: how readily a basket is bought.
PURCHASE_FACTOR = {"A": 1.0, "B": 1.15, "C": 0.9}
ANONYMOUS = 0.2
ONE_PIECE = 0.8
DISCOUNTED = 0.25
COMPARED = 0.6  # the share of further views that stay in the category: comparing, not strolling
QUERIES = ("운동화", "무선 이어폰", "노트북", "소파", "선물", "headphones", "jacket", "자전거")
CAMPAIGNS = (
    ("", ""),
    ("", ""),
    ("naver", "brand"),
    ("kakao", "spring"),
    ("meta", "retarget"),
)
ELEMENTS = (
    ("banner_main", "banner"),
    ("tab_reviews", "tab"),
    ("btn_size", "button"),
    ("img_2", "image"),
)
PAYMENTS = ("card", "kakaopay", "naverpay", "transfer")
AGENTS = {"ios": "userflow-ios/5.2", "android": "userflow-android/5.1", "web": "Mozilla/5.0"}
FREE_SHIPPING_CENTS, SHIPPING_CENTS = 50_00, 3_00
SITE = "https://shop.example"

Event = dict[str, Any]


class Commerce:
    """Opens visits of shoppers."""

    topic = COMMERCE.topic

    def __init__(self, *, users: int, rng: Random, run: str) -> None:
        self._rng = rng
        self._run = run
        self._audience = Audience(users)
        self.shelf = Shelf(rng)
        self._walks = {
            group: Walk(reweighted(SHOPPER, "purchase", factor))
            for group, factor in PURCHASE_FACTOR.items()
        }
        self._numbers = count(1)

    def open(self, at_us: int) -> Visit:
        """Someone comes to the shop."""
        shopper = self._audience.draw(self._rng, at_us)
        return Visit(
            shopper=shopper,
            session_id=f"c-{self._run}-{next(self._numbers):06d}",
            walk=self._walks[shopper.experiment_group],
            shelf=self.shelf,
            rng=self._rng,
        )


class Shelf:
    """Draws products, by popularity, from all or from one category."""

    def __init__(self, rng: Random) -> None:
        self._rng = rng
        self._products = dimensions().products
        self._popularity = Zipf(len(self._products), exponent=0.9)
        self._by_category: dict[str, list[Product]] = {}
        for product in self._products:
            self._by_category.setdefault(product.category, []).append(product)
        self._within = {name: Zipf(len(those), 0.9) for name, those in self._by_category.items()}

    def any(self) -> Product:
        return self._products[self._popularity.draw(self._rng)]

    def like(self, product: Product) -> Product:
        similar = self._by_category[product.category]
        return similar[self._within[product.category].draw(self._rng)]


class Visit:
    """One visit; `step` says what the shopper does at that moment."""

    def __init__(
        self, *, shopper: Profile, session_id: str, walk: Walk, shelf: Shelf, rng: Random
    ) -> None:
        self.shopper = shopper
        self.session_id = session_id
        self.rng = rng
        self.shelf = shelf
        # What brought the shopper here; the first view may be of something like it.
        self.product = shelf.any()
        self.basket: dict[Product, int] = {}
        self.state = OUTSIDE
        self.count = 0
        self.is_known = rng.random() >= ANONYMOUS
        self.campaign = rng.choice(CAMPAIGNS)
        self._render: Render = choose_shape(rng)
        self._path = Path(walk, rng)

    def step(self, at_us: int) -> Emitted:
        step = self._path.step
        details = DETAILS[step.event](self)
        self.state = "browsing" if step.to == "cart" and not self.basket else step.to
        value = msgspec.json.encode(
            self._render(self._event(step.event, details), at_us, self.shopper)
        )
        return COMMERCE.topic, self.session_id.encode(), value, self._path.follow(self.state)

    def _event(self, event_type: str, details: Event) -> Event:
        self.count += 1
        who = {"user_id": self.shopper.user_id} if self.is_known else {}
        return {
            "event_id": f"{self.session_id}-{self.count}",
            **who,
            "session_id": self.session_id,
            "event_type": event_type,
            "platform": self.shopper.platform,
            "device_type": self.shopper.device,
            **details,
            "experiment_group": self.shopper.experiment_group,
            "ui_version": self.shopper.ui_version,
        }


def page_view(visit: Visit) -> Event:
    page = {OUTSIDE: "home", "cart": "cart", "done": "thanks"}.get(visit.state, "category")
    event = {"page_url": f"{SITE}/{page}", "page_type": page}
    if visit.state != OUTSIDE:
        return event
    event["ip"] = visit.shopper.ip
    event["user_agent"] = AGENTS[visit.shopper.platform]
    source, campaign = visit.campaign
    if not source:
        return event
    event |= {"utm_source": source, "utm_campaign": campaign}
    return {**event, "referrer": f"https://{source}.example/"}


def search(visit: Visit) -> Event:
    return {
        "search_query": visit.rng.choice(QUERIES),
        "result_count": int(120 * visit.rng.random() ** 2),
    }


def product_view(visit: Visit) -> Event:
    compares = visit.rng.random() < COMPARED
    visit.product = visit.shelf.like(visit.product) if compares else visit.shelf.any()
    return {**_about(visit.product), "page_url": f"{SITE}/p/{visit.product.product_id}"}


def click(visit: Visit) -> Event:
    element, kind = visit.rng.choice(ELEMENTS)
    event = {"element_id": element, "element_type": kind}
    if visit.state == "product":
        event["product_id"] = visit.product.product_id
    return event


def add_to_cart(visit: Visit) -> Event:
    product = visit.product
    # Nobody fills a basket without logging in.
    visit.is_known = True
    pieces = 1 if visit.rng.random() < ONE_PIECE else visit.rng.randint(2, 4)
    visit.basket[product] = visit.basket.get(product, 0) + pieces
    return {**_about(product), "quantity": pieces}


def remove_from_cart(visit: Visit) -> Event:
    product = visit.rng.choice(tuple(visit.basket))
    return {**_about(product), "quantity": visit.basket.pop(product)}


def purchase(visit: Visit) -> Event:
    """The whole basket, with a tenth off now and then, and shipping for small orders."""
    items = sum(product.price_cents * pieces for product, pieces in visit.basket.items())
    discount = items // 10 if visit.rng.random() < DISCOUNTED else 0
    shipping = 0 if items >= FREE_SHIPPING_CENTS else SHIPPING_CENTS
    event = {
        "order_id": f"o-{visit.session_id}-{visit.count}",
        "payment_method": visit.rng.choice(PAYMENTS),
        "items": [_item(product, pieces) for product, pieces in visit.basket.items()],
        "discount": discount / 100,
        "shipping_fee": shipping / 100,
        "total_amount": (items - discount + shipping) / 100,
    }
    visit.basket.clear()
    return event


def _about(product: Product) -> Event:
    return {
        "product_id": product.product_id,
        "category": product.category,
        "brand": product.brand,
        "price": product.price,
    }


def _item(product: Product, pieces: int) -> Event:
    return {"product_id": product.product_id, "quantity": pieces, "unit_price": product.price}


DETAILS: dict[str, Callable[[Visit], Event]] = {
    "page_view": page_view,
    "search": search,
    "product_view": product_view,
    "click": click,
    "add_to_cart": add_to_cart,
    "remove_from_cart": remove_from_cart,
    "purchase": purchase,
}
