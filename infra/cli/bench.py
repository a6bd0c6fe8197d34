"""`userflow bench NAME`: the benchmarks, each in a home and with services of its own."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import click

__all__ = ["bench"]

JOBS = ("webtoon", "commerce")
PEERS = ("flink", "flink-once", "pandas")


@click.group()
def bench() -> None:
    """Measure. Each benchmark starts what it needs in a temporary home and removes it."""


as_json_option = click.option("--json", "as_json", is_flag=True, help="Print the figures as JSON.")
master_option = click.option(
    "--master", default="local[2]", show_default=True, help="Spark master."
)
job_option = click.option("--job", type=click.Choice(JOBS), default="webtoon", show_default=True)


def events_option(default: int) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """How long the log is."""
    return click.option(
        "--events", default=default, show_default=True, type=click.IntRange(min=1000)
    )


@bench.command()
@events_option(3_500_000)
@click.option(
    "--peer",
    "peers",
    multiple=True,
    type=click.Choice(PEERS),
    default=PEERS,
    show_default=True,
    help="What else to measure on the same log; may be repeated.",
)
@click.option("--no-peers", is_flag=True, help="The job alone.")
@master_option
@as_json_option
def sessions(
    *, events: int, peers: tuple[str, ...], no_peers: bool, master: str, as_json: bool
) -> None:
    """Events/s of the webtoon session job and its peers.

    To a no-op sink and to all stores. The peers are Flink SQL, which is installed at the first run,
    without and with copies of an event recognised, and Spark's applyInPandasWithState with one call
    for each session.
    """
    _throughput("sessions", events, () if no_peers else peers, master, as_json=as_json)


@bench.command()
@events_option(3_500_000)
@master_option
@as_json_option
def catalogue(*, events: int, master: str, as_json: bool) -> None:
    """Events/s of the commerce job with all its windows, to a no-op sink and to all stores."""
    _throughput("catalogue", events, (), master, as_json=as_json)


@bench.command()
@job_option
@click.option(
    "--rate",
    "rates",
    multiple=True,
    type=click.FloatRange(min=1),
    default=(1000.0, 5000.0),
    show_default=True,
    help="Events/s; may be repeated.",
)
@click.option("--seconds", default=60.0, show_default=True, type=click.FloatRange(min=1))
@master_option
@as_json_option
def freshness(
    *, job: str, rates: tuple[float, ...], seconds: float, master: str, as_json: bool
) -> None:
    """Milliseconds from an event's due time until Redis shows it, with all stores."""
    from benchmarks import report  # noqa: PLC0415
    from benchmarks.freshness import measure  # noqa: PLC0415
    from benchmarks.machine import conditions  # noqa: PLC0415

    figures = measure(job, rates, seconds, master=master, say=_say)
    given = conditions(job=job, master=master)
    click.echo(report.freshness(figures, given, as_json=as_json))


@bench.command("state-growth")
@job_option
@click.option(
    "--keys",
    multiple=True,
    type=click.IntRange(min=1),
    default=(10_000, 100_000, 1_000_000),
    show_default=True,
    help="Keys that live and stay idle; may be repeated.",
)
@events_option(600_000)
@master_option
@as_json_option
def state_growth(
    *, job: str, keys: tuple[int, ...], events: int, master: str, as_json: bool
) -> None:
    """Events/s of the same log while ever more keys live."""
    from benchmarks import report  # noqa: PLC0415
    from benchmarks.machine import conditions  # noqa: PLC0415
    from benchmarks.state_growth import measure  # noqa: PLC0415

    figures = measure(job, keys, events, master=master, say=_say)
    given = conditions(job=job, events=events, master=master)
    click.echo(report.state_growth(figures, given, as_json=as_json))


@bench.command()
@events_option(1_000_000)
@as_json_option
def batch(*, events: int, as_json: bool) -> None:
    """Seconds that a day of shopping events takes: read, checked by the seven, written, and built
    into the four marts.
    """
    from benchmarks import report  # noqa: PLC0415
    from benchmarks.batch import measure  # noqa: PLC0415
    from benchmarks.machine import conditions  # noqa: PLC0415

    figure = measure(events, say=_say)
    click.echo(report.batch(figure, conditions(), as_json=as_json))


