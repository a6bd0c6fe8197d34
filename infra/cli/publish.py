"""`userflow publish`: from the marts and the daily tables to the online store."""

from __future__ import annotations

import json
from datetime import date

import click

from infra.cli.options import run_date_option
from infra.settings import load_settings

__all__ = ["publish"]


@click.command()
@run_date_option
@click.option("--allow-empty", is_flag=True, help="Publish marts without a row too.")
@click.option("--json", "as_json", is_flag=True, help="Print what was published as JSON.")
def publish(*, run_date: date, allow_empty: bool, as_json: bool) -> None:
    """Bring the marts, and what the daily jobs computed, to the batch views of PostgreSQL's schema
    online and of Redis.

    Readers of a view see the old rows or the new ones, never half. A view that shows a later day
    than its table is kept.
    """
    from infra.publish import publish as publish_marts  # noqa: PLC0415 - not for --help

    done = publish_marts(settings=load_settings(), run_date=run_date, allow_empty=allow_empty)
    if as_json:
        click.echo(json.dumps(done.to_json()))
        return
    for name, view in done.views.items():
        kept = ", kept: its table is of an earlier day" if view.kept else ""
        click.echo(f"{name}: {view.rows:,} rows of {view.as_of_date}{kept}")
    if done.not_computed:
        names = ", ".join(done.not_computed)
        click.echo(f"not computed yet (`userflow daily` does): {names}")
