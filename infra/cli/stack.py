"""`userflow up`, `down`, `status` and `init`."""

from __future__ import annotations

import json

import click

from infra.endpoints import Endpoints
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
    from rich.console import Console  # noqa: PLC0415 - `status` counts its milliseconds

    stack = Stack(load_settings())
    with Console(stderr=True).status("Starting Kafka, PostgreSQL and Redis …"):
        stack.up()
    _show(stack.status(), as_json=as_json)


@click.command()
def down() -> None:
    """Stop the embedded services, and first what uses them: API, dashboard, stream, Airflow.

    The data stays.
    """
    from infra.airflow_stack import AirflowStack  # noqa: PLC0415
    from infra.stream_service import StreamService  # noqa: PLC0415
    from infra.web_service import web_services  # noqa: PLC0415

    settings = load_settings()
    for service in web_services(settings):
        service.down()
    StreamService(settings).down()
    AirflowStack(settings).down()
    Stack(settings).down()


@click.command()
@as_json
def status(*, as_json: bool) -> None:
    """Show what runs and where, what streams do and wait for, and whose data is degraded.

    Exit code 1 if something does not answer.
    """
    from infra.status import read_sections  # noqa: PLC0415 - `up` should not wait for it
    from infra.stream_status import living_streams, stream_lines  # noqa: PLC0415

    settings = load_settings()
    health = Stack(settings).status()
    airflow = _airflow(settings)
    web = _web(settings)
    streams = living_streams(settings.home)
    sections = read_sections(_postgres(settings) if health["postgres"].running else None)
    if as_json:
        services = {name: one.to_json() for name, one in health.items()}
        parts = {name: one.to_json() for name, one in airflow.items()}
        told = {name: section.document for name, section in sections.items()}
        web_parts = {name: one.to_json() for name, one in web.items()}
        known = {**services, **web_parts, "streams": streams, "airflow": parts, **told}
        click.echo(json.dumps(known, default=str))
    else:
        named = {f"airflow {part}": one for part, one in airflow.items()}
        _show({**health, **web, **named}, as_json=False)
        for line in stream_lines(streams):
            click.echo(line)
        for name, section in sections.items():
            click.echo("\n".join([name, *(f"  {line}" for line in section.lines)]))
    if not all(one.running for one in (*health.values(), *web.values(), *airflow.values())):
        raise click.exceptions.Exit(1)


@click.command()
@as_json
def init(*, as_json: bool) -> None:
    """Create topics, schemas, tables and roles; safe to run again.

    The first time this also starts Spark, to register the lake's tables in the Hive metastore.
    """
    from rich.console import Console  # noqa: PLC0415 - `status` should not wait for it

    from infra.initialise import initialise  # noqa: PLC0415

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


def _airflow(settings: Settings) -> dict[str, Health]:
    """Its parts that run; most homes never had one."""
    if not (settings.home / "airflow").exists():
        return {}
    from infra.airflow_stack import AirflowStack  # noqa: PLC0415

    return AirflowStack(settings).status()


def _web(settings: Settings) -> dict[str, Health]:
    """API and dashboard, where they run in the background."""
    from infra.web_service import web_services  # noqa: PLC0415

    return {name: one for each in web_services(settings) for name, one in each.status().items()}


def _show(health: dict[str, Health], *, as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps({name: one.to_json() for name, one in health.items()}))
        return
    from rich.console import Console  # noqa: PLC0415
    from rich.table import Table  # noqa: PLC0415

    table = Table("service", "state", "address", "pid")
    for name, one in health.items():
        state = "[green]answers[/]" if one.running else "[red]does not answer[/]"
        pid = "external" if one.external else str(one.pid or "-")
        table.add_row(name, state, one.address or "-", pid)
    Console().print(table)
