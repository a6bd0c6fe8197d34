"""What crosses to the second stage: what its views look at, and nothing that no view does."""

from __future__ import annotations

from features.feeds import FEEDS
from features.views import VIEWS
from streaming.jobs import JOBS


def test_a_feed_carries_what_its_windows_look_at() -> None:
    experiments = JOBS["webtoon"].columns_of(FEEDS["experiments"])
    assert experiments is not None
    assert {"experiment_group", "ui_version", "event_at", "event_id", "sign"} < experiments
    assert "completion_rate" in experiments
    assert not experiments & {"user_id", "episode_id", "genre", "dwell_time_ms"}


def test_a_feed_carries_all_where_its_views_may_look_at_all() -> None:
    commerce = JOBS["commerce"]
    # Sessions and rules see the rows themselves.
    assert commerce.columns_of(FEEDS["shoppers"]) is None


def test_a_view_left_out_needs_nothing() -> None:
    readers = FEEDS["readers"]
    only = JOBS["webtoon"].only(["session_features", "episode_features"])
    assert "genre" in (JOBS["webtoon"].columns_of(readers) or ())
    assert readers not in only.feeds
    assert VIEWS["user_features"].feed == readers
