"""Features of a user and a product together."""

from __future__ import annotations

from typing import Any

import pytest

from features.request_time import REQUEST_FEATURES, request_features

USER = {"avg_order_value": 50.0, "preferred_category": "electronics", "device_type": "mobile"}
PRODUCT = {"price": 20.0, "category": "electronics"}


def test_a_shopper_and_a_product_have_three_features() -> None:
    assert request_features(USER, PRODUCT) == {
        "price_vs_avg_order": 0.4,
        "category_match": True,
        "device_optimization": 0.8,
    }
    assert all(feature.column.doc for feature in REQUEST_FEATURES)


@pytest.mark.parametrize(
    ("user", "product", "expected"),
    [
        ({}, {}, (None, None, 0.5)),
        (USER, {}, (None, None, 0.5)),
        ({}, PRODUCT, (None, None, 0.5)),
        ({**USER, "avg_order_value": 0.0}, PRODUCT, (None, True, 0.8)),
        (USER, {"price": 0.0, "category": "books"}, (0.0, False, 0.5)),
        (USER, {"price": None, "category": None}, (None, None, 0.5)),
    ],
)
def test_what_is_unknown_is_null(user: Any, product: Any, expected: Any) -> None:
    assert tuple(request_features(user, product).values()) == expected


@pytest.mark.parametrize(
    ("device", "category", "fit"),
    [
        ("mobile", "electronics", 0.8),
        ("mobile", "fashion", 0.9),
        ("desktop", "electronics", 0.9),
        ("desktop", "fashion", 0.7),
        ("tablet", "books", 0.9),
        ("tablet", "electronics", 0.5),
        ("mobile", "electronics.audio.headphone", 0.8),
        ("mobile", "apparel.shoes", 0.9),
        ("MOBILE", "Electronics", 0.8),
        (None, "books", 0.5),
    ],
)
def test_how_a_category_sells_on_a_device(device: str, category: str, fit: float) -> None:
    found = request_features({"device_type": device}, {"category": category})
    assert found["device_optimization"] == fit