@bench.command()
@click.option("--kills", default=50, show_default=True, type=click.IntRange(1, 200))
@click.option("--seed", default=1, show_default=True, help="Says what is killed, and when.")
@click.option(
    "--minutes",
    default=60.0,
    show_default=True,
    type=click.FloatRange(min=1),
    help="Kill nothing after so long, and judge what there is.",
)
@click.option(
    "--write",
    "page",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Also put the tables into this page, between its marks.",
)
@master_option
@as_json_option
def chaos(
    *, kills: int, seed: int, minutes: float, page: Path | None, master: str, as_json: bool
) -> None:
    """Kill the driver, workers, Kafka, PostgreSQL and Redis under load, and compare all stores.

    Exit code 1 if anything was lost, duplicated or different, or a recovery took over 30 s. Needs a
    checkout of the repository: what is right is decided by the naive oracle of its tests.
    """
    from benchmarks.chaos import report  # noqa: PLC0415
    from benchmarks.chaos.campaign import run_campaign  # noqa: PLC0415
    from benchmarks.machine import conditions  # noqa: PLC0415

    campaign = run_campaign(kills, seed, master=master, say=_say, within_s=minutes * 60)
    given = conditions(seed=seed, master=master)
    if page is not None:
        command = f"userflow bench chaos --kills {kills} --seed {seed}"
        report.put_between_marks(page, report.markdown(campaign, given, command))
    click.echo(report.text(campaign, given, as_json=as_json))
    if not campaign.is_right:
        click.get_current_context().exit(1)


@bench.command()
@click.option("--entities", default=100_000, show_default=True, type=click.IntRange(min=100))
@click.option(
    "--seconds",
    default=10.0,
    show_default=True,
    type=click.FloatRange(min=0.1, max=120),
    help="For each path and number of entities, once over one connection and once over 16.",
)
@click.option("--no-peers", is_flag=True, help="Ours alone.")
@click.option("--with-stream", is_flag=True, help="Ours alone, while a stream writes.")
@as_json_option
def serving(
    *, entities: int, seconds: float, no_peers: bool, with_stream: bool, as_json: bool
) -> None:
    """Milliseconds and requests/s of the HTTP API for 1, 100 and 500 entities with 12 features.

    Beside it Feast's own server, which is installed at the first run, over the same Redis.
    """
    from benchmarks import serving_report  # noqa: PLC0415
    from benchmarks.machine import conditions  # noqa: PLC0415
    from benchmarks.serving import CONNECTIONS, measure  # noqa: PLC0415

    peer = not (no_peers or with_stream)
    figures = measure(
        entities=entities, seconds=seconds, peer=peer, with_stream=with_stream, say=_say
    )
    given = conditions(entities=entities, connections=CONNECTIONS, stream=with_stream)
    click.echo(serving_report.text(figures, given, as_json=as_json))


@bench.command()
@click.option("--labels", default=1_000_000, show_default=True, type=click.IntRange(min=100))
@click.option("--log-rows", default=10_000_000, show_default=True, type=click.IntRange(min=1000))
@click.option(
    "--rows-each",
    default=20,
    show_default=True,
    type=click.IntRange(1, 1000),
    help="Rows of the log for each reader.",
)
@click.option(
    "--runs", default=3, show_default=True, type=click.IntRange(1, 20), help="Of each, in turn."
)
@click.option("--no-peers", is_flag=True, help="Ours alone.")
@as_json_option
def pit(
    *, labels: int, log_rows: int, rows_each: int, runs: int, no_peers: bool, as_json: bool
) -> None:
    """Labels/s of a training set with six features of one view.

    Beside it Feast on its DuckDB offline store, which is installed at the first run, on the same
    files; its values are compared with ours.
    """
    from benchmarks import pit_report  # noqa: PLC0415
    from benchmarks.machine import conditions  # noqa: PLC0415
    from benchmarks.pit import measure  # noqa: PLC0415

    found = measure(
        labels=labels,
        rows=log_rows,
        rows_each=rows_each,
        runs=runs,
        peer=not no_peers,
        say=_say,
    )
    click.echo(pit_report.text(found, conditions(runs=runs), as_json=as_json))


def _throughput(
    name: str, events: int, peers: tuple[str, ...], master: str, *, as_json: bool
) -> None:
    from benchmarks import report  # noqa: PLC0415 - Spark takes seconds
    from benchmarks.home import running_spark, temporary_home  # noqa: PLC0415
    from benchmarks.machine import conditions  # noqa: PLC0415
    from benchmarks.throughput import measure  # noqa: PLC0415
    from infra.logs import configure_logs  # noqa: PLC0415

    configure_logs("WARNING")
    with temporary_home() as place, running_spark(place.settings, master) as spark:
        figures = measure(name, events, peers=peers, place=place, spark=spark, say=_say)
        given = conditions(master=master)
    click.echo(report.throughput(figures, given, as_json=as_json))


def _say(text: str) -> None:
    click.echo(text, err=True)
