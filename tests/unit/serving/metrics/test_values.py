"""What `/metrics` says is what was counted, in the form that Prometheus reads."""

from __future__ import annotations

import pytest
from prometheus_client.parser import text_string_to_metric_families

from serving.metrics.declared import LABELS, METRICS
from serving.metrics.values import Metrics

DURATION = "userflow_api_request_duration_seconds"


def samples(metrics: Metrics) -> dict[tuple[str, ...], float]:
    return {
        (sample.name, *sorted(sample.labels.values())): sample.value
        for family in text_string_to_metric_families(metrics.exposition().decode())
        for sample in family.samples
    }


def test_counters_grow_and_gauges_are_replaced() -> None:
    metrics = Metrics()
    for _ in range(3):
        metrics.add("userflow_api_requests_total", 1, "/healthz", "200")
        metrics.put("userflow_api_store_up", 1, "redis")
    metrics.put("userflow_api_store_up", 0, "redis")
    found = samples(metrics)
    assert found["userflow_api_requests_total", "/healthz", "200"] == 3
    assert found["userflow_api_store_up", "redis"] == 0


def test_a_bucket_holds_those_below_it() -> None:
    metrics = Metrics()
    for seconds in (0.001, 0.002, 0.3, 100):
        metrics.observe(DURATION, seconds, "r")
    found = samples(metrics)
    bounds = ("0.001", "0.0025", "0.5", "+Inf")
    buckets = [found[f"{DURATION}_bucket", *sorted((bound, "r"))] for bound in bounds]
    assert buckets == [1, 2, 3, 4]
    assert found[f"{DURATION}_count", "r"] == 4
    assert found[f"{DURATION}_sum", "r"] == pytest.approx(100.303)


def test_what_is_not_declared_cannot_be_counted() -> None:
    with pytest.raises(KeyError):
        Metrics().add("userflow_api_nothing_total", 1)


def test_every_label_is_explained_and_every_bucket_grows() -> None:
    assert {label for metric in METRICS.values() for label in metric.labels} == set(LABELS)
    for metric in METRICS.values():
        assert list(metric.buckets) == sorted(metric.buckets)
