"""Numbers and times as people read them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from serving.dashboard import words

NOW = datetime(2026, 11, 30, 12, 0, 5, tzinfo=UTC)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "—"),
        (0.0, "0 ms"),
        (0.25, "250 ms"),
        (1.0, "1.0 s"),
        (119.9, "119.9 s"),
        (150, "2.5 min"),
    ],
)
def test_seconds(value: float | None, text: str) -> None:
    assert words.seconds(value) == text


@pytest.mark.parametrize(
    ("past", "text"),
    [
        (-5, "0 s ago"),
        (0, "0 s ago"),
        (119, "119 s ago"),
        (120, "2 min ago"),
        (7200, "2 h ago"),
        (200_000, "2 d ago"),
    ],
)
def test_ago(past: float, text: str) -> None:
    assert words.ago(NOW - timedelta(seconds=past), NOW) == text


def test_counts_shares_and_times() -> None:
    assert (words.number(1234567), words.number(None)) == ("1,234,567", "—")
    assert (words.percent(0.0312), words.percent(None)) == ("3.1%", "—")
    assert words.utc(NOW) == "12:00:05 UTC"
    assert (words.signed("2 s", -2), words.signed("2 s", 2)) == ("-2 s", "2 s")
