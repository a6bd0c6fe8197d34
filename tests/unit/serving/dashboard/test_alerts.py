"""Alerts from two ways, each once."""

from __future__ import annotations

from dashboard_frames import NOW, alerts, seen, stored

from serving.dashboard.alerts import newest, together
from serving.dashboard.poller import Reading


def test_what_both_have_is_one_alert_and_what_one_has_is_there() -> None:
    of_topic, of_table = alerts(1, 2), alerts(1, 2, 3)
    both = together(seen(alerts=of_topic, stored=Reading(value=stored(alerts=of_table))))
    assert both["event_id"].to_list() == ["e0", "e1", "e2"]


def test_each_way_is_enough() -> None:
    assert together(seen(alerts=alerts(1, 2))).height == 2
    assert together(seen(stored=Reading(value=stored(alerts=alerts(1))))).height == 1
    assert together(seen()).is_empty()


def test_two_rules_may_find_the_same_event() -> None:
    table = stored(alerts=alerts(1, alert_type="large_purchase"))
    assert together(seen(alerts=alerts(1), stored=Reading(value=table))).height == 2


def test_a_table_shows_the_newest() -> None:
    rows = newest(together(seen(alerts=alerts(*range(60)))))
    assert rows.height == 50
    assert rows["event_at"].to_list()[0] == NOW
    assert "user_id" not in rows.columns
