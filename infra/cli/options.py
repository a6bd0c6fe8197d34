"""Options that several commands share."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from typing import Any

import click

__all__ = ["options", "run_date_option"]


def options(*given: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """Several options as one decorator, in the order of the help."""

    def decorate(command: Any) -> Any:
        for option in reversed(given):
            command = option(command)
        return command

    return decorate


def _yesterday() -> datetime:
    return datetime.now(UTC) - timedelta(days=1)


def _as_date(_: click.Context, __: click.Parameter, given: datetime) -> date:
    return given.date()


# A daily step runs after the end of its day.
run_date_option = click.option(
    "--date",
    "run_date",
    type=click.DateTime(["%Y-%m-%d"]),
    default=_yesterday,
    show_default="the day before today",
    callback=_as_date,
    help="Which day, UTC.",
)
