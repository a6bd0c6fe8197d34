"""Rates, quantiles and ratios on small tables."""

from __future__ import annotations

import pytest

from benchmarks.rates import as_progress, quantiles, ratio_line, steady_rate

# (end of an epoch, its events): a slow start, two full ones, and a last one that only closes
EPOCHS = [(10.0, 500), (15.0, 500), (20.0, 500), (29.0, 0)]


def test_the_steady_rate_leaves_out_the_first_epoch_and_what_reads_nothing() -> None:
    assert steady_rate(as_progress(EPOCHS), warm_up=1) == 1000 / 10


def test_the_steady_rate_begins_where_the_warm_up_was_read() -> None:
    progress = [(0.0, 0), (4.0, 300), (5.0, 700), (7.0, 900), (9.0, 1000), (9.5, 1000)]
    assert steady_rate(progress, warm_up=500) == 300 / 4
    assert steady_rate(progress, warm_up=700) == 300 / 4
    assert steady_rate(progress, warm_up=701) == 100 / 2


@pytest.mark.parametrize("epochs", [[], [(10.0, 500)], [(10.0, 0), (11.0, 0)]])
def test_one_epoch_has_no_steady_rate(epochs: list[tuple[float, int]]) -> None:
    assert steady_rate(as_progress(epochs), warm_up=1) == 0.0


def test_a_quantile_is_a_value_that_was_seen() -> None:
    values = [float(value) for value in range(1000, 0, -1)]
    assert quantiles(values) == {"p50": 500.0, "p95": 950.0, "p99": 990.0, "max": 1000.0}
    assert set(quantiles([7.0]).values()) == {7.0}
    assert quantiles([]) == {}


def test_ratios_have_two_figures() -> None:
    ratios = {"Flink SQL": 1.149, "applyInPandasWithState": 14.3, "one": 9.96, "none": 0.04}
    line = "1.1 x Flink SQL, 14 x applyInPandasWithState, 10 x one, 0.0 x none"
    assert ratio_line(ratios) == line
    assert ratio_line({}) == ""
