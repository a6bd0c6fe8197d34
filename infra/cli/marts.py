"""`userflow marts`: the marts of a day."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime, timedelta

import click

from infra.settings import load_settings

__all__ = ["marts"]


@click.command()
@click.option(
    "--date",
    "run_date",
    type=click.DateTime(["%Y-%m-%d"]),
    help="The run date, as it was loaded; the UTC day before when not given.",
)
@click.option(
    "--select",
    multiple=True,
    callback=lambda _context, _option, names: _marts(names),
    help="Only this mart, with what it is made of; may be repeated.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the summary as JSON.")
def marts(*, run_date: datetime | None, select: tuple[str, ...], as_json: bool) -> None:
    """Build the marts with the events of a run date, and test them.

    Every day that the run date has events of is replaced as a whole; a repeat changes nothing.
    """
    from infra.marts import build_marts  # noqa: PLC0415 - not for --help

    day = run_date.date() if run_date else _yesterday()
    built = build_marts(load_settings(), day, select, say=lambda text: click.echo(text, err=True))
    click.echo(json.dumps(built.to_json()) if as_json else "\n".join(built.lines()))


def _yesterday() -> date:
    return datetime.now(UTC).date() - timedelta(days=1)


def _marts(names: tuple[str, ...]) -> tuple[str, ...]:
    from infra.marts import mart_names  # noqa: PLC0415

    for name in names:
        if name not in mart_names():
            raise click.BadParameter(f"{name} is no mart; these are: {', '.join(mart_names())}.")
    return names
