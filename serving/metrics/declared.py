"""Every metric of the API, each stated once.

From here come what `/metrics` serves and docs/metrics.md. Labels have few values, known in advance:
a route is its template, never the path with an id in it.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from features.metrics import Kind, Metric

__all__ = ["LABELS", "METRICS"]

LABELS: Mapping[str, str] = MappingProxyType(
    {
        "route": "a call as `/docs` lists it, such as `/v1/features/{view}/{id}`; or `none`",
        "status": "the HTTP status of the answer",
        "view": "a feature view",
        "source": "`redis`, `postgres`, or `none`: no such entity",
        "store": "`redis` or `postgres`",
        "topic": "a Kafka topic",
        "domain": "`commerce` or `webtoon`",
        "arm": "an arm of the test of rankers",
        "model": "who ranked: `rules`, `popularity`, or the name of a model",
        "outcome": "of an impression `told`, or `lost` as Kafka was away; of an event what is said",
    }
)


ANSWERING = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)
OLD = (1.0, 5.0, 15.0, 60.0, 300.0, 900.0, 3600.0, 7200.0, 86_400.0, 172_800.0)

_DECLARED = (
    Metric(
        name="userflow_api_requests_total",
        kind=Kind.COUNTER,
        labels=("route", "status"),
        help="Requests that were answered.",
    ),
    Metric(
        name="userflow_api_request_duration_seconds",
        kind=Kind.HISTOGRAM,
        labels=("route",),
        buckets=ANSWERING,
        help="From a request's head to the end of its answer.",
    ),
    Metric(
        name="userflow_api_rows_total",
        kind=Kind.COUNTER,
        labels=("view", "source"),
        help="Entities that were asked for, by where their row was.",
    ),
    Metric(
        name="userflow_api_stale_rows_total",
        kind=Kind.COUNTER,
        labels=("view",),
        help="Rows that were served though older than their view's limit.",
    ),
    Metric(
        name="userflow_api_row_age_seconds",
        kind=Kind.HISTOGRAM,
        labels=("view",),
        buckets=OLD,
        help="How old what was served is; of a request with many entities, its oldest row.",
    ),
    Metric(
        name="userflow_api_store_up",
        kind=Kind.GAUGE,
        labels=("store",),
        help="Whether requests are sent to the store; asked at each scrape.",
    ),
    Metric(
        name="userflow_api_events_total",
        kind=Kind.COUNTER,
        labels=("topic", "outcome"),
        help="Events that were collected: accepted, rejected, or, as Kafka was away, untaken.",
    ),
    Metric(
        name="userflow_api_recommendations_total",
        kind=Kind.COUNTER,
        labels=("domain", "arm", "model"),
        help="Lists that were recommended.",
    ),
    Metric(
        name="userflow_api_impressions_total",
        kind=Kind.COUNTER,
        labels=("outcome",),
        help="Impressions, by what became of them.",
    ),
)
METRICS: Mapping[str, Metric] = MappingProxyType({metric.name: metric for metric in _DECLARED})
