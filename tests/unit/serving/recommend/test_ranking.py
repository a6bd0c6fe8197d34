"""The list is the same for every order of the candidates, and never holds what is excluded."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from serving.recommend.rankers import Candidate, PopularityRanker, Ranker, RuleRanker
from serving.recommend.ranking import Item, rank
from serving.recommend.reading import READING_SIGNALS
from serving.recommend.shop import SHOP_SIGNALS
from serving.recommend.signals import parts_of, reason_of

UNIT = st.one_of(st.none(), st.floats(0, 1))
CATEGORIES = st.sampled_from((None, "books", "shoes", "toys"))
PRODUCTS = st.fixed_dictionaries(
    {
        "category": CATEGORIES,
        "together": UNIT,
        "together_with": st.just("p0"),
        "popularity": UNIT,
        "price_vs_avg_order": st.one_of(st.none(), st.floats(0, 1e6)),
        "device_optimization": UNIT,
    }
)
SHOPPERS = st.fixed_dictionaries(
    {
        "top_category_30m": CATEGORIES,
        "top_category_24h": CATEGORIES,
        "preferred_category": CATEGORIES,
    }
)
CANDIDATES = st.dictionaries(st.text(min_size=1, max_size=3), PRODUCTS, max_size=25).map(
    lambda found: [Candidate(name, features) for name, features in found.items()]
)
RULES = RuleRanker(SHOP_SIGNALS)


def ranked(
    candidates: list[Candidate],
    user: dict[str, Any],
    *,
    k: int = 10,
    without: frozenset[str] = frozenset(),
    ranker: Ranker = RULES,
) -> list[Item]:
    return rank(candidates, user=user, ranker=ranker, signals=SHOP_SIGNALS, k=k, without=without)


@given(CANDIDATES, SHOPPERS, st.integers(1, 30), st.randoms(use_true_random=False), st.data())
def test_the_order_of_the_candidates_never_matters(
    candidates: list[Candidate], user: dict[str, Any], k: int, random: Any, data: st.DataObject
) -> None:
    shuffled = candidates.copy()
    random.shuffle(shuffled)
    ranker = data.draw(st.sampled_from((RULES, PopularityRanker())))
    assert ranked(shuffled, user, k=k, ranker=ranker) == ranked(
        candidates, user, k=k, ranker=ranker
    )


@given(CANDIDATES, SHOPPERS, st.integers(1, 30), st.data())
def test_at_most_k_are_shown_the_best_first_and_none_that_is_excluded(
    candidates: list[Candidate], user: dict[str, Any], k: int, data: st.DataObject
) -> None:
    names = [candidate.id for candidate in candidates]
    without = frozenset(data.draw(st.sets(st.sampled_from(names))) if names else ())
    items = ranked(candidates, user, k=k, without=without)
    allowed = len(set(names) - without)
    assert len(items) == min(k, allowed)
    assert not {item.id for item in items} & without
    assert [item.rank for item in items] == list(range(1, len(items) + 1))
    assert [(-item.score, item.id) for item in items] == sorted((-i.score, i.id) for i in items)


@given(CANDIDATES, SHOPPERS)
def test_a_score_is_the_sum_of_its_parts_and_lies_between_0_and_1(
    candidates: list[Candidate], user: dict[str, Any]
) -> None:
    for item in ranked(candidates, user, k=100):
        assert item.score == sum(item.parts.values())
        assert 0 <= item.score <= 1 + 1e-9
        assert item.reason.sentence


def test_equal_scores_are_ordered_by_id() -> None:
    same = {"category": "books", "popularity": 0.5}
    items = ranked([Candidate(name, same) for name in ("b", "c", "a")], {})
    assert [item.id for item in items] == ["a", "b", "c"]


def test_weights_of_a_domain_sum_to_one() -> None:
    for signals in (SHOP_SIGNALS, READING_SIGNALS):
        assert abs(sum(signal.weight for signal in signals) - 1) < 1e-9


def test_the_reason_is_the_signal_that_adds_most_and_can_be_said() -> None:
    user = {"top_category_30m": "books", "device_type": "mobile"}
    product = {
        "category": "books",
        "together": 0.4,
        "together_with": "p7",
        "popularity": 1.0,
        "device_optimization": 1.0,
        "price_vs_avg_order": 1.0,
    }
    assert parts_of(SHOP_SIGNALS, user, product) == {
        "together": pytest.approx(0.18),
        "interest": 0.2,
        "popularity": 0.15,
        "price_fit": 0.12,
        "device_fit": 0.08,
    }
    assert reason_of(SHOP_SIGNALS, user, product).code == "category_of_interest"
    reason = reason_of(SHOP_SIGNALS, user, {**product, "together": 0.9})
    assert reason.code == "goes_with_recent"
    assert reason.sentence == "Shoppers who chose p7 chose this, too."


def test_what_nothing_speaks_for_has_a_reason_too() -> None:
    assert reason_of(SHOP_SIGNALS, {}, {}).code == "in_catalogue"
