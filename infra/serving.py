"""The composition root of the API: settings and endpoints become services."""

from __future__ import annotations

from fastapi import FastAPI
from redis.asyncio import Redis

from infra.collecting import collector_of, cors_origins
from infra.database import recommender_conninfo
from infra.endpoints import Endpoints
from infra.recommending import arms_of
from infra.settings import Settings, load_settings
from serving.api.app import create_app
from serving.api.keys import KeyRing
from serving.api.services import Services
from serving.collector.kafka import KafkaEventLog
from serving.online.postgres_rows import PostgresRows
from serving.online.reader import OnlineReader
from serving.online.redis_rows import RedisRows
from serving.postgres import Postgres
from serving.recommend.build import build
from serving.settings import ServingSettings

__all__ = ["app", "make_services"]


def app() -> FastAPI:
    """The app of this home, as a server process makes it."""
    settings = load_settings()
    return create_app(make_services(settings, Endpoints.read(settings.home)))


def make_services(settings: Settings, endpoints: Endpoints) -> Services:
    """What requests may use; nothing is connected yet."""
    chosen = ServingSettings(cors_origins=cors_origins(settings))
    postgres = Postgres(recommender_conninfo(endpoints.postgres), timeout_s=chosen.store_timeout_s)
    redis = Redis.from_url(
        endpoints.redis,
        decode_responses=True,
        socket_timeout=chosen.store_timeout_s,
        socket_connect_timeout=chosen.store_timeout_s,
    )
    events = KafkaEventLog(endpoints.kafka)
    online = OnlineReader(RedisRows(redis), PostgresRows(postgres))
    return Services(
        settings=chosen,
        online=online,
        keys=KeyRing(postgres),
        postgres=postgres,
        redis=redis,
        events=events,
        collector=collector_of(settings, events),
        recommender=build(
            online=online, redis=redis, postgres=postgres, events=events, arms=arms_of(settings)
        ),
    )
