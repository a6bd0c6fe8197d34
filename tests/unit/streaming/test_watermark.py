"""The watermark follows the slowest partition that still has something to read."""

from __future__ import annotations

import pytest

from streaming.ports import Clock
from streaming.watermark import advance, when_idle

SECOND = 1_000_000


def read(**at: int) -> Clock:
    times = {f"t/{name[1:]}": value * SECOND for name, value in at.items()}
    return Clock(event_times=times, offsets=dict.fromkeys(times, 10))


def test_with_nothing_unread_the_largest_event_time_counts() -> None:
    assert advance(Clock(), read(p0=100, p1=50), None).watermark_us == 90 * SECOND


def test_an_unread_partition_holds_the_watermark_back() -> None:
    after = advance(Clock(), read(p0=100, p1=50), {"t/0": 10, "t/1": 20})
    assert after.watermark_us == 40 * SECOND


def test_an_unread_partition_that_nothing_is_known_of_holds_everything_back() -> None:
    assert advance(Clock(), read(p0=100), {"t/0": 10, "t/1": 20}).watermark_us is None


def test_it_never_moves_back() -> None:
    before = Clock(watermark_us=95 * SECOND)
    assert advance(before, read(p0=100), None).watermark_us == 95 * SECOND


def test_an_older_event_does_not_lower_what_a_partition_has_reached() -> None:
    before = advance(Clock(), read(p0=100), None)
    assert advance(before, read(p0=20), None).event_times == {"t/0": 100 * SECOND}


@pytest.mark.parametrize(
    ("quiet_s", "expected_s"), [(0, 100), (10, 100), (11, 101), (70, 160), (10_000, 1_190)]
)
def test_an_idle_stream_moves_at_wall_speed_but_never_past_ten_seconds_ago(
    quiet_s: int, expected_s: int
) -> None:
    drained_at = 1_200 * SECOND - quiet_s * SECOND
    assert when_idle(100 * SECOND, drained_at, 1_200 * SECOND) == expected_s * SECOND
