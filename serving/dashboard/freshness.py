"""How soon an event can be read: quantiles of the streams' own histogram, of the last minutes.

A stream counts since it began, so what it said some minutes ago is taken away from what it says
now. A process that was started again counts from nothing; then all it says is of now.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping

from prometheus_client.parser import text_string_to_metric_families

__all__ = ["Buckets", "Recent", "buckets_of", "quantile"]

FRESHNESS = "userflow_freshness_seconds"
# Upper bound -> events at or below it.
Buckets = Mapping[float, float]


def buckets_of(text: str) -> dict[str, Buckets]:
    """Stream -> its histogram, of what `/metrics` answered; raises ValueError for other text."""
    found: dict[str, dict[float, float]] = {}
    for family in text_string_to_metric_families(text):
        if family.name == FRESHNESS:
            for sample in family.samples:
                if sample.name.endswith("_bucket"):
                    of_stream = found.setdefault(sample.labels["stream"], {})
                    of_stream[float(sample.labels["le"])] = sample.value
    return dict(found)


def quantile(buckets: Buckets, share: float) -> float | None:
    """Seconds, straight between two bounds; None without events. Above the largest bound there is
    no telling: then it is that bound.
    """
    bounds = sorted(buckets)
    wanted = share * buckets[bounds[-1]] if bounds else 0
    if not wanted:
        return None
    low, below = 0.0, 0.0
    for bound in bounds:
        if buckets[bound] >= wanted:
            if bound == float("inf"):
                return low
            return low + (bound - low) * (wanted - below) / (buckets[bound] - below)
        low, below = bound, buckets[bound]
    return low


class Recent:
    """The histograms of the last `seconds`, stream by stream."""

    def __init__(self, seconds: float = 300, most: int = 200) -> None:
        self._seconds = seconds
        self._said: deque[tuple[float, Mapping[str, Buckets]]] = deque(maxlen=most)

    def add(self, at: float, said: Mapping[str, Buckets]) -> dict[str, Buckets]:
        """Note what the streams say now; returns what they counted since the oldest noted time."""
        while self._said and self._said[0][0] < at - self._seconds:
            self._said.popleft()
        self._said.append((at, said))
        return {stream: self._since_oldest(stream, now) for stream, now in said.items()}

    def _since_oldest(self, stream: str, now: Buckets) -> Buckets:
        oldest = _first(said[stream] for _, said in self._said if stream in said)
        if oldest is now or oldest is None or _is_new(oldest, now):
            return now
        return {bound: count - oldest.get(bound, 0) for bound, count in now.items()}


def _first(said: Iterable[Buckets]) -> Buckets | None:
    return next(iter(said), None)


def _is_new(before: Buckets, now: Buckets) -> bool:
    """A counter that has become smaller began again."""
    return any(now.get(bound, 0) < count for bound, count in before.items())
