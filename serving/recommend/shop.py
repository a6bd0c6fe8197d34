"""Products for a shopper: what speaks for one, and where candidates come from."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

from features.request_time import request_features
from serving.recommend.catalogue import Catalogue, first_of_each
from serving.recommend.rankers import Candidate
from serving.recommend.signals import Signal, Values

__all__ = ["SHOP_SIGNALS", "bought", "candidate_ids", "shopper", "to_candidates", "together"]

RECENT = 50
MOST_TOGETHER, MOST_OF_CATEGORY, MOST_POPULAR = 80, 30, 30
# A product chosen before another counts so much less.
FADING = 0.9
# Category features of a user, newest first, and what a match says.
INTERESTS: Mapping[str, float] = MappingProxyType(
    {"top_category_30m": 1.0, "top_category_24h": 0.8, "preferred_category": 0.6}
)


def interest(user: Values, product: Values) -> float:
    category = product.get("category")
    if category is None:
        return 0.0
    return max((how for name, how in INTERESTS.items() if user.get(name) == category), default=0.0)


def price_fit(user: Values, product: Values) -> float:
    """1 for the mean order's price, 1/2 for half or twice of it; 1/2 where nothing is known."""
    del user
    ratio = product.get("price_vs_avg_order")
    if ratio is None:
        return 0.5
    return math.exp(-abs(math.log(ratio))) if ratio > 0 else 0.0


SHOP_SIGNALS = (
    Signal(
        name="together",
        weight=0.45,
        doc="Shoppers who touched what this one touched lately touched it too.",
        of=lambda _, product: float(product.get("together") or 0),
        code="goes_with_recent",
        sentence="Shoppers who chose {together_with} chose this, too.",
    ),
    Signal(
        name="interest",
        weight=0.20,
        doc="It is of the category the shopper is most interested in.",
        of=interest,
        code="category_of_interest",
        sentence="You look at {category} most.",
    ),
    Signal(
        name="popularity",
        weight=0.15,
        doc="What shoppers do with it now.",
        of=lambda _, product: float(product.get("popularity") or 0),
        code="popular",
        sentence="Many shoppers choose it now.",
    ),
    Signal(
        name="price_fit",
        weight=0.12,
        doc="Its price is near that of the shopper's mean order.",
        of=price_fit,
    ),
    Signal(
        name="device_fit",
        weight=0.08,
        doc="Its category sells on the shopper's device.",
        of=lambda _, product: float(product.get("device_optimization") or 0),
    ),
)


def shopper(live: Values, habits: Values) -> dict[str, Any]:
    """What ranking knows of a shopper: of the last 30 days now, else as of the last daily job."""
    return {
        "avg_order_value": _first(live.get("avg_order_value_30d"), habits.get("avg_order_value")),
        "preferred_category": _first(
            live.get("top_category_30d"), habits.get("preferred_category")
        ),
        "device_type": _first(live.get("last_device_type"), habits.get("device_type")),
        "top_category_30m": live.get("top_category_30m"),
        "top_category_24h": live.get("top_category_24h"),
    }


def bought(products: Iterable[Mapping[str, Any]]) -> set[str]:
    """Products that the daily job saw the user buy."""
    return {each["product_id"] for each in products if each.get("purchase_count")}


def together(
    recent: Sequence[str], related: Mapping[str, Sequence[Mapping[str, Any]]]
) -> dict[str, dict[str, Any]]:
    """Product -> how strongly it goes with what was touched lately, and with which most.

    `recent` is oldest first. One less the product of the odds against: 1 - Π (1 - 0.9^age score).
    """
    odds: dict[str, float] = {}
    best: dict[str, tuple[float, str]] = {}
    for age, chosen in enumerate(reversed(recent[-RECENT:])):
        fading = FADING**age
        for other in related.get(chosen, ()):
            name, strength = other["product_id"], fading * other["score"]
            odds[name] = odds.get(name, 1.0) * (1.0 - strength)
            if name not in best or strength > best[name][0]:
                best[name] = strength, chosen
    return {
        name: {"together": min(1.0, max(0.0, 1.0 - against)), "together_with": best[name][1]}
        for name, against in odds.items()
    }


def candidate_ids(
    user: Values,
    going_together: Mapping[str, Values],
    catalogue: Catalogue,
    without: Collection[str],
    k: int,
) -> list[str]:
    """The strongest of each source, without what must not be shown, each once; at least `k` if
    the catalogue has as many.
    """
    strongest = sorted(going_together, key=lambda name: (-going_together[name]["together"], name))
    categories = dict.fromkeys(user[name] for name in INTERESTS if user.get(name))
    sources: list[tuple[Sequence[str], int]] = [
        (strongest, MOST_TOGETHER),
        *((catalogue.of_group(category), MOST_OF_CATEGORY) for category in categories),
        (catalogue.popular, max(MOST_POPULAR, k)),
    ]
    return first_of_each(sources, without)


def to_candidates(
    user: Values,
    ids: Iterable[str],
    live: Mapping[str, Values],
    going_together: Mapping[str, Values],
    catalogue: Catalogue,
) -> list[Candidate]:
    """With the features of now; what the store does not have now, as the catalogue had it."""
    found = []
    for name in ids:
        product = {**catalogue.items.get(name, {}), **live.get(name, {})}
        features = {
            **product,
            **request_features(user, product),
            **going_together.get(name, {}),
            "popularity": catalogue.popularity(product),
        }
        found.append(Candidate(name, features))
    return found


def _first(*values: Any) -> Any:
    return next((value for value in values if value is not None), None)
