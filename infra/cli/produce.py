"""`userflow produce` and `userflow send`: simulated or recorded events to a sink."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from features.contract import Contract
from infra.cli.contracts import ContractName
from infra.cli.options import options
from infra.endpoints import Endpoints
from infra.errors import UserflowError
from infra.settings import load_settings
from infra.signals import stopping
from producer.bad import carried_by
from producer.errors import ProducerError
from producer.recorded import at_rate, recorded
from producer.run import Batches, Pace, Summary, paced, run, unpaced
from producer.simulate import DOMAINS, Simulation, simulate
from producer.sinks.kafka import CLIENTS
from producer.sinks.port import Sink
from producer.times import MS_US, SECOND_US, parse_iso_us

__all__ = ["produce", "send"]

# Files get a fixed first day, so that the same seed gives the same file.
FILE_START_US = 1_767_225_600 * SECOND_US  # 2026-01-01T00:00:00Z
NOW = "now"

Share = click.FloatRange(0, 1, max_open=True)
Positive = click.FloatRange(0, min_open=True)


@dataclass(frozen=True, slots=True)
class Target:
    """`kafka`, `http`, or `jsonl` with a path."""

    kind: str
    path: str = ""


class TargetName(click.ParamType[Target]):
    """The value of --to."""

    name = "kafka|http|jsonl:PATH"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> Target:
        """Split the path off."""
        if isinstance(value, Target):
            return value
        kind, _, path = str(value).partition(":")
        if value in ("kafka", "http") or (kind == "jsonl" and path):
            return Target(kind, path)
        return self.fail(f"{value!r} is none of kafka, http, jsonl:PATH.", param, ctx)


class StartTime(click.ParamType[int]):
    """The value of --start in microseconds, the past for None: ISO-8601 or `now`."""

    name = "time"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Parse it; no offset means UTC."""
        if value == NOW or isinstance(value, int):
            return value
        try:
            return parse_iso_us(value) // MS_US * MS_US
        except ValueError:
            self.fail(f"{value!r} is neither `now` nor an ISO-8601 time.", param, ctx)


sending = options(
    click.option("--to", "target", type=TargetName(), default="kafka", show_default=True),
    click.option(
        "--client",
        type=click.Choice([*CLIENTS]),
        default="confluent",
        show_default=True,
        help="The Kafka client: the quick one or the simple one.",
    ),
    click.option("--json", "as_json", is_flag=True, help="Print the summary as JSON."),
)
shares = options(
    click.option("--bad-rate", type=Share, default=0.0, help="Share that breaks its contract."),
    click.option("--late-rate", type=Share, default=0.0, help="Share that is 2 to 3 hours old."),
    click.option("--duplicate-rate", type=Share, default=0.0, help="Share sent a second time."),
    click.option("--disorder-rate", type=Share, default=0.0, help="Share sent up to 8 s late."),
)


@click.command()
@click.option("--domain", type=click.Choice([*DOMAINS]), required=True)
@click.option("--rate", type=Positive, default=1000.0, show_default=True, help="Events a second.")
@click.option("--duration", type=Positive, default=60.0, show_default=True, help="Seconds.")
@click.option("--users", type=click.IntRange(1), default=10_000, show_default=True)
@click.option("--seed", type=int, default=1, show_default=True)
@shares
@click.option(
    "--start",
    type=StartTime(),
    help="Event time of the first event, ISO-8601 or `now`.  [default: now; for jsonl "
    "2026-01-01T00:00:00Z, so that the same seed gives the same file]",
)
@click.option(
    "--no-pace",
    is_flag=True,
    help="To kafka or http as fast as they take it; `now` is then when the run ends.",
)
@sending
def produce(
    *, target: Target, client: str, start: Any, no_pace: bool, as_json: bool, **given: Any
) -> None:
    """Simulate users and send their events.

    RATE times DURATION is the number of all events sent: bad, late and duplicate ones are shares of
    it. The same options with the same --start give the same events, byte for byte. --to jsonl:PATH
    writes one file, jsonl:- the standard output; for --domain sources PATH is a directory that gets
    a file per topic. Ctrl-C stops early, with the summary.
    """
    noise = sum(given[name] for name in ("bad_rate", "late_rate", "duplicate_rate"))
    if noise > 1:
        raise click.UsageError("The bad, late and duplicate rates sum to more than 1.")
    is_live = target.kind != "jsonl" and not no_pace
    simulation = Simulation(
        **given,
        start_us=start_time(start, target, given["duration"], is_live=is_live),
        replayed=not is_live or start not in (None, NOW),
        bad_kinds=carried_by(target.kind),
    )
    records = simulate(simulation)
    with stopping() as stopped:
        pace = Pace(simulation.start_us, time.monotonic, stopped.wait)
        batches = paced(records, pace) if is_live else unpaced(records)
        summary = deliver(
            batches, lambda: open_sink(target, client, given["domain"]), stopped, simulation.count
        )
    show(summary, target, as_json=as_json)


