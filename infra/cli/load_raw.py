"""`userflow load-raw`: a day of events, checked, into `raw.events`."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from infra.cli.options import run_date_option
from infra.errors import GateFailed
from infra.settings import load_settings

if TYPE_CHECKING:
    from infra.raw.source import Progress

__all__ = ["load_raw"]


@click.command("load-raw")
@run_date_option
@click.option("--from", "first", type=click.Path(path_type=Path), help="These files instead.")
@click.argument("more", nargs=-1, type=click.Path(path_type=Path), metavar="[FILE]...")
@click.option("--archive", is_flag=True, help="The Delta archive of the streams instead.")
@click.option("--json", "as_json", is_flag=True, help="Print the figures as JSON.")
def load_raw(
    *, run_date: date, first: Path | None, more: tuple[Path, ...], archive: bool, as_json: bool
) -> None:
    """Check a day of events by the seven checks and load it into raw.events.

    Reads landing/DAY/*.jsonl (also .jsonl.gz) in the home. A file's topic is what its name begins
    with, as in user-events-01.jsonl; else it is seen from its first lines. Loading a day again
    replaces it. Events that fail a check are left out and listed; if too many fail (setting
    pass_rate), nothing is loaded and the exit code is 1. The outcome is in ops.quality_log.
    """
    if more and first is None:
        raise click.UsageError("Files are named with --from FILE...")
    if archive and first is not None:
        raise click.UsageError("Either --archive or --from, not both.")
    from infra.raw_load import load_archived  # noqa: PLC0415 - polars and Delta take a second
    from infra.raw_load import load_raw as load  # noqa: PLC0415

    settings, files = load_settings(), (*([] if first is None else [first]), *more)
    try:
        with _progress() as progress:
            if archive:
                done = load_archived(settings, run_date, progress)
            else:
                done = load(settings, run_date, files, progress)
    except GateFailed as error:
        click.echo(_shown(error.figures, as_json=as_json))
        raise
    click.echo(_shown(done.to_json(), as_json=as_json))


@contextmanager
def _progress() -> Iterator[Progress]:
    """A bar for each step, on a terminal only."""
    from rich.console import Console  # noqa: PLC0415
    from rich.progress import Progress  # noqa: PLC0415

    console = Console(stderr=True)
    with Progress(console=console, disable=not console.is_terminal, transient=True) as bars:
        tasks: dict[str, Any] = {}

        def show(step: str, done: int, total: int) -> None:
            if step not in tasks:
                tasks[step] = bars.add_task(step)
            bars.update(tasks[step], completed=done, total=total)

        yield show


def _shown(figures: Mapping[str, Any], *, as_json: bool) -> str:
    if as_json:
        return json.dumps(figures)
    width = max(len(one["check"]) for one in figures["checks"])
    checks = [
        f"{one['check']:{width}}  {one['failed']:>9,} of {one['checked']:>11,} failed"
        for one in figures["checks"]
    ]
    topics = [f"{name}: {count:,} rows" for name, count in figures["topics"].items()]
    seconds = sum(figures["seconds"].values())
    last = (
        f"{figures['loaded']:,} of {figures['events']:,} events of {figures['run_date']} are in "
        f"raw.events, in {seconds:.1f} s ({figures['events'] / seconds:,.0f} events/s)"
    )
    listed = [f"left out: {figures['left_out_file']}"] if figures["failed"] else []
    return "\n".join([*checks, *topics, *listed, last])
