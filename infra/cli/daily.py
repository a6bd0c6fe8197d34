"""`userflow daily`: the Spark jobs of a day, from what was loaded."""

from __future__ import annotations

import json
from datetime import date

import click

from infra.cli.options import run_date_option
from infra.settings import load_settings

__all__ = ["daily"]


@click.command()
@click.argument("jobs", nargs=-1)
@run_date_option
@click.option("--master", default="local[2]", show_default=True, help="Spark master.")
@click.option("--list", "lists", is_flag=True, help="Show the jobs and what they write.")
@click.option("--json", "as_json", is_flag=True, help="Print the figures as JSON.")
def daily(
    *, jobs: tuple[str, ...], run_date: date, master: str, lists: bool, as_json: bool
) -> None:
    """Compute the batch tables of a day: JOBS by name, else all of them.

    Each table below batch/ has a partition for each day that was computed; a repeat replaces it.
    """
    from infra.daily_jobs import run_daily_jobs  # noqa: PLC0415 - not for --help
    from streaming.batch.daily import DAILY_JOBS  # noqa: PLC0415

    if lists:
        for job in DAILY_JOBS.values():
            click.echo(f"{job.name}: {job.doc} Writes {', '.join(job.tables)}.")
        return
    if unknown := set(jobs) - DAILY_JOBS.keys():
        raise click.BadParameter(
            f"{', '.join(sorted(unknown))}: the jobs are {', '.join(DAILY_JOBS)}.",
            param_hint="JOBS",
        )
    done = run_daily_jobs(load_settings(), list(jobs or DAILY_JOBS), run_date, master=master)
    if as_json:
        click.echo(json.dumps([one.to_json() for one in done]))
        return
    for one in done:
        rows = ", ".join(f"{name} {count:,}" for name, count in one.rows.items())
        click.echo(f"{one.name} of {one.run_date}: {rows} rows in {one.seconds:.1f} s")
