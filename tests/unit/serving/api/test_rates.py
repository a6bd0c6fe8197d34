"""A bucket for each key: full at first, filled again as time passes."""

from __future__ import annotations

import pytest

from serving.api.rates import Rates
from serving.errors import TooMany


class Clock:
    """Moves when told to."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


def taken(rates: Rates, key_id: str, tries: int) -> int:
    """How many of so many tries were allowed."""
    allowed = 0
    for _ in range(tries):
        try:
            rates.take(key_id)
        except TooMany:
            continue
        allowed += 1
    return allowed


def test_a_seconds_worth_at_once_and_then_at_the_rate() -> None:
    clock = Clock()
    rates = Rates(10, clock=clock)
    assert taken(rates, "a", 15) == 10
    clock.now = 0.5
    assert taken(rates, "a", 15) == 5
    clock.now = 100
    assert taken(rates, "a", 15) == 10


def test_each_key_has_its_own() -> None:
    rates = Rates(1, clock=Clock())
    assert [taken(rates, key, 2) for key in ("a", "b")] == [1, 1]


def test_it_is_told_when_to_come_back() -> None:
    rates = Rates(0.1, clock=Clock())
    assert taken(rates, "a", 1) == 1
    with pytest.raises(TooMany) as caught:
        rates.take("a")
    assert caught.value.headers == {"Retry-After": "10"}


def test_without_a_limit_nothing_is_counted() -> None:
    assert taken(Rates(0, clock=Clock()), "a", 1000) == 1000


def test_many_keys_take_no_more_memory_than_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("serving.api.rates.MOST_BUCKETS", 10)
    rates = Rates(5, clock=Clock())
    for number in range(100):
        rates.take(str(number))
    assert len(rates._buckets) <= 10
