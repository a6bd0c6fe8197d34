"""The suites, by name: `tables` of each, generated from the declarations."""

from __future__ import annotations

from datetime import date

from expectations.suites.marts import mart_tables
from expectations.suites.online_views import online_tables
from expectations.suites.raw_events import raw_tables
from expectations.suites.rules import Table

__all__ = ["SUITES", "tables_of"]

SUITES = {"raw": raw_tables, "features": online_tables, "marts": mart_tables}


def tables_of(suite: str, run_date: date) -> tuple[Table, ...]:
    """What the suite looks at for a day."""
    return SUITES[suite](run_date)
