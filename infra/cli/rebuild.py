"""`userflow rebuild`: a job gets a new checkpoint, computed from the archive."""

from __future__ import annotations

import json

import click

from infra.endpoints import Endpoints
from infra.settings import load_settings

__all__ = ["rebuild"]


@click.command()
@click.option("--jobs", default="webtoon,commerce,sources", show_default=True, help="Which jobs.")
@click.option("--master", default="local[2]", show_default=True, help="Spark master.")
@click.option("--json", "as_json", is_flag=True, help="Print the summary as JSON.")
def rebuild(*, jobs: str, master: str, as_json: bool) -> None:
    """Give jobs a new checkpoint: state and rows computed again from the archive, then a switch.

    For code or settings that the old checkpoint does not fit. Streams of these jobs must not run;
    what is served stays until the switch. The next `userflow stream` goes on where they ended.
    """
    from infra.cli.stream import jobs_named  # noqa: PLC0415 - Spark's imports take seconds
    from infra.database import postgres_answers  # noqa: PLC0415
    from infra.rebuild import rebuild as run  # noqa: PLC0415
    from infra.streams import spark_session  # noqa: PLC0415

    chosen = jobs_named(jobs)
    settings = load_settings()
    endpoints = Endpoints.read(settings.home)
    spark = spark_session(settings, master, reads_lake=True)
    try:
        with postgres_answers():
            each = [
                run(
                    job,
                    spark=spark,
                    endpoints=endpoints,
                    settings=settings,
                    say=lambda text: click.echo(text, err=True),
                )
                for job in chosen
            ]
    finally:
        spark.stop()
    done = [one for one in each if one is not None]
    if as_json:
        click.echo(json.dumps([one.to_json() for one in done]))
        return
    for one in done:
        total = sum(one.rows.values())
        click.echo(
            f"{one.job}: generation {one.generation}, {total:,} rows in {one.seconds:.0f} s; "
            "`userflow stream` goes on from where the old checkpoint ended"
        )
