"""Each anomaly at its limits."""

from __future__ import annotations

import pytest
from shopping import folded

from features.machines import MOST

ALERT = ("alert_type", "event_id", "value", "threshold")


def alerts(*lines: str) -> list[tuple[str, str, float, float]]:
    """The event id of the first line is e0000."""
    return folded(*lines).alerts.sort("event_at", "event_id").select(ALERT).rows()  # type: ignore[return-value]


@pytest.mark.parametrize(
    ("second", "gap"), [("0:00.099", 99.0), ("0:00.099999", 99.999), ("0:00", 0)]
)
def test_clicks_less_than_a_tenth_of_a_second_apart_are_rapid(second: str, gap: float) -> None:
    assert alerts("0:00 click", f"{second} click") == [("rapid_clicks", "e0001", gap, 100.0)]


def test_clicks_a_tenth_of_a_second_apart_are_not() -> None:
    assert alerts("0:00 click", "0:00.1 click") == []


def test_of_three_rapid_clicks_the_second_and_the_third_alert() -> None:
    found = alerts("0:00 click", "0:00.05 view a/x", "0:00.06 click", "0:00.09 click")
    assert [(event_id, value) for _, event_id, value, _ in found] == [("e0002", 60), ("e0003", 30)]


def test_a_purchase_over_five_times_the_mean_is_large() -> None:
    assert alerts("0:00 pay 10", "1:00 pay 30", "2:00 pay 100.1") == [
        ("large_purchase", "e0002", 100.1, 100.0)
    ]


@pytest.mark.parametrize(
    "lines",
    [
        ("0:00 pay 10", "1:00 pay 10", "2:00 pay 49"),
        ("0:00 pay 10", "1:00 pay 10", "2:00 pay 50"),
        ("0:00 pay 10", "1:00 pay 51"),
        ("0:00 pay 10", "1:00 buy a", "2:00 pay 51"),
        ("0:00 pay 1e308", "1:00 pay 1e308", "2:00 pay 1.7e308"),
    ],
    ids=["less", "exactly", "second purchase", "without an amount", "close to overflow"],
)
def test_other_purchases_are_not_large(lines: tuple[str, ...]) -> None:
    assert alerts(*lines) == []


def test_the_mean_is_of_all_earlier_purchases() -> None:
    found = alerts("0:00 pay 10", "1:00 pay 20", "2:00 pay 20", "3:00 pay 30", "4:00 pay 100")
    assert found == []
    found = alerts("0:00 pay 0", "1:00 pay 0", "2:00 pay 0.01", "3:00 pay 1e308")
    assert [event_id for _, event_id, *_ in found] == ["e0002", "e0003"]
    assert found[1][3] == pytest.approx(5 * 0.01 / 3)


def test_sums_that_no_double_holds_do_not_hide_a_large_purchase() -> None:
    (found,) = alerts("0:00 pay 3e307", "1:00 pay 3e307", "2:00 pay 1.7e308")
    assert found == ("large_purchase", "e0002", 1.7e308, pytest.approx(1.5e308))


def test_a_new_ip_less_than_an_hour_after_another_is_a_change_of_location() -> None:
    assert alerts("0:00 from 10.0.0.1", "59:59 from 10.0.0.2") == [
        ("location_change", "e0001", 3599.0, 3600.0)
    ]
    assert alerts("0:00 from 10.0.0.1", "60:00 from 10.0.0.2") == []


def test_the_hour_runs_from_the_last_event_with_another_ip() -> None:
    lines = (
        "0:00 from 10.0.0.1",
        "30:00 from 10.0.0.1",
        "40:00 from 10.0.0.1",
        "70:00 from 10.0.0.2",
    )
    assert [row[:3] for row in alerts(*lines)] == [("location_change", "e0003", 1800.0)]


def test_an_ip_is_new_again_after_thirty_days() -> None:
    days = 30 * 24 * 60
    old = ("0:00 from 10.0.0.1", f"{days - 10}:00 from 10.0.0.2")
    assert alerts(*old, f"{days}:00 from 10.0.0.1") == []
    (found,) = alerts(*old, f"{days}:00.000001 from 10.0.0.1")
    assert found[:2] == ("location_change", "e0002")


def test_the_first_ip_and_a_known_one_are_no_change() -> None:
    lines = ("0:00 from 10.0.0.1", "1:00 from 10.0.0.1", "2:00 click", "3:00 from 10.0.0.1")
    assert alerts(*lines) == []
    back = ("0:00 from 10.0.0.1", "1:00 from 10.0.0.2", "2:00 from 10.0.0.1", "3:00 from 10.0.0.2")
    assert [event_id for _, event_id, *_ in alerts(*back)] == ["e0001"]


def test_so_many_ips_are_remembered_the_latest_and_it_is_counted() -> None:
    lines = [f"{number}:00 from {number}" for number in range(MOST + 1)]
    found = folded(*lines, f"{MOST + 1}:00 from 1", f"{MOST + 2}:00 from 0", until="2000:00")
    assert len(found.capped) == 2
    assert found.alerts["event_id"].to_list() == [f"e{n:04}" for n in range(1, MOST + 1)] + [
        "e1002"
    ]


def test_an_alert_says_who_what_and_why() -> None:
    (alert,) = folded("0:00 pay 10", "1:00 pay 30", "2:00 pay 100.1").alerts.to_dicts()
    assert (alert["user_id"], alert["severity"]) == ("u", "HIGH")
    assert alert["reason"] == ("A purchase of 100.1, over 5 times the mean of 2 earlier ones, 20.")
