"""`userflow training-set`: labels in, labels with features out."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from infra.settings import load_settings

if TYPE_CHECKING:
    from serving.training.sets import TrainingSet

__all__ = ["training_set"]

FILE = click.Path(dir_okay=False, path_type=Path)
MIB = 1 << 20


@click.command("training-set")
@click.option("--labels", type=FILE, required=True, help="Parquet, CSV or JSON lines.")
@click.option("--features", required=True, metavar="A,B", help="VIEW:FEATURE, VIEW:*, or FEATURE.")
@click.option("--out", type=FILE, required=True, help="Parquet, CSV or JSON lines, by its suffix.")
@click.option(
    "--as-served/--event-time",
    "is_as_served",
    default=True,
    help="Join on when a value could be read (the default), or on when its events happened.",
)
@click.option("--ttl", "ttls", multiple=True, metavar="AGE", help="7d, or VIEW=7d; repeatable.")
@click.option("--memory-mib", default=2048, show_default=True, type=click.IntRange(min=1))
@click.option("--json", "as_json", is_flag=True, help="Print the summary as JSON.")
def training_set(
    *,
    labels: Path,
    features: str,
    out: Path,
    is_as_served: bool,
    ttls: tuple[str, ...],
    memory_mib: int,
    as_json: bool,
) -> None:
    """Write the labels with the features as they were at each label's time.

    LABELS has the columns of the entities and label_at (event_timestamp, timestamp), in UTC where
    no zone is named. As served: what a reader of the online store got at that moment. By event
    time: what was known of the events up to it, whenever they came.
    """
    from features.errors import UnknownName  # noqa: PLC0415 - not for --help
    from serving.training import TrainingSetError  # noqa: PLC0415
    from serving.training.files import check_output, write_set  # noqa: PLC0415
    from serving.training.sets import make_set  # noqa: PLC0415

    started = time.perf_counter()
    try:
        check_output(out)
        made = make_set(
            labels,
            features,
            lake=load_settings().lake_root,
            mode="as-served" if is_as_served else "event-time",
            ttl=_ttl(ttls),
            memory_bytes=memory_mib * MIB,
            say=lambda text: click.echo(text, err=True),
        )
        size = write_set(made.rows, out)
    except (UnknownName, TrainingSetError) as error:
        raise click.ClickException(str(error)) from error
    seconds = time.perf_counter() - started
    summary = {**_summary(made), "seconds": round(seconds, 2), "bytes": size}
    if as_json:
        click.echo(json.dumps(summary))
        return
    _show(summary["features"])
    click.echo(f"{made.rows.height:,} rows, {size / MIB:,.1f} MiB in {out}, {seconds:.1f} s")


def _ttl(given: tuple[str, ...]) -> str | dict[str, str] | None:
    """One age for all views, and others for those that are named."""
    from features.views import VIEWS  # noqa: PLC0415

    named = dict(one.split("=", 1) for one in given if "=" in one)
    others = [one for one in given if "=" not in one]
    if len(others) > 1:
        raise click.BadParameter(f"Say one age, or VIEW=AGE; found {', '.join(others)}.")
    if not named:
        return others[0] if others else None
    return {**(dict.fromkeys(VIEWS, others[0]) if others else {}), **named}


def _summary(made: TrainingSet) -> dict[str, Any]:
    not_null = made.not_null
    return {
        "rows": made.rows.height,
        "features": {
            name: {"matched": round(share, 4), "not_null": round(not_null[name], 4)}
            for name, share in made.matched.items()
        },
    }


def _show(features: Mapping[str, Mapping[str, float]]) -> None:
    """One line for each feature."""
    width = max(map(len, features))
    for name, shares in features.items():
        matched, not_null = shares["matched"], shares["not_null"]
        click.echo(f"{name.ljust(width)}  {matched:7.1%} matched  {not_null:7.1%} not null")
