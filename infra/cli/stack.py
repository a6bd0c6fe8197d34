"""`userflow up`, `down`, `status` and `init`."""

from __future__ import annotations

import json
from typing import Any

import click
from rich.console import Console
from rich.table import Table

from infra.endpoints import ENDPOINTS_FILE, Endpoints
from infra.settings import Settings, load_settings
from infra.stack.stack import Health, Stack

__all__ = ["down", "init", "status", "up"]

as_json = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


@click.command()
@as_json
def up(*, as_json: bool) -> None:
    """Start the embedded services and return when all three answer.

    Restarts what died, and writes the endpoints file.
    """
    stack = Stack(load_settings())
    with Console(stderr=True).status("Starting Kafka, PostgreSQL and Redis …"):
        stack.up()
    _show(stack.status(), as_json=as_json)


@click.command()
def down() -> None:
    """Stop the embedded services; the data stays."""
    Stack(load_settings()).down()


@click.command()
@as_json
def status(*, as_json: bool) -> None:
    """Show what runs and where, and whose data is degraded.

    Exit code 1 if something does not answer.
    """
    from infra.status import read_sections  # noqa: PLC0415 - `up` should not wait for it

    settings = load_settings()
    health = Stack(settings).status()
    streams = _streams(settings)
    sections = read_sections(_postgres(settings) if health["postgres"].running else None)
    if as_json:
        services = {name: one.to_json() for name, one in health.items()}
        told = {name: section.document for name, section in sections.items()}
        click.echo(json.dumps({**services, **streams, **told}, default=str))
    else:
        _show(health, as_json=False)
        _show_streams(**streams)
        for name, section in sections.items():
            click.echo("\n".join([name, *(f"  {line}" for line in section.lines)]))
    if not all(one.running for one in health.values()):
        raise click.exceptions.Exit(1)


@click.command()
@as_json
def init(*, as_json: bool) -> None:
    """Create topics, schemas, tables and roles; safe to run again.

    The first time this also starts Spark, to register the lake's tables in the Hive metastore.
    """
    from infra.initialise import initialise  # noqa: PLC0415 - `status` should not wait for it

    settings = load_settings()
    endpoints = Endpoints.read(settings.home)
    report = initialise(endpoints, settings, Stack(settings).credentials)
    with Console(stderr=True).status("Registering the lake's tables …"):
        from infra.catalog import DATABASE, register  # noqa: PLC0415

        registered = register(settings, endpoints)
    if as_json:
        click.echo(json.dumps({**report.to_json(), "tables_registered": registered}))
        return
    for line in report.lines():
        click.echo(line)
    click.echo(f"catalog: {len(registered)} tables registered in {DATABASE}")


def _postgres(settings: Settings) -> str:
    return settings.postgres or Endpoints.read(settings.home).postgres


def _show(health: dict[str, Health], *, as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps({name: one.to_json() for name, one in health.items()}))
        return
    table = Table("service", "state", "address", "pid")
    for name, one in health.items():
        state = "[green]answers[/]" if one.running else "[red]does not answer[/]"
        pid = "external" if one.external else str(one.pid or "-")
        table.add_row(name, state, one.address or "-", pid)
    Console().print(table)


def _streams(settings: Settings) -> dict[str, list[dict[str, Any]]]:
    """The streaming processes of this home, and the last epoch of each job in its database."""
    from infra.stream_status import last_epochs, living_streams  # noqa: PLC0415

    if not (settings.home / ENDPOINTS_FILE).exists():
        return {"streams": [], "epochs": []}
    url = Endpoints.read(settings.home).postgres
    return {"streams": living_streams(settings.home), "epochs": last_epochs(url)}


def _show_streams(*, streams: list[dict[str, Any]], epochs: list[dict[str, Any]]) -> None:
    for one in streams:
        click.echo(f"stream of {', '.join(one['jobs'])}: process {one['pid']} since {one['since']}")
        for service, away in one["waits_for"].items():
            click.echo(f"  waits for {service} since {away['since']}: {away['reason']}")
        for job, count in one["restarts"].items():
            click.echo(f"  query {job} was started again {count} times")
    if not epochs:
        return
    table = Table("job", "last epoch", "committed", "watermark", "events", "rows", "rejected")
    for last in epochs:
        age = f"{last['age_s']:,.1f} s ago"
        counts = [f"{last[name]:,}" for name in ("rows_in", "rows_out", "rejected")]
        watermark = str(last["watermark"] or "-")
        table.add_row(last["job"], str(last["epoch"]), age, watermark, *counts)
    Console().print(table)
