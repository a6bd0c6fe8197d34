"""The composition root of the API: settings and endpoints become services."""

from __future__ import annotations

from fastapi import FastAPI

from infra.collecting import collector_of, cors_origins
from infra.database import recommender_conninfo
from infra.endpoints import Endpoints
from infra.recommending import arms_of
from infra.samples import sample_pages
from infra.settings import Settings, load_settings
from serving.api.app import create_app
from serving.api.keys import KeyRing
from serving.api.rates import Rates
from serving.api.services import Services
from serving.collector.kafka import KafkaEventLog
from serving.metrics.values import Metrics
from serving.online.postgres_rows import PostgresRows
from serving.online.reader import OnlineReader
from serving.online.redis_link import RedisLink
from serving.online.redis_rows import RedisRows
from serving.online.sources import DegradedSources
from serving.postgres import Postgres
from serving.recommend.build import build
from serving.replay.archive import DeltaArchive
from serving.settings import ServingSettings

__all__ = ["app", "make_services"]


def app() -> FastAPI:
    """The app of this home, as a server process makes it."""
    settings = load_settings()
    return create_app(make_services(settings, Endpoints.read(settings.home)))


def make_services(settings: Settings, endpoints: Endpoints) -> Services:
    """What requests may use; nothing is connected yet."""
    chosen = ServingSettings(
        cors_origins=cors_origins(settings),
        rate_per_s=settings.api_rate_limit,
        max_body_bytes=settings.api_max_body_bytes,
        access_log=settings.api_access_log,
    )
    postgres = Postgres(
        recommender_conninfo(endpoints.postgres), timeout_s=chosen.postgres_timeout_s
    )
    events = KafkaEventLog(endpoints.kafka)
    link = RedisLink(endpoints.redis, timeout_s=chosen.redis_timeout_s)
    degraded = DegradedSources(postgres)
    metrics = Metrics()
    online = OnlineReader(RedisRows(link), PostgresRows(postgres), degraded)
    return Services(
        settings=chosen,
        online=online,
        keys=KeyRing(postgres),
        postgres=postgres,
        link=link,
        degraded=degraded,
        metrics=metrics,
        rates=Rates(chosen.rate_per_s),
        probes={
            "postgres": postgres.answers,
            "redis": link.answers,
            "kafka": events.answers,
        },
        events=events,
        collector=collector_of(settings, events, metrics),
        archive=DeltaArchive(settings.lake_root),
        samples=sample_pages(endpoints.postgres) if settings.samples else None,
        recommender=build(
            online=online,
            link=link,
            postgres=postgres,
            events=events,
            arms=arms_of(settings),
            metrics=metrics,
        ),
    )
