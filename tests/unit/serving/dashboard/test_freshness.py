"""Quantiles of a histogram that only grows, of the last minutes."""

from __future__ import annotations

import pytest

from serving.dashboard.freshness import Recent, buckets_of, quantile

INF = float("inf")
TEXT = """# TYPE userflow_freshness_seconds histogram
userflow_freshness_seconds_bucket{stream="commerce",le="0.5"} 3
userflow_freshness_seconds_bucket{stream="commerce",le="1.0"} 4
userflow_freshness_seconds_bucket{stream="commerce",le="+Inf"} 4
userflow_freshness_seconds_count{stream="commerce"} 4
userflow_freshness_seconds_sum{stream="commerce"} 1.5
# TYPE userflow_records_in counter
userflow_records_in_total{stream="commerce"} 4
"""


def test_the_histogram_of_each_stream_is_read() -> None:
    assert buckets_of(TEXT) == {"commerce": {0.5: 3, 1.0: 4, INF: 4}}
    assert buckets_of("") == {}


def test_other_text_is_refused() -> None:
    with pytest.raises(ValueError, match="invalid metric name"):
        buckets_of("<html><body>no metrics</body></html>")


@pytest.mark.parametrize(
    ("buckets", "share", "seconds"),
    [
        ({1.0: 10, 2.0: 20, INF: 20}, 0.5, 1.0),
        ({1.0: 10, 2.0: 20, INF: 20}, 0.75, 1.5),
        ({1.0: 10, 2.0: 10, INF: 20}, 0.99, 2.0),  # above the last bound: nobody knows
        ({1.0: 0, INF: 0}, 0.5, None),
        ({}, 0.5, None),
    ],
)
def test_a_quantile_lies_between_two_bounds(
    buckets: dict[float, float], share: float, seconds: float | None
) -> None:
    assert quantile(buckets, share) == seconds


def test_only_what_was_counted_lately_counts() -> None:
    recent = Recent(seconds=10)
    recent.add(0, {"s": {1.0: 100, INF: 100}})
    recent.add(5, {"s": {1.0: 100, INF: 110}})
    assert recent.add(9, {"s": {1.0: 100, INF: 120}}) == {"s": {1.0: 0, INF: 20}}
    assert recent.add(14, {"s": {1.0: 105, INF: 130}}) == {"s": {1.0: 5, INF: 20}}


def test_the_first_look_shows_all_that_the_process_has_counted() -> None:
    assert Recent().add(0, {"s": {1.0: 3, INF: 4}}) == {"s": {1.0: 3, INF: 4}}


def test_a_process_that_began_again_counts_from_nothing() -> None:
    recent = Recent()
    recent.add(0, {"s": {1.0: 100, INF: 100}})
    assert recent.add(1, {"s": {1.0: 2, INF: 3}}) == {"s": {1.0: 2, INF: 3}}


def test_a_stream_that_does_not_answer_is_left_out() -> None:
    recent = Recent()
    recent.add(0, {"s": {INF: 1}})
    assert recent.add(1, {}) == {}
