"""The gates: a suite of expectations over a day, whose failure stops what comes after it.

Every outcome goes into `ops.quality_log`, whose earlier days also say what is usual: a gate that
ran on the days before has bounds for row counts and means, one that runs first has none.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Mapping, Sequence
from datetime import date
from typing import Any

import psycopg
import structlog
from filelock import FileLock
from psycopg import sql

from expectations.gate import DOCS_PAGE, run_checkpoint
from expectations.outcome import Outcome
from expectations.suites import tables_of
from expectations.suites.history import History, history_rules
from expectations.suites.rules import Rule, Severity, Table
from infra.database import pipeline_conninfo, postgres_answers, sqlalchemy_url
from infra.endpoints import Endpoints
from infra.errors import GateFailed
from infra.quality_log import GateReport, read_history, write_outcomes
from infra.settings import Settings
from infra.slack import Message, post

__all__ = ["run_suite", "table_names"]

MOST_NAMED = 5
# An online table is empty before the first event; a day that was loaded is not.
OF_NOTHING: dict[str, Severity] = {"raw": "stop", "features": "warn", "marts": "stop"}
Connection = psycopg.Connection[Any]
log = structlog.get_logger()


def table_names(suite: str) -> list[str]:
    """What a suite looks at, as `run_suite` takes it."""
    return [table.name for table in tables_of(suite, date.min)]


def run_suite(
    *, settings: Settings, suite: str, run_date: date, tables: Sequence[str] = ()
) -> GateReport:
    """Check a day; `tables`: these of the suite alone. Two runs of one suite take turns.

    Raises `ServiceError` where PostgreSQL is away, and `GateFailed` when an expectation of severity
    `stop` fails, once that is written down and Slack was told; its `figures` are those of the
    report. What fails with `warn` is logged only.
    """
    postgres = pipeline_conninfo(Endpoints.read(settings.home).postgres)
    chosen = [one for one in tables_of(suite, run_date) if not tables or one.name in tables]
    folder = settings.home / "quality" / suite
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    with (
        FileLock(folder / "lock"),
        postgres_answers(),
        psycopg.connect(postgres, autocommit=True) as connection,
    ):
        rows = {table.name: _rows(connection, table) for table in chosen}
        plan = _plan(chosen, rows, read_history(connection, suite, run_date))
        report = GateReport(
            suite=suite,
            run_date=run_date,
            run_id=uuid.uuid4().hex,
            outcomes=(
                *_presence(suite, rows),
                *run_checkpoint(
                    suite,
                    plan,
                    url=sqlalchemy_url(postgres),
                    folder=folder,
                    run_name=run_date.isoformat(),
                ),
            ),
            docs=folder / DOCS_PAGE,
        )
        write_outcomes(connection, report)
    _tell(report, settings)
    return report


def _rows(connection: Connection, table: Table) -> int | None:
    """How many rows there are to look at; None if the table, or its column of the day, is not."""
    count = sql.SQL("SELECT count(*) FROM ({}) looked_at").format(table.query)
    try:
        row = connection.execute(count).fetchone()
    except (psycopg.errors.UndefinedTable, psycopg.errors.UndefinedColumn):
        return None
    return row[0] if row else 0


def _plan(
    tables: Sequence[Table], rows: Mapping[str, int | None], history: Mapping[str, History]
) -> list[tuple[Table, list[Rule]]]:
    """The rules of each table that is there; of an empty one its row count alone."""
    plan = []
    for table in tables:
        count, before = rows[table.name], history.get(table.name, {})
        if count is not None:
            rules = [*history_rules(table, before, is_empty=not count)]
            plan.append((table, [*rules, *table.rules] if count else rules))
    return plan


def _presence(suite: str, rows: Mapping[str, int | None]) -> Iterator[Outcome]:
    """What is asked before Great Expectations can be: that the tables are there, and any row."""
    is_empty = not any(rows.values())
    yield Outcome(
        table=suite,
        check="any_rows",
        severity=OF_NOTHING[suite],
        checked=1,
        failed=int(is_empty),
        passed=not is_empty,
    )
    for table, count in rows.items():
        is_there = count is not None
        yield Outcome(
            table=table,
            check="exists",
            severity="stop",
            checked=1,
            failed=int(not is_there),
            passed=is_there,
        )


def _tell(report: GateReport, settings: Settings) -> None:
    for one in report.warnings:
        log.warning(
            "expectation_failed",
            suite=report.suite,
            run_date=report.run_date.isoformat(),
            expectation=one.name,
            checked=one.checked,
            failed=one.failed,
        )
    if report.stops:
        sentence = _sentence(report)
        title = f"Gate {report.suite} of {report.run_date} failed"
        look = f"The Data Docs are at {report.docs}; the figures in ops.quality_log."
        post(settings.slack_webhook, Message(title=title, what=sentence, look=look))
        raise GateFailed(f"{sentence} The Data Docs are at {report.docs}.", report.to_json())


def _sentence(report: GateReport) -> str:
    named = [f"{one.name} ({one.failed:,} of {one.checked:,})" for one in report.stops[:MOST_NAMED]]
    more = len(report.stops) - len(named)
    rest = f" and {more} more" if more else ""
    return (
        f"{len(report.stops)} of {len(report.outcomes)} expectations on {report.suite} of "
        f"{report.run_date} failed that stop what comes next: {', '.join(named)}{rest}."
    )
