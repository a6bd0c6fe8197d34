"""`userflow repair`: a store that lost something is brought back to what PostgreSQL has."""

from __future__ import annotations

import json

import click

from infra.endpoints import Endpoints
from infra.settings import load_settings

__all__ = ["repair"]


@click.group()
def repair() -> None:
    """Bring a store back to what PostgreSQL has."""


@repair.command()
@click.option("--view", "views", multiple=True, help="Only this view; may be repeated.")
@click.option("--json", "as_json", is_flag=True, help="Print the summary as JSON.")
def redis(*, views: tuple[str, ...], as_json: bool) -> None:
    """Refill Redis from PostgreSQL, as after a loss; streams may run meanwhile.

    Rows keep their version, so that what a stream writes meanwhile wins and a second repair changes
    nothing. Rows that are older than their time to live stay away.
    """
    from infra.repair import repair_redis  # noqa: PLC0415 - not for --help

    chosen = _views(views)
    endpoints = Endpoints.read(load_settings().home)
    done = repair_redis(chosen, endpoints=endpoints, say=lambda text: click.echo(text, err=True))
    if as_json:
        click.echo(json.dumps(done.to_json()))


def _views(names: tuple[str, ...]) -> list[str]:
    from infra.repair import served_views  # noqa: PLC0415

    served = served_views()
    for name in names:
        if name not in served:
            raise click.BadParameter(
                f"{name} is not served by Redis; these are: {', '.join(served)}.",
                param_hint="--view",
            )
    return [*dict.fromkeys(names)] or served
