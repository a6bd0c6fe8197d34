"""Every metric of the streams, each stated once.

From here come what `/metrics` serves, docs/metrics.md, and what the tests of dashboard and alert
rules compare with. Labels have few values, known in advance: never an id, a key or a payload.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from features.metrics import Kind, Metric

__all__ = ["LABELS", "METRICS"]

LABELS: Mapping[str, str] = MappingProxyType(
    {
        "stream": "the job: `webtoon`, `commerce` or `sources` (Prometheus keeps `job` for itself)",
        "topic": "a Kafka topic",
        "partition": "a partition of it",
        "view": "a feature view; it belongs to one stream",
        "store": "`postgres`, `redis` or `delta`; of what was refused also `topics` or a stage",
        "target": "a view, a feed or a topic",
        "stage": "`process` is Spark and the keyed steps; the others are the stores and the topics",
        "reason": "a reason code of the contracts, `late` or `step_failed`",
        "version": "of userflow",
        "spark": "version of pyspark",
        "deltalake": "version of deltalake",
    }
)


def _counter(name: str, labels: str, text: str) -> Metric:
    return Metric(name=name, kind=Kind.COUNTER, labels=tuple(labels.split()), help=text)


def _gauge(name: str, labels: str, text: str) -> Metric:
    return Metric(name=name, kind=Kind.GAUGE, labels=tuple(labels.split()), help=text)


def _histogram(name: str, labels: str, buckets: tuple[float, ...], text: str) -> Metric:
    kind = Kind.HISTOGRAM
    return Metric(name=name, kind=kind, labels=tuple(labels.split()), help=text, buckets=buckets)


WAITING = (0.05, 0.1, 0.2, 0.3, 0.5, 0.75, 1.0, 1.5, 2.0, 3.0, 5.0, 10.0, 20.0, 30.0, 60.0)
WORKING = (0.005, 0.01, 0.025, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0)

_DECLARED = (
    # What goes in, what comes out.
    _counter("userflow_records_in_total", "stream", "Kafka records read."),
    _counter("userflow_events_accepted_total", "topic", "Events that count: valid, new, in time."),
    _counter("userflow_duplicates_total", "stream", "Events left out as copies of a known one."),
    _counter("userflow_rejected_total", "topic reason", "Events that became dead letters."),
    _counter(
        "userflow_late_total", "view", "Events that came too late for this view, not for others."
    ),
    _counter(
        "userflow_capped_keys_total",
        "view",
        "Keys that had too much to remember, counted once for each epoch.",
    ),
    _counter("userflow_rows_out_total", "view store", "Feature rows that were changed or deleted."),
    _counter(
        "userflow_refused_rows_total",
        "store target",
        "Rows that a store, or the stage that makes them, does not take: set aside.",
    ),
    _counter(
        "userflow_messages_out_total", "topic", "Messages sent: dead letters, rows, findings."
    ),
    # How far.
    _gauge(
        "userflow_lag_records",
        "stream topic partition",
        "Records that no epoch has read; asked of the broker at each scrape, absent if it is away.",
    ),
    _gauge(
        "userflow_broker_up", "", "Whether the broker told at this scrape where its topics end."
    ),
    _gauge(
        "userflow_watermark_timestamp_seconds", "stream", "Event time that is taken for complete."
    ),
    _gauge(
        "userflow_watermark_lag_seconds",
        "stream",
        "How far the watermark was behind the commit of the last epoch.",
    ),
    _gauge(
        "userflow_decay_lag_seconds",
        "view",
        "How long ago what time alone changes was due: it yields to fresh events, at most 300 s.",
    ),
    _histogram(
        "userflow_freshness_seconds",
        "stream",
        WAITING,
        "From the arrival of an accepted event until all stores had its epoch.",
    ),
    # How it works.
    _counter("userflow_epochs_total", "stream", "Epochs that all stores have."),
    _counter(
        "userflow_epoch_repeats_total",
        "stream",
        "Epochs that PostgreSQL had already: it skipped them, the other stores got them again.",
    ),
    _gauge("userflow_epoch_number", "stream", "The last epoch's."),
    _gauge(
        "userflow_epoch_committed_timestamp_seconds",
        "stream",
        "When PostgreSQL committed the last epoch; 0 while a stream that should have one has none.",
    ),
    _histogram("userflow_epoch_duration_seconds", "stream", WORKING, "What an epoch took."),
    _histogram(
        "userflow_stage_duration_seconds",
        "stream stage",
        WORKING,
        "What took it; the stores after PostgreSQL work side by side.",
    ),
    _gauge("userflow_state_keys", "stream", "Keys that live in the keyed state."),
    _gauge("userflow_state_bytes", "stream", "Memory of Spark's state stores."),
    _counter(
        "userflow_query_restarts_total", "stream", "How often this process began a query again."
    ),
    _gauge("userflow_build_info", "version spark deltalake", "Always 1; the labels tell."),
)
METRICS: Mapping[str, Metric] = MappingProxyType({metric.name: metric for metric in _DECLARED})
