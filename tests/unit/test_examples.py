"""The parts of the examples that compute something."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import polars as pl
import pytest

from examples.ranker.labels import SOON, labels_of
from examples.ranker.rows import ASKED, INPUTS, numbers_of

START = datetime(2026, 1, 1, tzinfo=UTC)
NEVER = SOON * 3
VIEW, CART = "product_view", "add_to_cart"


def event(
    number: int, after: timedelta, kind: str, user: str | None = "u", product: str | None = "p"
) -> dict[str, Any]:
    return {
        "event_id": f"e{number}",
        "event_at": START + after,
        "event_type": kind,
        "user_id": user,
        "product_id": product,
    }


@pytest.mark.parametrize(
    ("later", "label"),
    [
        ([event(1, SOON, CART)], 1),
        ([event(1, SOON + timedelta(microseconds=1), CART)], 0),
        ([event(1, timedelta(0), CART)], 1),
        ([event(1, timedelta(minutes=1), CART, user="other")], 0),
        ([event(1, timedelta(minutes=1), CART, product="other")], 0),
        ([event(1, timedelta(minutes=1), "click")], 0),
        ([event(1, timedelta(minutes=-1), CART)], 0),
        ([], 0),
    ],
)
def test_a_view_is_followed_by_the_cart_or_not(later: list[dict[str, Any]], label: int) -> None:
    events = [event(0, timedelta(0), VIEW), *later, event(9, NEVER, "search", product=None)]
    assert labels_of(pl.DataFrame(events)).to_dicts() == [
        {"user_id": "u", "product_id": "p", "label_at": START, "label": label}
    ]


def test_a_view_whose_outcome_is_not_known_yet_is_no_label() -> None:
    events = [event(0, timedelta(0), VIEW), event(1, SOON / 2, "search")]
    assert labels_of(pl.DataFrame(events)).is_empty()


def test_a_row_of_a_training_set_becomes_the_numbers_that_serving_has() -> None:
    row = {name.partition(":")[2]: None for name in ASKED} | {
        "label_at": START,
        "label": 1,
        "price": 20.0,
        "category": "books.comics",
        "avg_order_value_30d": 10.0,
        "top_category_30d": "books.comics",
        "last_device_type": "tablet",
    }
    (numbers,) = numbers_of(pl.DataFrame([row])).to_dicts()
    assert numbers == {
        **dict.fromkeys(INPUTS),
        "label_at": START,
        "label": 1,
        "price": 20.0,
        "price_vs_avg_order": 2.0,
        "category_match": 1.0,
        "device_optimization": 0.9,
    }
