"""`userflow backfill`: the feature log of past days, computed again from the archive."""

from __future__ import annotations

import json
from datetime import datetime

import click

from infra.endpoints import Endpoints
from infra.settings import load_settings

__all__ = ["backfill"]

DAY = click.DateTime(["%Y-%m-%d"])
MINUTES_A_DAY = 24 * 60


@click.command()
@click.option("--from", "first", type=DAY, required=True, help="First day, UTC.")
@click.option("--to", "last", type=DAY, required=True, help="Last day, inclusive.")
@click.option("--view", "views", multiple=True, help="Only this view; may be repeated.")
@click.option(
    "--slice-minutes",
    type=click.IntRange(min=1, max=MINUTES_A_DAY),
    default=60,
    show_default=True,
    help="How often a row may change; must divide the day.",
)
@click.option("--master", default="local[2]", show_default=True, help="Spark master.")
@click.option("--json", "as_json", is_flag=True, help="Print the summary as JSON.")
def backfill(
    *,
    first: datetime,
    last: datetime,
    views: tuple[str, ...],
    slice_minutes: int,
    master: str,
    as_json: bool,
) -> None:
    """Recompute feature views from the archived events, as the stream would have kept them.

    Writes generation 0 of the Delta log features/VIEW, in place of what an earlier backfill of the
    same days wrote there. What was served stays, and the online stores are not touched.
    """
    if first > last:
        raise click.BadParameter("The first day is after the last.", param_hint="--from")
    if MINUTES_A_DAY % slice_minutes:
        raise click.BadParameter(
            f"{slice_minutes} minutes do not divide the day.", param_hint="--slice-minutes"
        )
    chosen = _views(views)
    settings = load_settings()
    endpoints = Endpoints.read(settings.home)

    from infra.backfill import Days, require_events  # noqa: PLC0415 - Spark's imports take seconds
    from infra.backfill import backfill as run  # noqa: PLC0415
    from infra.streams import spark_session  # noqa: PLC0415

    days = Days(first=first.date(), last=last.date(), slice_minutes=slice_minutes)
    require_events(chosen, days, endpoints.lake)
    spark = spark_session(settings, master, reads_lake=True)
    try:
        done = run(
            chosen,
            days,
            spark=spark,
            endpoints=endpoints,
            settings=settings,
            say=lambda text: click.echo(text, err=True),
        )
    finally:
        spark.stop()
    if as_json:
        click.echo(json.dumps(done.to_json()))
        return
    total = sum(done.rows.values())
    click.echo(
        f"{done.events:,} events read, {total:,} rows written to {len(done.rows)} views "
        f"in {done.seconds:.0f} s"
    )


def _views(names: tuple[str, ...]) -> list[str]:
    from features.errors import UnknownName  # noqa: PLC0415
    from features.views import VIEWS, view_named  # noqa: PLC0415

    try:
        return [view_named(name).name for name in dict.fromkeys(names)] or [*VIEWS]
    except UnknownName as error:
        raise click.BadParameter(str(error), param_hint="--view") from error
