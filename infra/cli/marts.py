"""`userflow marts`: the marts of a day."""

from __future__ import annotations

import json
from datetime import date
from functools import partial

import click

from infra.cli.options import run_date_option
from infra.settings import load_settings

__all__ = ["marts"]


@click.command()
@run_date_option
@click.option(
    "--select",
    multiple=True,
    callback=lambda _context, _option, names: _marts(names),
    help="Only this mart, with what it is made of; may be repeated.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the summary as JSON.")
def marts(*, run_date: date, select: tuple[str, ...], as_json: bool) -> None:
    """Build the marts with the events of a run date, and test them.

    Every day that the run date has events of is replaced as a whole; a repeat changes nothing.
    """
    from infra.marts import build_marts  # noqa: PLC0415 - not for --help

    say = partial(click.echo, err=True)
    built = build_marts(load_settings(), run_date, select, say=say)
    click.echo(json.dumps(built.to_json()) if as_json else "\n".join(built.lines()))


def _marts(names: tuple[str, ...]) -> tuple[str, ...]:
    from infra.marts import mart_names  # noqa: PLC0415

    for name in names:
        if name not in mart_names():
            raise click.BadParameter(f"{name} is no mart; these are: {', '.join(mart_names())}.")
    return names
