"""Which run dates are read by which connection."""

from __future__ import annotations

import re
from datetime import date, timedelta

import pytest

from streaming.batch.raw import _parts

FIRST = date(2026, 1, 1)


@pytest.mark.parametrize(("days", "most", "parts"), [(0, 2, 0), (1, 2, 1), (3, 2, 2), (31, 4, 4)])
def test_every_day_is_read_by_one_connection(days: int, most: int, parts: int) -> None:
    run_dates = [FIRST + timedelta(days=number) for number in range(days)]
    conditions = [*_parts(run_dates, most)]
    assert len(conditions) == parts
    bounds = [[*map(date.fromisoformat, re.findall(r"'(.+?)'", one))] for one in conditions]
    assert [day for first, last in bounds for day in run_dates if first <= day <= last] == run_dates
