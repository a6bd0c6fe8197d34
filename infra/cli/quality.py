"""`userflow quality`: the gates, by hand."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import date
from typing import Any

import click

from infra.cli.options import run_date_option
from infra.errors import GateFailed
from infra.logs import configure_logs
from infra.settings import load_settings

__all__ = ["quality"]

SUITES = ("raw", "features", "marts")
HEAD = ("expectation", "column", "checked", "failed", "severity", "")


@click.group()
def quality() -> None:
    """Gates over what is stored."""


@quality.command()
@click.option("--suite", type=click.Choice(SUITES), required=True, help="What is checked.")
@run_date_option
@click.option("--table", "tables", multiple=True, help="Only this table; may be repeated.")
@click.option("--json", "as_json", is_flag=True, help="Print the report as JSON.")
def run(*, suite: str, run_date: date, tables: tuple[str, ...], as_json: bool) -> None:
    """Check a day: exit code 1 if an expectation fails that stops what comes next.

    Outcomes go to ops.quality_log. The online tables of suite `features` are checked as they are,
    whatever the day.
    """
    from infra.quality import run_suite  # noqa: PLC0415 - not for --help

    _check_names(suite, tables)
    settings = load_settings()
    configure_logs(settings.log_level)
    try:
        report = run_suite(settings=settings, suite=suite, run_date=run_date, tables=tables)
    except GateFailed as failure:
        _show(failure.figures, as_json=as_json)
        raise
    _show(report.to_json(), as_json=as_json)


@quality.command()
def monitor() -> None:
    """Look at the newest raw events and at session_features, as Airflow does all the time.

    Slack hears of each failure once, and once when it is over. Exit code 1 while anything fails
    that stops.
    """
    from infra.quality_monitor import MONITORED  # noqa: PLC0415
    from infra.quality_monitor import monitor as look_at  # noqa: PLC0415

    settings = load_settings()
    configure_logs(settings.log_level)
    failed = False
    for suite, tables in MONITORED.items():
        try:
            seen = look_at(settings, suite=suite, tables=tables)
        except GateFailed as failure:
            failed = True
            click.echo(str(failure), err=True)
        else:
            of_day = f"of {seen.run_date} passes" if seen.run_date else "has nothing to look at"
            click.echo(f"gate {suite} {of_day}")
    if failed:
        raise click.exceptions.Exit(1)


def _check_names(suite: str, tables: tuple[str, ...]) -> None:
    from infra.quality import table_names  # noqa: PLC0415

    known = table_names(suite)
    for table in tables:
        if table not in known:
            raise click.BadParameter(
                f"{table} is not in suite {suite}; these are: {', '.join(known)}.",
                param_hint="--table",
            )


def _show(report: Mapping[str, Any], *, as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps(report, default=str))
        return
    # What failed stands at the end, where one looks.
    rows = [_row(one) for one in sorted(report["expectations"], key=lambda one: not one["passed"])]
    widths = [max(len(row[at]) for row in (HEAD, *rows)) for at in range(len(HEAD))]
    for row in (HEAD, *rows):
        click.echo("  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)))
    click.echo(
        f"{len(rows)} expectations, {report['stops']} failed that stop, "
        f"{report['warnings']} that warn. Data Docs: {report['docs']}"
    )


def _row(one: Mapping[str, Any]) -> tuple[str, ...]:
    name, column = f"{one['table']}:{one['check']}", one["column"] or ""
    mark = "" if one["passed"] else "FAILED"
    return (name, column, f"{one['checked']:,}", f"{one['failed']:,}", one["severity"], mark)
