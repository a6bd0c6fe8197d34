"""`userflow bench NAME`: the benchmarks, each in a home and with services of its own."""

from __future__ import annotations

import json
import os
import platform
import tempfile
from pathlib import Path

import click

from infra.settings import load_settings

__all__ = ["bench"]


@click.group()
def bench() -> None:
    """Measure. Each benchmark starts what it needs in a temporary home and removes it."""


@bench.command()
@click.option("--events", default=2_000_000, show_default=True, type=click.IntRange(min=1000))
@click.option("--master", default="local[2]", show_default=True, help="Spark master.")
@click.option("--json", "as_json", is_flag=True, help="Print the figures as JSON.")
def sessions(*, events: int, master: str, as_json: bool) -> None:
    """Events/s of the webtoon session job, to a no-op sink and to all stores."""
    from benchmarks.sessions import bench_sessions  # noqa: PLC0415 - Spark's imports take seconds
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
                figures = bench_sessions(
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
        click.echo(json.dumps([{**_row(figure)} for figure in figures]))
        return
    click.echo(f"{os.cpu_count()} cores, Python {platform.python_version()}, Spark {master}")
    for figure in figures:
        click.echo(
            f"{figure.path:24} {figure.steady:>10,.0f} events/s steady"
            f" {figure.overall:>10,.0f} overall ({figure.events:,} events, {figure.epochs} epochs;"
            f" the host took {figure.stolen:.0%} of the CPU time)"
        )


def _row(figure: object) -> dict[str, object]:
    names = ("path", "events", "epochs", "seconds", "steady", "overall", "stolen")
    return {name: getattr(figure, name) for name in names}
