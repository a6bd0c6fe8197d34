"""From a user to an answer: who is known, who is not, and what is left when stores are away."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest

from serving.errors import Unavailable
from serving.online.rows import Row
from serving.recommend.answer import Answer, Asked, Domain
from serving.recommend.arms import Arm, Arms
from serving.recommend.catalogue import Catalogue, Keeper, catalogue_of, episode_heat, product_heat
from serving.recommend.episodes import Episodes
from serving.recommend.impressions import MemoryImpressions
from serving.recommend.ports import Features, MemoryFeatures, MemoryRecent
from serving.recommend.rankers import Candidate, Label, Score
from serving.recommend.recommender import PATIENCE_S, Recommender
from serving.recommend.shopping import Shopping
from serving.recommend.signals import Values

PRODUCTS: dict[str, dict[str, Any]] = {
    f"p{n}": {
        "category": ("books", "shoes", "toys")[n % 3],
        "price": 10.0 + n,
        "popularity_score": float(n),
        "view_count_7d": n,
    }
    for n in range(40)
}
EPISODES: dict[str, dict[str, Any]] = {
    f"e{n}": {"genre": ("drama", "action")[n % 2], "read_count_24h": n, "read_count_7d": n}
    for n in range(40)
}
ROWS = {
    "commerce_user_features": {
        "shopper": {
            "top_category_30m": "books",
            "top_category_30d": "books",
            "avg_order_value_30d": 20.0,
            "last_device_type": "tablet",
            "recent_product_ids": ["p0"],
            "last_seen_at": "2026-01-01T10:00:00.000000Z",
        },
        "both": {"top_category_30d": "toys", "last_seen_at": "2026-01-01T10:00:00.000000Z"},
        "back": {"top_category_30d": "toys", "last_seen_at": "2026-01-03T10:00:00.000000Z"},
    },
    "user_recommendation_features": {
        "shopper": {"products": [{"product_id": "p39", "affinity": 5, "purchase_count": 1}]}
    },
    "related_products": {
        "p0": {"products": [{"product_id": "p1", "users": 3, "score": 0.9}]},
        "p5": {"products": [{"product_id": "p2", "users": 3, "score": 0.9}]},
    },
    "user_features": {
        "reader": {"country": "KR", "top_genre_24h": "action", "last_episode_ids": ["e39"]},
        "both": {"top_genre_7d": "drama", "last_seen_at": "2026-01-02T10:00:00.000000Z"},
        "back": {"top_genre_7d": "drama", "last_seen_at": "2026-01-02T10:00:00.000000Z"},
    },
    "product_features": PRODUCTS,
    "episode_features": EPISODES,
}


async def products() -> Catalogue:
    return catalogue_of(PRODUCTS, group="category", heat=product_heat)


async def episodes() -> Catalogue:
    shares = [("KR", "drama", 3.0)]
    return catalogue_of(EPISODES, group="genre", heat=episode_heat, shares=shares)


async def no_catalogue() -> Catalogue:
    raise Unavailable("away")


@dataclass
class Setting:
    """A recommender and what it stands on."""

    features: Features = field(default_factory=lambda: MemoryFeatures(ROWS))
    recent: dict[str, list[str]] = field(default_factory=dict)
    products: Callable[[], Awaitable[Catalogue]] = products
    episodes: Callable[[], Awaitable[Catalogue]] = episodes
    arms: Arms = field(default_factory=lambda: Arms([Arm(name="rules", share=1)], experiment="x"))
    impressions: MemoryImpressions = field(default_factory=MemoryImpressions)

    def recommender(self) -> Recommender:
        return Recommender(
            shopping=Shopping(self.features, MemoryRecent(self.recent), Keeper(self.products)),
            episodes=Episodes(self.features, Keeper(self.episodes)),
            arms=self.arms,
            impressions=self.impressions,
        )

    def ask(self, user_id: str, k: int = 10, domain: Domain | None = None, **more: Any) -> Answer:
        asked = Asked(request_id="r1", user_id=user_id, k=k, domain=domain, **more)

        async def answered() -> Answer:
            recommender = self.recommender()
            answer = await recommender.recommend(asked)
            await recommender.stop()
            return answer

        return asyncio.run(answered())


def ids(answer: Answer) -> list[str]:
    return [item.id for item in answer.items]


def test_a_shopper_gets_what_goes_with_the_recent_products_and_is_of_interest() -> None:
    answer = Setting().ask("shopper")
    assert answer.domain == "commerce"
    assert not answer.found.is_cold
    assert answer.items[0].id == "p1"
    assert answer.items[0].reason.code == "goes_with_recent"
    assert answer.items[0].values["together_with"] == "p0"
    assert {item.values["category"] for item in answer.items[1:]} == {"books"}
    assert answer.items[0].values["price_vs_avg_order"] == pytest.approx(11 / 20)


def test_the_list_in_redis_is_newer_than_the_row() -> None:
    answer = Setting(recent={"shopper": ["p5"]}).ask("shopper")
    assert answer.items[0].id == "p2"


def test_the_list_alone_will_do() -> None:
    answer = Setting(recent={"new": ["p5"]}).ask("new")
    assert not answer.found.is_cold
    assert answer.items[0].id == "p2"


def test_neither_recent_nor_bought_products_are_shown() -> None:
    shown = ids(Setting().ask("shopper", k=100))
    assert not {"p0", "p39"} & set(shown)
    assert len(shown) == 38


def test_a_stranger_gets_what_is_popular() -> None:
    answer = Setting().ask("nobody", k=3)
    assert answer.found.is_cold
    assert answer.ranker.name == "popularity"
    assert ids(answer) == ["p39", "p38", "p37"]
    assert [item.reason.code for item in answer.items] == ["popular"] * 3


def test_a_reader_gets_episodes_of_the_genre_and_none_that_were_read() -> None:
    answer = Setting().ask("reader", k=100)
    assert answer.domain == "webtoon"
    assert answer.items[0].id == "e37"
    assert answer.items[0].reason.code == "genre_of_interest"
    assert "e39" not in ids(answer)


def test_who_shops_and_reads_gets_what_was_done_last() -> None:
    assert Setting().ask("both").domain == "webtoon"
    assert Setting().ask("back").domain == "commerce"
    assert Setting().ask("both", domain="commerce").domain == "commerce"


def test_a_stranger_who_reads_gets_the_segment() -> None:
    answer = Setting().ask("nobody", k=2, domain="webtoon", country="KR")
    assert answer.found.is_cold
    assert ids(answer) == ["e38", "e36"]


class Reversed:
    """A model that likes what the rules do not."""

    label = Label("reversed", "7")
    domain: Domain = "commerce"

    def score(self, user: Values, candidates: Sequence[Candidate]) -> list[Score]:
        del user
        return [Score(-float(each.features["popularity"]), {}) for each in candidates]


def test_the_arm_says_who_ranks_but_not_for_strangers_and_not_in_another_domain() -> None:
    arms = Arms(
        [Arm(name="model", share=1, ranker=Reversed()), Arm(name="rules", share=0)],
        experiment="x",
    )
    answer = Setting(arms=arms).ask("shopper")
    assert (answer.arm, answer.ranker) == ("model", Label("reversed", "7"))
    assert Setting(arms=arms).ask("nobody").ranker.name == "popularity"
    assert Setting(arms=arms).ask("reader").ranker.name == "rules"


def test_what_is_shown_is_told() -> None:
    setting = Setting()
    answer = setting.ask("shopper")
    assert setting.impressions.answers == [answer]


class Away:
    """Stores that are away for some views."""

    def __init__(self, *views: str) -> None:
        self._views = views

    async def read(
        self, view: str, ids: Sequence[str], features: Sequence[str] | None = None
    ) -> list[Row]:
        if view in self._views:
            raise Unavailable("away")
        return await MemoryFeatures(ROWS).read(view, ids, features)


@pytest.mark.parametrize(
    "views",
    [
        ("related_products",),
        ("product_features",),
        ("user_behavior_features", "user_recommendation_features"),
        (*ROWS, "user_behavior_features"),
    ],
)
def test_what_is_away_is_left_out_and_named(views: tuple[str, ...]) -> None:
    answer = Setting(features=Away(*views)).ask("shopper", domain="commerce")
    assert len(answer.items) == 10
    used = set(answer.found.views) & set(views)
    assert {view for view in used if view != "related_products"} <= set(answer.degraded)


def test_without_any_store_an_answer_is_empty_and_says_so() -> None:
    everything = Away(*ROWS, "user_behavior_features")
    answer = Setting(features=everything, products=no_catalogue).ask("shopper")
    assert answer.items == []
    assert "catalogue" in answer.degraded


class Slow:
    """Stores that never answer."""

    async def read(
        self, view: str, ids: Sequence[str], features: Sequence[str] | None = None
    ) -> list[Row]:
        await asyncio.sleep(60)
        raise Unavailable(f"{view} {ids} {features}")


def test_stores_that_do_not_answer_cost_one_patience() -> None:
    async def timed() -> tuple[float, Answer]:
        recommender = Setting(features=Slow()).recommender()
        began = asyncio.get_running_loop().time()
        answer = await recommender.recommend(Asked(request_id="r", user_id="u", k=5))
        return asyncio.get_running_loop().time() - began, answer

    seconds, answer = asyncio.run(timed())
    assert seconds < PATIENCE_S + 0.1
    assert ids(answer) == ["p39", "p38", "p37", "p36", "p35"]


def test_features_of_pairs_are_in_the_order_of_the_products() -> None:
    found = asyncio.run(Setting().recommender().features("shopper", ["p10", "p0", "nothing"]))
    assert found["degraded"] == []
    assert found["results"] == [
        {
            "user_id": "shopper",
            "product_id": "p10",
            "price_vs_avg_order": 1.0,
            "category_match": False,
            "device_optimization": 0.5,
        },
        {
            "user_id": "shopper",
            "product_id": "p0",
            "price_vs_avg_order": 0.5,
            "category_match": True,
            "device_optimization": 0.9,
        },
        {
            "user_id": "shopper",
            "product_id": "nothing",
            "price_vs_avg_order": None,
            "category_match": None,
            "device_optimization": 0.5,
        },
    ]
