"""Suite `features`: what the online tables of all views must hold, streaming and batch."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date

from psycopg import sql

from expectations.suites.columns import column_rules, measured
from expectations.suites.rules import Table
from features.columns import Column
from features.marts import PUBLISHED
from features.views import VIEWS

__all__ = ["online_tables"]


def online_tables(run_date: date) -> tuple[Table, ...]:
    """One for each view; they hold the newest rows, whatever the day."""
    del run_date
    return (
        *(_table(view.name, view.key, view.online_columns) for view in VIEWS.values()),
        *(_table(view.name, view.mart.key, view.online_columns) for view in PUBLISHED.values()),
    )


def _table(name: str, key: Sequence[str], columns: Sequence[Column]) -> Table:
    return Table(
        name=name,
        query=sql.SQL("SELECT * FROM {}").format(sql.Identifier("online", name)),
        rules=column_rules(columns, key),
        measured=measured(columns),
    )
