"""The numbers at the top, window by window."""

from __future__ import annotations

from datetime import timedelta

import pytest
from dashboard_frames import NOW, alerts, products, sessions

from serving.dashboard import kpis
from serving.dashboard.kpis import Change


@pytest.mark.parametrize(
    ("first", "last", "now", "before"),
    [
        (3, 1, 1, 0),
        (4, 0, 1, 0),
        (5, 5, 0, 1),  # exactly five minutes ago is the window before
        (8, 2, 1, 1),  # it was there in both
        (10, 6, 0, 1),
        (20, 10, 0, 0),
        (-1, -1, 0, 0),  # a clock that is ahead
    ],
)
def test_a_session_is_active_while_the_window_meets_it(
    first: float, last: float, now: int, before: int
) -> None:
    assert kpis.active_sessions(sessions((first, last, 1, False)), NOW) == Change(now, before)


def test_conversion_and_duration_are_those_of_the_sessions_that_ended_in_the_hour() -> None:
    known = sessions((10, 5, 1, True), (20, 5, 1, False), (90, 80, 1, False), (200, 190, 1, True))
    assert kpis.conversion_rate(known, NOW) == Change(0.5, 0.0)
    assert kpis.average_duration_s(known, NOW) == Change(600.0, 600.0)
    assert kpis.conversion_rate(known, NOW).difference == 0.5


def test_of_no_sessions_nothing_is_said() -> None:
    nobody = sessions()
    assert kpis.active_sessions(nobody, NOW) == Change(0, 0)
    assert kpis.conversion_rate(nobody, NOW) == Change(None, None)
    assert kpis.average_duration_s(nobody, NOW).difference is None
    assert kpis.rate_trend(nobody, NOW, "has_conversion") == []


def test_a_change_needs_both_periods() -> None:
    assert kpis.conversion_rate(sessions((10, 5, 1, True)), NOW) == Change(1.0, None)


def test_alerts_are_counted_by_the_time_of_their_event() -> None:
    assert kpis.alert_count(alerts(0, 59, 60, 119, 121), NOW) == Change(2, 2)


def test_trends_end_now() -> None:
    known = sessions((3, 1, 1, True), (58, 56, 1, False))
    assert kpis.active_trend(known, NOW) == [1.0, *[0.0] * 10, 1.0]
    assert kpis.rate_trend(known, NOW, "has_conversion") == [0.0, 1.0]
    assert sum(kpis.alert_trend(alerts(0, 59, 60), NOW)) == 2


def test_the_most_viewed_products_come_first_and_equals_by_name() -> None:
    top = kpis.top_products(products(b=3, c=9, a=3, d=0), NOW, 3)
    assert top["product_id"].to_list() == ["c", "a", "b"]
    assert kpis.top_products(products(a=3), NOW, 0).is_empty()


def test_what_a_stream_that_stands_still_said_is_no_product_of_now() -> None:
    assert kpis.top_products(products(a=3), NOW + timedelta(minutes=6), 10).is_empty()
