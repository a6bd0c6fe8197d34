"""`userflow airflow up`, `trigger` and `down`."""

from __future__ import annotations

import json
from datetime import datetime

import click
from rich.console import Console
from rich.table import Table

from infra.airflow_stack import AirflowStack, Run
from infra.errors import ServiceError
from infra.settings import load_settings

__all__ = ["airflow"]

COLOURS = {"success": "green", "failed": "red", "upstream_failed": "red", "running": "cyan"}


@click.group()
def airflow() -> None:
    """A standalone Airflow on the embedded stack: start it, run a DAG, stop it."""


@airflow.command()
@click.option("--port", type=click.IntRange(1, 65535), help="Of the UI; a free one by default.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def up(*, port: int | None, as_json: bool) -> None:
    """Start Airflow and return when it has read every DAG.

    Needs `userflow up` and `userflow init`. The DAGs are switched on: they run when it is their
    time, and never for what was before.
    """
    stack = AirflowStack(load_settings())
    with Console(stderr=True).status("Starting Airflow …") as status:
        stack.up(port, lambda text: status.update(f"{text} …"))
    if as_json:
        parts = {name: one.to_json() for name, one in stack.status().items()}
        click.echo(json.dumps({"url": stack.url, "parts": parts}))
        return
    click.echo(f"Airflow: {stack.url}, user admin; the password is in {stack.password_file}")


@airflow.command()
@click.argument("dag")
@click.option("--date", "at", type=click.DateTime(["%Y-%m-%d"]), help="The run date, a UTC day.")
@click.option("--wait/--no-wait", default=True, show_default=True, help="Until the run has ended.")
@click.option("--json", "as_json", is_flag=True, help="Print the run and its tasks as JSON.")
def trigger(*, dag: str, at: datetime | None, wait: bool, as_json: bool) -> None:
    """Run a DAG for a day, the day before by default, and show how its tasks ended.

    Exit code 1 if the run failed.
    """
    stack = AirflowStack(load_settings())
    console = Console(stderr=True)
    with stack.api() as api, console.status(f"{dag} …") as status:

        def look(run: Run) -> None:
            if stack.scheduler_pid() is None:
                raise ServiceError(
                    f"Airflow's scheduler has died, so run {run.run_id} cannot end: run "
                    "`userflow airflow up`."
                )
            status.update(f"{dag}: {_running(run)} …")

        run = api.trigger(dag, at.date() if at else None)
        if wait:
            run = api.wait(run, look)
    _show(run, as_json=as_json)
    if run.state == "failed":
        raise click.exceptions.Exit(1)


@airflow.command()
def down() -> None:
    """Stop Airflow; the history of its runs stays."""
    AirflowStack(load_settings()).down()


def _running(run: Run) -> str:
    return ", ".join(one.task for one in run.tasks if one.state == "running") or run.state


def _show(run: Run, *, as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps(run.to_json()))
        return
    click.echo(f"{run.dag} {run.run_id}: {run.state}")
    if run.tasks:
        table = Table("task", "state", "seconds")
        for one in run.tasks:
            colour = COLOURS.get(one.state or "", "dim")
            seconds = "-" if one.seconds is None else f"{one.seconds:.1f}"
            table.add_row(one.task, f"[{colour}]{one.state or 'none'}[/]", seconds)
        Console().print(table)
