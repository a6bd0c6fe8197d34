"""A source is degraded when its last minute says so, and fine again once that is over."""

from __future__ import annotations

from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from features.breaker import BREACHES, FINE, LastMinute, Limits, Minute, State, judge

SECOND = 1_000_000
START = 1_790_000_000 * SECOND
LIMITS = Limits(share=0.2, least=100)
# Seconds since the step before, and that step's good and broken events.
Step = tuple[int, int, int]
STEPS = st.lists(
    st.tuples(st.integers(0, 40), st.integers(0, 300), st.integers(0, 100)), max_size=60
)


def minute(seen: int, broken: int) -> Minute:
    return Minute(seen, {"not_json": broken})


def recounted(log: Iterable[tuple[int, bool]], now: int) -> tuple[int, int]:
    """The oracle looks at every event: its slot starts less than a minute ago."""
    inside = [is_good for at, is_good in log if now - 60 * SECOND < at // (5 * SECOND) * 5 * SECOND]
    return len(inside), inside.count(False)


@given(STEPS)
def test_the_last_minute_and_what_follows_from_it_are_those_of_a_recount(steps: list[Step]) -> None:
    counts, log, state, now = LastMinute(), [], FINE, START
    is_degraded, calm_from = False, None
    for pause, good, broken in steps:
        now += pause * SECOND
        counts.add(now, good + broken, {"not_json": broken})
        log += [(now, True)] * good + [(now, False)] * broken
        seen, bad = recounted(log, now)
        minute = counts.until(now)
        assert (minute.seen, minute.broken.get("not_json", 0)) == (seen, bad)

        is_over = bad * 5 > seen
        calm_from = None if is_over or not is_degraded else calm_from or now
        if not is_degraded:
            is_degraded = is_over and seen >= 100
        elif calm_from is not None:
            is_enough = seen >= 100 and bad * 10 <= seen
            is_degraded = not is_enough and now - calm_from < 60 * SECOND
        state = judge(state, minute, now_us=now, limits=LIMITS)
        assert (state.degraded_since_us is not None) == is_degraded


@given(STEPS, st.randoms())
def test_the_order_of_counts_changes_nothing(steps: list[Step], random: object) -> None:
    at, added = START, []
    for pause, good, broken in steps:
        at += pause * SECOND
        added.append((at, good + broken, {"too_old": broken}))
    one, other = LastMinute(), LastMinute()
    for counted in added:
        one.add(*counted)
    random.shuffle(added)  # type: ignore[attr-defined]
    for counted in added:
        other.add(*counted)
    assert one.until(at) == other.until(at)


@pytest.mark.parametrize(
    ("seen", "broken", "is_degraded"),
    [(100, 20, False), (100, 21, True), (99, 99, False), (0, 0, False), (10_000, 2001, True)],
)
def test_more_than_the_share_of_enough_events_degrades(
    seen: int, broken: int, is_degraded: bool
) -> None:
    state = judge(FINE, minute(seen, broken), now_us=START, limits=LIMITS)
    assert state == (State(degraded_since_us=START) if is_degraded else FINE)


def test_exactly_the_share_is_allowed_whatever_the_rounding() -> None:
    for percent in range(1, 100):
        limits = Limits(share=percent / 100, least=100)
        assert judge(FINE, minute(100, percent), now_us=START, limits=limits) == FINE


def test_a_degraded_source_stays_so_until_a_minute_is_over_at_or_below_the_share() -> None:
    state = State(degraded_since_us=START)
    for second, broken in ((1, 19), (50, 15), (61, 21), (62, 20), (121, 20)):
        state = judge(state, minute(100, broken), now_us=START + second * SECOND, limits=LIMITS)
        assert state.degraded_since_us == START
    assert judge(state, minute(100, 20), now_us=START + 122 * SECOND, limits=LIMITS) == FINE


def test_it_is_fine_at_once_when_enough_events_are_at_half_the_share() -> None:
    state = State(degraded_since_us=START)
    assert judge(state, minute(100, 10), now_us=START, limits=LIMITS) == FINE
    assert judge(state, minute(99, 0), now_us=START, limits=LIMITS) != FINE


def test_a_silent_source_recovers() -> None:
    state = judge(State(START), minute(0, 0), now_us=START, limits=LIMITS)
    assert judge(state, minute(0, 0), now_us=START + 60 * SECOND, limits=LIMITS) == FINE


def test_a_share_of_one_switches_it_off() -> None:
    assert judge(FINE, minute(500, 500), now_us=START, limits=Limits(share=1.0)) == FINE


def test_the_reason_that_is_named_is_the_most_frequent_one() -> None:
    assert Minute(9, {"too_old": 2, "not_json": 3, "bad_timestamp": 3}).reason == "bad_timestamp"
    assert Minute(9, {}).reason is None


def test_a_late_event_breaks_no_contract() -> None:
    assert "not_json" in BREACHES
    assert "late" not in BREACHES
