"""A recommender over the services of a process."""

from __future__ import annotations

from functools import partial

from serving.collector.log import EventLog
from serving.metrics.values import Metrics
from serving.online.reader import OnlineReader
from serving.online.redis_link import RedisLink
from serving.postgres import Postgres
from serving.recommend.arms import Arms
from serving.recommend.catalogue import Keeper
from serving.recommend.episodes import Episodes
from serving.recommend.impressions import KafkaImpressions
from serving.recommend.loading import RedisRecent, load_episodes, load_products
from serving.recommend.recommender import Recommender
from serving.recommend.shopping import Shopping

__all__ = ["build"]


def build(
    *,
    online: OnlineReader,
    link: RedisLink,
    postgres: Postgres,
    events: EventLog,
    arms: Arms,
    metrics: Metrics,
) -> Recommender:
    """Nothing is connected yet."""
    products = Keeper(partial(load_products, postgres))
    episodes = Keeper(partial(load_episodes, postgres))
    return Recommender(
        shopping=Shopping(online, RedisRecent(link), products),
        episodes=Episodes(online, episodes),
        arms=arms,
        impressions=KafkaImpressions(events, metrics),
    )
