"""Features that exist only for a request: of one user and one product together.

Declared once: the API computes them when it ranks and when it is asked for them, and an example
that trains a model computes them over a training set. What is not known of either is null.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from features.columns import Column, ColumnType

__all__ = ["OF_PRODUCT", "OF_USER", "REQUEST_FEATURES", "RequestFeature", "request_features"]

Values = Mapping[str, Any]
USUAL_FIT = 0.5
# Device and the first part of the category: how well such things sell on such a screen.
DEVICE_FIT: Mapping[tuple[str, str], float] = MappingProxyType(
    {
        ("mobile", "electronics"): 0.8,
        ("mobile", "fashion"): 0.9,
        ("desktop", "electronics"): 0.9,
        ("desktop", "fashion"): 0.7,
        ("tablet", "books"): 0.9,
    }
)
# What the public e-commerce catalogues call it.
ALSO_CALLED = {"apparel": "fashion"}

OF_USER = ("avg_order_value", "preferred_category", "device_type")
OF_PRODUCT = ("price", "category")


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestFeature:
    """`compute` takes what is known of the user (`OF_USER`) and of the product (`OF_PRODUCT`)."""

    column: Column
    compute: Callable[[Values, Values], float | bool | None]


def price_vs_avg_order(user: Values, product: Values) -> float | None:
    """Null without a price or without an order, and where orders were free."""
    price, order = product.get("price"), user.get("avg_order_value")
    return None if price is None or not order else float(price / order)


def category_match(user: Values, product: Values) -> bool | None:
    """Null where either is unknown."""
    category, preferred = product.get("category"), user.get("preferred_category")
    if category is None or preferred is None:
        return None
    return bool(category.casefold() == preferred.casefold())


def device_optimization(user: Values, product: Values) -> float:
    """How well the category sells on the user's device."""
    device = (user.get("device_type") or "").casefold()
    kind = (product.get("category") or "").casefold().partition(".")[0]
    return DEVICE_FIT.get((device, ALSO_CALLED.get(kind, kind)), USUAL_FIT)


REQUEST_FEATURES = (
    RequestFeature(
        column=Column(
            "price_vs_avg_order",
            ColumnType.DOUBLE,
            "The product's price for each unit of the user's mean order.",
            unit="ratio",
        ),
        compute=price_vs_avg_order,
    ),
    RequestFeature(
        column=Column(
            "category_match",
            ColumnType.BOOLEAN,
            "Whether the product is of the user's preferred category.",
        ),
        compute=category_match,
    ),
    RequestFeature(
        column=Column(
            "device_optimization",
            ColumnType.DOUBLE,
            f"0..1, how well the category sells on the user's device; {USUAL_FIT} is usual.",
        ),
        compute=device_optimization,
    ),
)


def request_features(user: Values, product: Values) -> dict[str, float | bool | None]:
    """All of them, by name."""
    return {each.column.name: each.compute(user, product) for each in REQUEST_FEATURES}
