"""`userflow demo`."""

from __future__ import annotations

import click

__all__ = ["demo"]


@click.command()
@click.option(
    "--seconds",
    type=click.IntRange(min=5, max=3600),
    default=60,
    show_default=True,
    help="How long users are simulated.",
)
@click.option("--keep", is_flag=True, help="Leave the services running.")
@click.option("--json", "as_json", is_flag=True, help="Print the summary as JSON.")
@click.pass_context
def demo(context: click.Context, *, seconds: int, keep: bool, as_json: bool) -> None:
    """Run the whole pipeline on simulated input, and show what came out.

    Exit code 0 only if all stores agree with what was produced.
    """
    from infra.demo import run_demo  # noqa: PLC0415 - Spark and all: only when it is run

    context.exit(run_demo(seconds=seconds, keep=keep, as_json=as_json))
