"""What the metrics say now, as a collector of prometheus-client.

Its own counters take one observation at a time and show a scrape half an epoch; here an epoch
brings its counts as a whole, and a scrape sees all of an epoch or nothing of it.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import polars as pl
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
)

from features.metrics import Kind, Metric
from streaming.metrics.declared import METRICS

__all__ = ["Family", "Values", "counts_up_to"]

Family = CounterMetricFamily | GaugeMetricFamily | HistogramMetricFamily
LabelValues = tuple[str, ...]


@dataclass(slots=True)
class _Histogram:
    """`counts`: how many were at most each bound; the last one is all."""

    counts: list[int]
    total: float = 0.0


class Values:
    """Of declared metrics, by their names; unknown ones raise KeyError. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._numbers: dict[str, dict[LabelValues, float]] = {}
        self._histograms: dict[str, dict[LabelValues, _Histogram]] = {}

    @contextmanager
    def together(self) -> Iterator[None]:
        """What changes in this block changes at once for who looks."""
        with self._lock:
            yield

    def add(self, name: str, amount: float, *labels: str) -> None:
        """Let a counter grow, or make it known with 0: rates need its first value."""
        with self._lock:
            numbers = self._of(name)
            numbers[labels] = numbers.get(labels, 0.0) + amount

    def put(self, name: str, value: float, *labels: str) -> None:
        """Say what a gauge is."""
        with self._lock:
            self._of(name)[labels] = value

    def observe(self, name: str, observed: float, *labels: str) -> None:
        """Add a number to a histogram, in its unit."""
        counts = [int(observed <= bound) for bound in METRICS[name].buckets]
        self._merge(name, [*counts, 1], observed, labels)

    def observe_all(self, name: str, observed: pl.Series, *labels: str) -> None:
        """Add many numbers at once."""
        counts = counts_up_to(METRICS[name].buckets, observed)
        self._merge(name, counts, float(observed.sum()), labels)

    def collect(self) -> Iterator[Family]:
        """The families of prometheus-client, in the order of their declaration."""
        with self._lock:
            found = [self._family(metric) for metric in METRICS.values()]
        return iter([family for family in found if family.samples])

    def _merge(self, name: str, counts: list[int], total: float, labels: LabelValues) -> None:
        with self._lock:
            held = self._histograms.setdefault(name, {})
            histogram = held.setdefault(labels, _Histogram([0] * len(counts)))
            histogram.counts = [a + b for a, b in zip(histogram.counts, counts, strict=True)]
            histogram.total += total

    def _of(self, name: str) -> dict[LabelValues, float]:
        return self._numbers.setdefault(METRICS[name].name, {})

    def _family(self, metric: Metric) -> Family:
        if metric.kind is Kind.HISTOGRAM:
            return self._histogram(metric)
        kind = CounterMetricFamily if metric.kind is Kind.COUNTER else GaugeMetricFamily
        family = kind(metric.name, metric.help, labels=metric.labels)
        for labels, number in self._numbers.get(metric.name, {}).items():
            family.add_metric(labels, number)
        return family

    def _histogram(self, metric: Metric) -> HistogramMetricFamily:
        family = HistogramMetricFamily(metric.name, metric.help, labels=metric.labels)
        bounds = [*map(str, metric.buckets), "+Inf"]
        for labels, histogram in self._histograms.get(metric.name, {}).items():
            buckets = list(zip(bounds, histogram.counts, strict=True))
            family.add_metric(labels, buckets, histogram.total)
        return family


def counts_up_to(bounds: Sequence[float], observed: pl.Series) -> list[int]:
    """How many numbers are at most each bound, and last how many there are."""
    return [*(int((observed <= bound).sum()) for bound in bounds), len(observed)]
