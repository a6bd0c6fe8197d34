"""What the metrics say now: the declared ones, in a registry of their own."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from typing import Any

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
)
from prometheus_client.registry import Collector

from features.metrics import Kind, Metric
from serving.metrics.declared import METRICS

__all__ = ["Metrics"]

Family = CounterMetricFamily | GaugeMetricFamily | HistogramMetricFamily


class _Histogram:
    """`counts`: how many were in each bucket, none of which holds another; last, the rest."""

    __slots__ = ("counts", "total")

    def __init__(self, buckets: int) -> None:
        self.counts = [0] * (buckets + 1)
        self.total = 0.0


class Metrics(Collector):
    """Of one process, counted on its event loop: no locks, since a request counts several times."""

    def __init__(self) -> None:
        self._numbers: dict[str, defaultdict[tuple[str, ...], float]] = {
            name: defaultdict(float) for name in METRICS
        }
        self._histograms: dict[str, dict[tuple[str, ...], _Histogram]] = {
            name: {} for name in METRICS
        }
        self._registry = CollectorRegistry(auto_describe=False)
        self._registry.register(self)

    def add(self, name: str, amount: float, *labels: str) -> None:
        """Let a counter grow."""
        self._numbers[name][labels] += amount

    def put(self, name: str, value: float, *labels: str) -> None:
        """Say what a gauge is."""
        self._numbers[name][labels] = value

    def observe(self, name: str, observed: float, *labels: str) -> None:
        """Add a number to a histogram."""
        held, buckets = self._histograms[name], METRICS[name].buckets
        one = held.get(labels)
        if one is None:
            one = held[labels] = _Histogram(len(buckets))
        place = next((i for i, bound in enumerate(buckets) if observed <= bound), len(buckets))
        one.counts[place] += 1
        one.total += observed

    def exposition(self) -> bytes:
        """As Prometheus reads it."""
        return generate_latest(self._registry)

    def collect(self) -> Iterator[Any]:
        """The families of prometheus-client, in the order of their declaration."""
        return (self._family(metric) for metric in METRICS.values())

    def _family(self, metric: Metric) -> Family:
        if metric.kind is Kind.HISTOGRAM:
            return self._of_histogram(metric)
        kind = CounterMetricFamily if metric.kind is Kind.COUNTER else GaugeMetricFamily
        family = kind(metric.name, metric.help, labels=metric.labels)
        for labels, number in self._numbers[metric.name].items():
            family.add_metric(labels, number)
        return family

    def _of_histogram(self, metric: Metric) -> HistogramMetricFamily:
        family = HistogramMetricFamily(metric.name, metric.help, labels=metric.labels)
        bounds = [*map(str, metric.buckets), "+Inf"]
        for labels, one in self._histograms[metric.name].items():
            reached, buckets = 0, []
            for bound, count in zip(bounds, one.counts, strict=True):
                reached += count
                buckets.append((bound, reached))
            family.add_metric(labels, buckets, one.total)
        return family
