"""Where products come from, and what is known of a shopper."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from serving.recommend.catalogue import Catalogue, catalogue_of, product_heat
from serving.recommend.shop import (
    bought,
    candidate_ids,
    price_fit,
    shopper,
    to_candidates,
    together,
)

PRODUCTS = {
    f"p{n}": {"category": ("books", "shoes")[n % 2], "popularity_score": float(n), "price": 10.0}
    for n in range(200)
}
CATALOGUE = catalogue_of(PRODUCTS, group="category", heat=product_heat)
READER = {"top_category_30m": "books"}


def test_the_newest_choice_counts_most() -> None:
    related = {
        "old": [{"product_id": "x", "users": 4, "score": 0.5}],
        "new": [{"product_id": "y", "users": 4, "score": 0.5}],
    }
    found = together(["old", "new"], related)
    assert found["y"] == {"together": 0.5, "together_with": "new"}
    assert found["x"]["together"] == pytest.approx(0.45)


def test_choices_that_agree_count_together() -> None:
    related = {name: [{"product_id": "x", "users": 1, "score": 0.5}] for name in ("a", "b")}
    found = together(["a", "b"], related)["x"]
    assert found["together"] == pytest.approx(1 - 0.5 * 0.55)
    assert found["together_with"] == "b"


def test_it_goes_with_the_choice_that_says_most() -> None:
    related = {
        "old": [{"product_id": "x", "users": 9, "score": 0.9}],
        "new": [{"product_id": "x", "users": 1, "score": 0.1}],
    }
    assert together(["old", "new"], related)["x"]["together_with"] == "old"


@given(
    st.lists(st.text(max_size=2), unique=True, max_size=80),
    st.dictionaries(st.text(max_size=2), st.floats(-1, 2), max_size=10),
)
def test_how_strongly_something_goes_with_the_rest_is_a_share(
    recent: list[str], scores: dict[str, float]
) -> None:
    related = {name: [{"product_id": "x", "score": score}] for name, score in scores.items()}
    assert all(0 <= found["together"] <= 1 for found in together(recent, related).values())


def test_only_the_latest_fifty_are_looked_at() -> None:
    related = {"first": [{"product_id": "x", "users": 1, "score": 1.0}]}
    assert together(["first", *map(str, range(49))], related)
    assert not together(["first", *map(str, range(50))], related)


def test_candidates_are_of_every_source_and_none_is_excluded() -> None:
    going = {"q": {"together": 0.3}, "p198": {"together": 0.9}, "p1": {"together": 0.1}}
    found = candidate_ids(READER, going, CATALOGUE, {"p198", "p196"}, 10)
    assert found[:2] == ["q", "p1"]
    assert found[2] == "p194"
    assert "p199" in found
    assert not {"p198", "p196"} & set(found)
    assert len(found) == len(set(found))


@pytest.mark.parametrize("k", [1, 10, 100])
def test_there_are_k_candidates_where_the_catalogue_has_them(k: int) -> None:
    seen = {f"p{n}" for n in range(150, 200)}
    assert len(candidate_ids({}, {}, CATALOGUE, seen, k)) >= k


def test_live_features_win_over_those_of_the_catalogue() -> None:
    live = {"p1": {"price": 99.0, "category": "shoes", "popularity_score": 199.0}}
    (first, second) = to_candidates(
        {"avg_order_value": 33.0, "preferred_category": "shoes"},
        ["p1", "p2"],
        live,
        {},
        CATALOGUE,
    )
    assert first.features["price_vs_avg_order"] == 3.0
    assert first.features["category_match"] is True
    assert first.features["popularity"] == 1.0
    assert second.features["price"] == 10.0


def test_what_the_day_knew_of_a_shopper_stands_where_now_nothing_is_known() -> None:
    habits = {"avg_order_value": 5.0, "preferred_category": "toys", "device_type": "tablet"}
    found = shopper({"avg_order_value_30d": 7.0, "last_device_type": None}, habits)
    assert found["avg_order_value"] == 7.0
    assert found["preferred_category"] == "toys"
    assert found["device_type"] == "tablet"


def test_what_was_only_looked_at_was_not_bought() -> None:
    products = [{"product_id": "a", "purchase_count": 1}, {"product_id": "b", "purchase_count": 0}]
    assert bought(products) == {"a"}


@pytest.mark.parametrize(
    ("ratio", "fit"), [(None, 0.5), (1.0, 1.0), (0.5, 0.5), (2.0, 0.5), (0.0, 0.0)]
)
def test_a_price_fits_the_better_the_nearer_it_is_to_the_mean_order(
    ratio: float | None, fit: float
) -> None:
    assert price_fit({}, {"price_vs_avg_order": ratio}) == pytest.approx(fit)


def test_an_empty_catalogue_has_no_popularity() -> None:
    assert Catalogue().popularity({"popularity_score": 3.0}) == 0.0
    assert candidate_ids({}, {}, Catalogue(), set(), 10) == []
