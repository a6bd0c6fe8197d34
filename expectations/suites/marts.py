"""Suite `marts`: what the marts of a day must hold."""

from __future__ import annotations

from datetime import date

from psycopg import sql

from expectations.suites.columns import column_rules, measured
from expectations.suites.rules import Table
from features.marts import MARTS, Mart

__all__ = ["mart_tables"]


def mart_tables(run_date: date) -> tuple[Table, ...]:
    """One for each mart: the rows of the day, or all of them where a run replaces the table."""
    return tuple(_table(mart, run_date) for mart in MARTS.values())


def _table(mart: Mart, run_date: date) -> Table:
    table = sql.Identifier("marts", mart.name)
    query: sql.Composable = sql.SQL("SELECT * FROM {}").format(table)
    if mart.day:
        day = sql.SQL(" WHERE {} = {}").format(sql.Identifier(mart.day), sql.Literal(run_date))
        query = sql.Composed([query, day])
    return Table(
        name=mart.name,
        query=query,
        rules=column_rules(mart.columns, mart.key),
        measured=measured(mart.columns),
    )
