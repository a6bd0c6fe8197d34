"""`userflow watchdog` and `userflow maintain`: what Airflow runs from time to time, by hand."""

from __future__ import annotations

import json
from datetime import date

import click

from infra.cli.options import run_date_option
from infra.settings import load_settings

__all__ = ["maintain", "watchdog"]

as_json = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


@click.command()
@as_json
def watchdog(*, as_json: bool) -> None:
    """Look at the streams, and tell Slack what has begun or ended since the last look.

    Exit code 1 while something is not as it should be.
    """
    from infra.watchdog import watch  # noqa: PLC0415

    seen = watch(load_settings())
    if as_json:
        click.echo(json.dumps(seen.to_json()))
    else:
        for one in seen.jobs:
            click.echo(f"{one.job}: {one.lag:,} unread, last epoch {one.age_s:,.0f} s ago")
        click.echo(f"troubles: {', '.join(seen.open) or 'none'}")
    if seen.open:
        raise click.exceptions.Exit(1)


@click.command()
@run_date_option
@as_json
def maintain(*, run_date: date, as_json: bool) -> None:
    """Compact and clean the lake's tables, and delete what is older than it is to be kept.

    Ages count from the day. Streams may run meanwhile. What may be deleted is said by settings
    (docs/settings.md); archived events are kept unless one says otherwise.
    """
    from infra.maintenance import optimize, retain, vacuum  # noqa: PLC0415

    settings = load_settings()
    compacted, cleaned, retained = optimize(settings), vacuum(settings), retain(settings, run_date)
    if as_json:
        lake = {"optimize": compacted.to_json(), "vacuum": cleaned.to_json()}
        click.echo(json.dumps({**lake, "retention": retained.to_json()}))
        return
    click.echo(f"{sum(compacted.files.values()):,} files became larger ones")
    click.echo(f"{sum(cleaned.files.values()):,} files that no version needs are gone")
    events, rows = sum(retained.events.files.values()), sum(retained.rows.values())
    click.echo(f"{events:,} files of old events and {rows:,} old rows of ops are gone")
    if skipped := (*compacted.skipped, *cleaned.skipped, *retained.events.skipped):
        click.echo(f"left for the next time, as others write there: {', '.join(skipped)}")
