"""Feeds: rows that cross to the entities of another key, once for all the views of that key."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

import polars as pl

from features.commerce_experiment import sessions_of_groups
from features.commerce_product import of_products
from features.commerce_user import of_shoppers
from features.dimensions import Dimensions
from features.webtoon_reads import reads

__all__ = ["FEEDS", "Feed", "Source"]

# Rows, and what is known of episodes and products -> rows.
Source = Callable[[pl.DataFrame, Dimensions], pl.DataFrame]


@dataclass(frozen=True, slots=True, kw_only=True)
class Feed:
    """Rows for the entities of `key`, made of the accepted events of the topic `of`, or of what
    changed in the session view `of` (`session_set.Step.changes`). Those that are `watched` also go
    to the rules of `features.watching`.
    """

    name: str
    of: str
    key: str
    rows: Source
    watched: bool = False


FEEDS: Mapping[str, Feed] = MappingProxyType(
    {
        feed.name: feed
        for feed in (
            Feed(name="shoppers", of="user-events", key="user_id", rows=of_shoppers, watched=True),
            Feed(name="products", of="user-events", key="product_id", rows=of_products),
            Feed(
                name="groups",
                of="commerce_session_features",
                key="experiment_group",
                rows=sessions_of_groups,
            ),
            Feed(name="readers", of="session_features", key="user_id", rows=reads),
            Feed(name="episodes", of="session_features", key="episode_id", rows=reads),
            Feed(name="segments", of="session_features", key="country", rows=reads),
            Feed(name="experiments", of="session_features", key="experiment_group", rows=reads),
        )
    }
)