@click.command()
@click.option("--topic", "contract", type=ContractName(), required=True, help="Topic or contract.")
@click.option("--rate", type=Positive, help="Events a second.  [default: as fast as possible]")
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path, dir_okay=False))
@sending
def send(
    *,
    contract: Contract,
    rate: float | None,
    files: tuple[Path, ...],
    target: Target,
    client: str,
    as_json: bool,
) -> None:
    """Send recorded events: .jsonl, .csv (also .gz) or .parquet FILES.

    JSON lines go as they are. Rows become objects named by their columns, empty cells left out; the
    names of the public e-commerce data sets are understood (event_time, event_type, product_id,
    category_id, category_code, brand, price, user_id, user_session). Each record carries its event
    time as the header `received_at`, so that old data is not too old.
    """
    records = recorded(contract, files)
    with stopping() as stopped:
        pace = Pace(0, time.monotonic, stopped.wait)
        batches = paced(at_rate(records, rate), pace) if rate else unpaced(records)
        summary = deliver(batches, lambda: open_sink(target, client), stopped, None)
    show(summary, target, as_json=as_json)


def start_time(start: Any, target: Target, duration: float, *, is_live: bool) -> int:
    """When the first event happens, by the defaults that the help states."""
    if start is None and target.kind == "jsonl":
        return FILE_START_US
    if start not in (None, NOW):
        return int(start)
    began_us = time.time_ns() // 1000 - (0 if is_live else int(duration * SECOND_US))
    return began_us // MS_US * MS_US


def open_sink(target: Target, client: str, domain: str = "") -> Sink:
    """The real adapter; reads the endpoints only when they are needed."""
    if target.kind == "jsonl":
        return open_files(target.path, domain)
    endpoints = Endpoints.read(load_settings().home)
    if target.kind == "kafka":
        sink: Sink = CLIENTS[client](endpoints.kafka)
        return sink
    from producer.sinks.http import HttpSink  # noqa: PLC0415 - only who calls the API loads httpx

    if not endpoints.api or not endpoints.api_key:
        raise UserflowError("The endpoints name no API: run `userflow serve` first.")
    return HttpSink(endpoints.api, endpoints.api_key)


def open_files(path: str, domain: str) -> Sink:
    """One file, or a directory where a domain has several topics."""
    from producer.sinks.jsonl import JsonlSink, TopicFilesSink  # noqa: PLC0415

    several = domain == "sources" and path != "-"
    return TopicFilesSink(path) if several else JsonlSink(path)


def deliver(
    batches: Batches, open_: Callable[[], Sink], stopped: threading.Event, total: int | None
) -> Summary:
    """Run with a progress bar, on a terminal only; the errors of the producer become ours."""
    console = Console(stderr=True)
    columns = (TextColumn("sending"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    try:
        with Progress(
            *columns, console=console, disable=not console.is_terminal, transient=True
        ) as bar:
            task = bar.add_task("sending", total=total)
            return run(
                batches, open_(), stopped=stopped, progress=lambda sent: bar.advance(task, sent)
            )
    except ProducerError as error:
        raise UserflowError(str(error)) from error


def show(summary: Summary, target: Target, *, as_json: bool) -> None:
    """Print the summary, beside the events when these are on the standard output."""
    text = json.dumps(summary.to_json()) if as_json else summary.line()
    click.echo(text, err=target == Target("jsonl", "-"))
