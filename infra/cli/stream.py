"""`userflow stream` and `userflow get`: run the jobs, look at what they wrote."""

from __future__ import annotations

import json
import sys

import click

from infra.endpoints import Endpoints
from infra.errors import UserflowError
from infra.settings import Settings, load_settings
from infra.signals import stopping

__all__ = ["get", "stream"]


@click.command()
@click.option("--jobs", default="webtoon,commerce,sources", show_default=True, help="Which jobs.")
@click.option("--available-now", is_flag=True, help="Process what is there, then end.")
@click.option("--master", default="local[2]", show_default=True, help="Spark master.")
@click.option("--supervise", is_flag=True, help="Start it again when it dies.")
@click.option("--background", is_flag=True, help="Return once it runs; `userflow down` ends it.")
@click.option("--json", "as_json", is_flag=True, help="Print the summary as JSON.")
def stream(
    *,
    jobs: str,
    available_now: bool,
    master: str,
    supervise: bool,
    background: bool,
    as_json: bool,
) -> None:
    """Run streaming jobs: Kafka in, features in PostgreSQL, Redis and Delta.

    Logs one line for each epoch. SIGTERM and Ctrl-C finish the epoch that runs and end; the next
    start goes on where it ended. While Kafka, PostgreSQL or Redis is away it waits.
    """
    settings = load_settings()
    endpoints = Endpoints.read(settings.home)
    chosen = jobs_named(jobs)
    if background:
        from infra.stream_service import StreamService  # noqa: PLC0415

        StreamService(settings).up(jobs)
        return
    if supervise:
        _supervise(settings, jobs, master, available_now=available_now, as_json=as_json)
        return

    from infra.logs import configure_logs  # noqa: PLC0415 - Spark's imports take seconds
    from infra.stream_process import run_stream  # noqa: PLC0415

    configure_logs(settings.log_level)
    summaries = run_stream(chosen, settings, endpoints, master=master, available_now=available_now)
    _print(summaries, as_json=as_json)


def _supervise(
    settings: Settings, jobs: str, master: str, *, available_now: bool, as_json: bool
) -> None:
    """The same command in a process of its own."""
    from infra.logs import configure_logs  # noqa: PLC0415
    from infra.supervise import supervise  # noqa: PLC0415

    configure_logs(settings.log_level)
    options = ["--available-now"] * available_now + ["--json"] * as_json
    command = [sys.executable, "-m", "infra", "stream", "--jobs", jobs, "--master", master]
    with stopping() as stop:
        code = supervise([*command, *options], stop)
    if code:
        raise click.exceptions.Exit(1 if code < 0 else code)


def jobs_named(names: str) -> list:  # type: ignore[type-arg]
    """The jobs of `--jobs`, which are separated by commas."""
    from features.errors import CoreError  # noqa: PLC0415
    from streaming.jobs import job_named  # noqa: PLC0415

    try:
        return [job_named(name.strip()) for name in names.split(",")]
    except CoreError as error:
        raise click.BadParameter(str(error), param_hint="--jobs") from error


def _print(summaries: list[dict[str, object]], *, as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps(summaries))
        return
    for summary in summaries:
        click.echo("  ".join(f"{name}: {value}" for name, value in summary.items()))


@click.command()
@click.argument("view")
@click.argument("id")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def get(*, view: str, id: str, as_json: bool) -> None:  # noqa: A002 - the public name
    """Show the online features of one entity; parts of a composite ID are joined with `|`."""
    from features.errors import CoreError  # noqa: PLC0415
    from features.timestamps import to_iso  # noqa: PLC0415
    from infra.online import degraded_source, read_online  # noqa: PLC0415

    endpoints = Endpoints.read(load_settings().home)
    try:
        found = read_online(endpoints, view, id)
    except CoreError as error:
        raise click.BadParameter(str(error)) from error
    if found is None:
        raise UserflowError(f"{view} has no row for {id!r}.")
    if source := degraded_source(endpoints, view):
        since = to_iso(source.since_us)
        click.echo(f"{view} is degraded since {since}: see `userflow status`.", err=True)
    if as_json:
        click.echo(json.dumps(found, default=str, ensure_ascii=False))
        return
    from rich.console import Console  # noqa: PLC0415
    from rich.table import Table  # noqa: PLC0415

    table = Table("feature", "value", title=f"{view} {id}")
    for name, value in found.items():
        table.add_row(name, "" if value is None else str(value))
    Console().print(table)
