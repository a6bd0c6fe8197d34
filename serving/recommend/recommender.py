"""Recommending: who is asked for, what the stores know, who ranks, and what is told of it.

Three waves of reads, each as one: the user, what goes with the recent products, and the candidates.
Whatever a store does not give in time is left out of the answer, down to the popular items of a
catalogue that is kept in memory.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

from features.request_time import request_features
from serving.recommend.answer import Answer, Asked, Domain, Found
from serving.recommend.arms import Arm, Arms
from serving.recommend.episodes import Episodes
from serving.recommend.impressions import Impressions
from serving.recommend.patience import Patience
from serving.recommend.rankers import PopularityRanker, Ranker, RuleRanker
from serving.recommend.ranking import rank
from serving.recommend.reading import READING_SIGNALS
from serving.recommend.shop import SHOP_SIGNALS
from serving.recommend.shopping import Shopping
from serving.recommend.signals import Signal

__all__ = ["PATIENCE_S", "Recommender"]

PATIENCE_S = 0.35
SIGNALS: Mapping[Domain, Sequence[Signal]] = MappingProxyType(
    {"commerce": SHOP_SIGNALS, "webtoon": READING_SIGNALS}
)
RULES: Mapping[Domain, Ranker] = {name: RuleRanker(signals) for name, signals in SIGNALS.items()}
POPULARITY = PopularityRanker()


class Recommender:
    """Answers always; what it shows is told to `impressions`."""

    def __init__(
        self, *, shopping: Shopping, episodes: Episodes, arms: Arms, impressions: Impressions
    ) -> None:
        self._shopping, self._episodes = shopping, episodes
        self._catalogues = (shopping.catalogue, episodes.catalogue)
        self._arms, self.impressions = arms, impressions

    async def recommend(self, asked: Asked) -> Answer:
        """The best items for the user; never waits longer than `PATIENCE_S` for the stores."""
        patience = Patience(PATIENCE_S)
        domain, found = await self._found(asked, patience)
        arm = self._arms.of(asked.user_id)
        ranker = _ranker(arm, domain, found)
        items = rank(
            found.candidates,
            user=found.user,
            ranker=ranker,
            signals=SIGNALS[domain],
            k=asked.k,
            without=found.without,
        )
        answer = Answer(
            asked=asked,
            domain=domain,
            arm=arm.name,
            ranker=ranker.label,
            found=found,
            items=items,
            degraded=sorted(patience.missed),
        )
        self.impressions.offer(answer)
        return answer

    async def features(self, user_id: str, product_ids: Sequence[str]) -> dict[str, Any]:
        """The request-time features of a user and each of these products, in their order."""
        patience = Patience(PATIENCE_S)
        known, products = await asyncio.gather(
            self._shopping.known(user_id, patience), self._shopping.products(product_ids, patience)
        )
        results = [
            {
                "user_id": user_id,
                "product_id": name,
                **request_features(known.values, products.get(name, {})),
            }
            for name in product_ids
        ]
        return {"user_id": user_id, "degraded": sorted(patience.missed), "results": results}

    async def start(self) -> None:
        """Let the catalogues be loaded; nobody waits for that."""
        for catalogue in self._catalogues:
            catalogue.refresh()

    async def stop(self) -> None:
        """Give up what is being loaded; impressions that are under way still go out."""
        for catalogue in self._catalogues:
            await catalogue.stop()
        await self.impressions.drain()

    async def _found(self, asked: Asked, patience: Patience) -> tuple[Domain, Found]:
        if asked.domain == "commerce":
            shopper = await self._shopping.known(asked.user_id, patience)
            return "commerce", await self._shopping.find(asked, shopper, patience)
        if asked.domain == "webtoon":
            reader = await self._episodes.known(asked.user_id, patience)
            return "webtoon", await self._episodes.find(asked, reader, patience)
        shopper, reader = await asyncio.gather(
            self._shopping.known(asked.user_id, patience),
            self._episodes.known(asked.user_id, patience),
        )
        reads = reader.is_known and (reader.last_seen_at or "") > (shopper.last_seen_at or "")
        if reads or (reader.is_known and not shopper.is_known):
            return "webtoon", await self._episodes.find(asked, reader, patience)
        return "commerce", await self._shopping.find(asked, shopper, patience)


def _ranker(arm: Arm, domain: Domain, found: Found) -> Ranker:
    if found.is_cold:
        return POPULARITY
    model = arm.ranker if arm.domain == domain else None
    return model or RULES[domain]
