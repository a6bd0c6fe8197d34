"""Whether enough of a day passed."""

from __future__ import annotations

import pytest

from expectations.checks import Outcome
from infra.raw.quality import is_passed


@pytest.mark.parametrize("checked", [100, 700, 1_000, 1_000_000, 10**15])
@pytest.mark.parametrize("least", [0.99, 0.07, 0.29, 0.57])
def test_exactly_the_least_share_is_enough_and_one_event_less_is_not(
    checked: int, least: float
) -> None:
    failed = checked - round(least * 100) * checked // 100
    assert is_passed(Outcome(check="all", checked=checked, failed=failed), least)
    assert not is_passed(Outcome(check="all", checked=checked, failed=failed + 1), least)


def test_where_nothing_was_checked_nothing_failed() -> None:
    assert is_passed(Outcome(check="all", checked=0, failed=0), 1.0)
