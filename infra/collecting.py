"""The collector of this home: how it keeps addresses, and which Kafka it writes to."""

from __future__ import annotations

from functools import partial

from infra.settings import Settings
from infra.stack.credentials import Credentials
from serving.collector.collector import Collector
from serving.collector.enrichment import address_form
from serving.collector.log import EventLog
from serving.metrics.values import Metrics

__all__ = ["collector_of", "cors_origins"]

SALT = "collector_ip_salt"


def collector_of(settings: Settings, log: EventLog, metrics: Metrics) -> Collector:
    """The collector that writes to this log."""
    return Collector(
        log,
        kept_address=address_form(settings.collector_ip, _salt(settings)),
        count=partial(metrics.add, "userflow_api_events_total"),
    )


def cors_origins(settings: Settings) -> tuple[str, ...]:
    """The origins one by one."""
    origins = (origin.strip() for origin in settings.api_cors_origins.split(","))
    return tuple(origin.rstrip("/") for origin in origins if origin)


def _salt(settings: Settings) -> bytes:
    """As set, or made once: all processes of a home must give an address the same form."""
    if settings.collector_ip != "hashed":
        return b""
    if settings.collector_ip_salt is not None:
        return settings.collector_ip_salt.get_secret_value().encode()
    kept = Credentials(settings.home / "services" / "collector.json")
    return kept.ensure([SALT])[SALT].encode()
