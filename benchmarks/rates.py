"""Rates, quantiles and ratios: what the benchmarks compute from what they have seen. Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import accumulate

__all__ = ["QUANTILES", "Progress", "as_progress", "quantiles", "ratio_line", "steady_rate"]

# (seconds on a steady clock, events read so far), in order
Progress = Sequence[tuple[float, int]]
QUANTILES = {"p50": 0.5, "p95": 0.95, "p99": 0.99, "max": 1.0}
EXACT_BELOW = 10


def as_progress(epochs: Progress) -> Progress:
    """(end, events of the epoch) of every epoch -> (end, events so far)."""
    totals = accumulate(events for _, events in epochs)
    return [(at, total) for (at, _), total in zip(epochs, totals, strict=True)]


def steady_rate(progress: Progress, warm_up: int) -> float:
    """Events/s from the point at which `warm_up` events were read to the one at which all were.

    0 when there is nothing between the two. The same rule measures the job and its peers.
    """
    most = max((events for _, events in progress), default=0)
    begin = next((point for point in progress if point[1] >= max(1, warm_up)), None)
    end = next((point for point in progress if point[1] == most), None)
    if begin is None or end is None or end[0] <= begin[0]:
        return 0.0
    return (end[1] - begin[1]) / (end[0] - begin[0])


def quantiles(values: Sequence[float]) -> dict[str, float]:
    """The smallest value that at least that share of all values does not exceed; {} without one."""
    ranked = sorted(values)
    if not ranked:
        return {}
    return {
        name: ranked[max(1, math.ceil(share * len(ranked))) - 1]
        for name, share in QUANTILES.items()
    }


def ratio_line(ratios: Mapping[str, float]) -> str:
    """`1.1 x Flink SQL, 14 x applyInPandasWithState`."""
    return ", ".join(f"{_rounded(ratio)} x {name}" for name, ratio in ratios.items())


def _rounded(ratio: float) -> str:
    """Two figures: more would say more than was measured."""
    return f"{ratio:.1f}" if round(ratio, 1) < EXACT_BELOW else f"{ratio:.0f}"
