"""What the stores know for a shopper: who it is, what goes with it, candidates as of now."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from serving.recommend.answer import Asked, Found
from serving.recommend.catalogue import Keeper
from serving.recommend.patience import Patience
from serving.recommend.ports import Features, RecentProducts
from serving.recommend.rows import rows_of
from serving.recommend.shop import (
    RECENT,
    bought,
    candidate_ids,
    shopper,
    to_candidates,
    together,
)
from serving.recommend.signals import Values

__all__ = ["PRODUCT_FEATURES", "KnownShopper", "Shopping"]

USERS, HABITS, BOUGHT = (
    "commerce_user_features",
    "user_behavior_features",
    "user_recommendation_features",
)
PRODUCTS, RELATED = "product_features", "related_products"
USER_FEATURES = (
    "avg_order_value_30d",
    "top_category_30m",
    "top_category_24h",
    "top_category_30d",
    "last_device_type",
    "last_seen_at",
    "recent_product_ids",
)
HABIT_FEATURES = ("avg_order_value", "preferred_category", "device_type")
PRODUCT_FEATURES = (
    "category",
    "price",
    "popularity_score",
    "view_count_7d",
    "view_to_cart_rate_24h",
    "cart_to_purchase_rate_24h",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownShopper:
    """`recent` is oldest first; `values` are what ranking uses. Empty both: nobody was seen."""

    values: Mapping[str, Any]
    recent: Sequence[str]
    bought: frozenset[str]
    last_seen_at: str | None

    @property
    def is_known(self) -> bool:
        """Whether there is anything to go by."""
        return bool(self.recent) or any(value is not None for value in self.values.values())


class Shopping:
    """Reads for shoppers."""

    def __init__(self, features: Features, recent: RecentProducts, catalogue: Keeper) -> None:
        self._features, self._recent, self.catalogue = features, recent, catalogue

    async def known(self, user_id: str, patience: Patience) -> KnownShopper:
        """What is known of a user."""
        live, habits, mine, recent = await asyncio.gather(
            self._row(patience, USERS, user_id, USER_FEATURES),
            self._row(patience, HABITS, user_id, HABIT_FEATURES),
            self._row(patience, BOUGHT, user_id, ("products",)),
            patience.wait("recent_products", self._recent.of(user_id), []),
        )
        return KnownShopper(
            values=shopper(live, habits),
            recent=(recent or live.get("recent_product_ids") or [])[-RECENT:],
            bought=frozenset(bought(mine.get("products") or ())),
            last_seen_at=live.get("last_seen_at"),
        )

    async def find(self, asked: Asked, known: KnownShopper, patience: Patience) -> Found:
        """Candidates: what goes with the recent products, of the same categories, and popular.

        What was touched lately is not shown again, and so neither is what was just bought.
        """
        catalogue = await self.catalogue.get(patience)
        related = await self._rows(patience, RELATED, known.recent, ("products",))
        going = together(known.recent, {k: v.get("products") or () for k, v in related.items()})
        without = known.bought.union(known.recent)
        ids = candidate_ids(known.values, going, catalogue, without, asked.k)
        live = await self.products(ids, patience)
        return Found(
            user=known.values,
            candidates=to_candidates(known.values, ids, live, going, catalogue),
            without=without,
            is_cold=not known.is_known,
            views=(USERS, HABITS, BOUGHT, RELATED, PRODUCTS),
        )

    async def products(self, ids: Sequence[str], patience: Patience) -> dict[str, Values]:
        """The features of these products that are known."""
        return await self._rows(patience, PRODUCTS, ids, PRODUCT_FEATURES)

    async def _row(
        self, patience: Patience, view: str, name: str, features: Sequence[str]
    ) -> Values:
        return (await self._rows(patience, view, [name], features)).get(name, {})

    async def _rows(
        self, patience: Patience, view: str, ids: Sequence[str], features: Sequence[str]
    ) -> dict[str, Values]:
        return await rows_of(self._features, patience, view, ids, features)
