"""`userflow bench NAME`: the benchmarks, each in a home and with services of its own."""

from __future__ import annotations

import json
import os
import platform
import tempfile
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import click

from infra.settings import load_settings

__all__ = ["bench"]


@click.group()
def bench() -> None:
    """Measure. Each benchmark starts what it needs in a temporary home and removes it."""


def _options(command: Callable[..., None]) -> Callable[..., None]:
    for option in (
        click.option("--json", "as_json", is_flag=True, help="Print the figures as JSON."),
        click.option("--master", default="local[2]", show_default=True, help="Spark master."),
        click.option(
            "--events", default=3_500_000, show_default=True, type=click.IntRange(min=1000)
        ),
    ):
        command = option(command)
    return command


@bench.command()
@_options
def sessions(*, events: int, master: str, as_json: bool) -> None:
    """Events/s of the webtoon session job, to a no-op sink and to all stores."""
    _throughput("sessions", events, master, as_json=as_json)


@bench.command()
@_options
def catalogue(*, events: int, master: str, as_json: bool) -> None:
    """Events/s of the commerce job with all its windows, to a no-op sink and to all stores."""
    _throughput("catalogue", events, master, as_json=as_json)


def _throughput(name: str, events: int, master: str, *, as_json: bool) -> None:
    from benchmarks.throughput import SUBJECTS, measure  # noqa: PLC0415 - Spark takes seconds
    from infra.initialise import initialise  # noqa: PLC0415
    from infra.logs import configure_logs  # noqa: PLC0415
    from infra.stack.stack import Stack  # noqa: PLC0415
    from infra.streams import spark_session  # noqa: PLC0415

    configure_logs("WARNING")
    with tempfile.TemporaryDirectory(prefix="userflow-bench-") as folder:
        settings = load_settings().model_copy(
            update={"home": Path(folder) / "home", "lake": "", "checkpoints": ""}
        )
        services = Stack(settings)
        try:
            endpoints = services.up()
            initialise(endpoints, settings, services.credentials)
            spark = spark_session(settings, master)
            try:
                figures = measure(
                    SUBJECTS[name],
                    events,
                    spark=spark,
                    endpoints=endpoints,
                    settings=settings,
                    say=lambda text: click.echo(text, err=True),
                )
            finally:
                spark.stop()
        finally:
            services.down()
    if as_json:
        click.echo(json.dumps([{**asdict(one), "overall": one.overall} for one in figures]))
        return
    click.echo(f"{os.cpu_count()} cores, Python {platform.python_version()}, Spark {master}")
    for figure in figures:
        click.echo(
            f"{figure.path:24} {figure.steady:>10,.0f} events/s steady"
            f" {figure.overall:>10,.0f} overall ({figure.events:,} events, {figure.epochs} epochs,"
            f" {figure.rows:,} changed rows; the host took {figure.stolen:.0%} of the CPU time)"
        )
        spent = ", ".join(f"{stage} {seconds:.1f}" for stage, seconds in figure.stages.items())
        click.echo(f"{'seconds spent':>24} {spent}")
