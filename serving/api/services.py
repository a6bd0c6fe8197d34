"""What a request may use. `infra/serving.py` makes one of these for each process."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, fields
from typing import Protocol, cast, runtime_checkable

from fastapi import Request

from serving.api.keys import KeyRing
from serving.api.rates import Rates
from serving.collector.collector import Collector
from serving.collector.log import EventLog
from serving.metrics.values import Metrics
from serving.online.reader import OnlineReader
from serving.online.redis_link import RedisLink
from serving.online.sources import DegradedSources
from serving.postgres import Postgres
from serving.recommend.recommender import Recommender
from serving.replay.archive import DeltaArchive
from serving.settings import ServingSettings
from serving.web.pages import SamplePages

__all__ = ["Part", "Services", "services_of"]


@runtime_checkable
class Part(Protocol):
    """A service that is started and stopped with the app; one that needs neither has neither."""

    async def start(self) -> None:
        """Get ready; must not wait for a store that is away."""
        ...

    async def stop(self) -> None:
        """Close what is open."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Services:
    """`online`: the features. `keys`: who may call. `postgres`: as the recommender's role may.
    `link`: Redis, which `online` reads, and `degraded`, what it marks. `events`: Kafka, for what is
    sent to it. `collector`: what judges events from outside and sends them there. `recommender`:
    what ranks. `archive`: what sessions did. `samples`: pages to try it all on, where they are
    turned on. `metrics`: what is counted. `probes`: what `/readyz` asks, by the name of the part.

    A room that needs something else adds a field here; each field that has `start` and `stop` is
    started and stopped with the app.
    """

    settings: ServingSettings
    online: OnlineReader
    keys: KeyRing
    postgres: Postgres
    events: EventLog | None = None
    collector: Collector | None = None
    recommender: Recommender | None = None
    archive: DeltaArchive | None = None
    samples: SamplePages | None = None
    rates: Rates = field(default_factory=Rates)
    metrics: Metrics = field(default_factory=Metrics)
    link: RedisLink | None = None
    degraded: DegradedSources | None = None
    probes: dict[str, Callable[[], Awaitable[bool]]] = field(default_factory=dict)

    async def start(self) -> None:
        """Start every part."""
        for part in self._parts():
            await part.start()

    async def stop(self) -> None:
        """Stop every part, the last one first."""
        for part in reversed(self._parts()):
            await part.stop()

    def _parts(self) -> list[Part]:
        values = [getattr(self, field.name) for field in fields(self)]
        return [value for value in values if isinstance(value, Part)]


def services_of(request: Request) -> Services:
    """The services of the app that this request came to; also a FastAPI dependency."""
    return cast("Services", request.app.state.services)
